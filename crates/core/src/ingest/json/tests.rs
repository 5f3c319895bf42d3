use expect_test::{Expect, expect};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point;
use prost::Message;
use tidegate_model::Signal;
use tidegate_model::limits::VALUE_DEPTH_MAX;

use super::*;

fn logs(body: &str) -> ExportLogsServiceRequest {
    whole(Signal::Logs, body)
}

/// Transcodes a request of which nothing may be rejected.
fn whole<M: Message + Default>(signal: Signal, body: &str) -> M {
    let transcoded = to_protobuf(signal, body.as_bytes()).unwrap();
    assert_eq!(transcoded.rejections, Rejections::default());
    M::decode(transcoded.protobuf.as_slice()).unwrap()
}

/// Transcodes one log record, given by its fields.
fn record(fields: &str) -> LogRecord {
    let body = format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{{fields}}}]}}]}}]}}"#);
    logs(&body).resource_logs[0].scope_logs[0].log_records[0].clone()
}

fn value(json: &str) -> Option<Value> {
    record(&format!(r#""body":{json}"#)).body.unwrap().value
}

/// Checks what is rejected, and which record bodies are kept.
fn check_rejected(signal: Signal, body: &str, expected: &Expect) -> Transcoded {
    let transcoded = to_protobuf(signal, body.as_bytes()).unwrap();
    let lines: Vec<_> = transcoded
        .rejections
        .listed
        .iter()
        .map(|r| format!("{}: {} ({})\n", r.index, r.detail, r.reason.as_str()))
        .collect();
    expected.assert_eq(&lines.concat());
    transcoded
}

fn left_out(transcoded: &Transcoded) -> u64 {
    transcoded.dropped.by_table().map(|(_, count)| count).sum()
}

fn check_refused(body: &str, expected: &Expect) {
    expected.assert_eq(&to_protobuf(Signal::Logs, body.as_bytes()).unwrap_err().to_string());
}

#[test]
fn every_dialect_of_a_log_record_reads_alike() {
    let camel_case = r#"
        "timeUnixNano":"1700000000123456789","observedTimeUnixNano":"1700000000123456790","severityNumber":9,
        "severityText":"INFO","traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"EEE19B7EC3C1B174","flags":1,
        "droppedAttributesCount":2,"eventName":"e","body":{"stringValue":"b"},
        "attributes":[{"key":"i","value":{"intValue":"9007199254740993"}},{"key":"d","value":{"doubleValue":0.1}}]"#;
    let snake_case = r#"
        "time_unix_nano":1700000000123456789,"observed_time_unix_nano":1700000000123456790,
        "severity_number":"SEVERITY_NUMBER_INFO","severity_text":"INFO","unknown":{"a":[1,{"b":null}]},
        "trace_id":"5b8efff798038103d269b633813fc60c","span_id":"eee19b7ec3c1b174","flags":"1",
        "dropped_attributes_count":2.0,"event_name":"\u0065","body":{"string_value":"b","intValue":null},
        "attributes":[{"key":"i","value":{"int_value":9007199254740993}},{"key":"d","value":{"double_value":"1e-1"}}]"#;
    let expected = record(camel_case);
    assert_eq!(expected.time_unix_nano, 1_700_000_000_123_456_789);
    assert_eq!(expected.span_id, hex::decode("eee19b7ec3c1b174").unwrap());
    assert_eq!(record(snake_case), expected);
}

#[test]
fn numbers_are_exact() {
    let int = |text: &str| value(&format!(r#"{{"intValue":{text}}}"#));
    for (text, expected) in [
        ("1.7e18", 1_700_000_000_000_000_000),
        ("17E+17", 1_700_000_000_000_000_000),
        ("9223372036854775807", i64::MAX),
        (r#""-9223372036854775808""#, i64::MIN),
        ("5.0", 5),
        ("-0", 0),
        ("0.0e999999999999", 0),
        ("120e-1", 12),
    ] {
        assert_eq!(int(text), Some(Value::IntValue(expected)), "{text}");
    }
    let double = |text: &str| match value(&format!(r#"{{"doubleValue":{text}}}"#)) {
        Some(Value::DoubleValue(double)) => double,
        other => panic!("{other:?} is no double"),
    };
    assert!(double(r#""NaN""#).is_nan());
    assert_eq!(double(r#""-Infinity""#), f64::NEG_INFINITY);
    assert_eq!(double(r#""Infinity""#), f64::INFINITY);
    assert_eq!(double("-1.5e-300").to_bits(), (-1.5e-300_f64).to_bits());
    assert_eq!(double("3"), 3.0);
    assert_eq!(double("-0.0").to_bits(), (-0.0_f64).to_bits());
}

#[test]
fn strings_and_bytes_are_resolved() {
    let string = value(r#"{"stringValue":"a\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00 é 😀"}"#);
    assert_eq!(string, Some(Value::StringValue("a\"\\/\u{8}\u{c}\n\r\té😀 é 😀".into())));
    for bytes in ["+/8=", "-_8=", "-_8", "+\\/8"] {
        let json = format!(r#"{{"bytesValue":"{bytes}"}}"#);
        assert_eq!(value(&json), Some(Value::BytesValue(vec![0xfb, 0xff])), "{bytes}");
    }
    assert_eq!(value(r#"{"stringValue":""}"#), Some(Value::StringValue(String::new())));
    assert_eq!(value("{}"), None);
    let long = "x".repeat(70_000);
    assert_eq!(value(&format!(r#"{{"stringValue":"{long}"}}"#)), Some(Value::StringValue(long)));
}

#[test]
fn the_official_examples_read_as_they_were_meant() {
    let traces: ExportTraceServiceRequest = whole(Signal::Traces, include_str!("testdata/trace.json"));
    let metrics: ExportMetricsServiceRequest = whole(Signal::Metrics, include_str!("testdata/metrics.json"));
    let logs: ExportLogsServiceRequest = whole(Signal::Logs, include_str!("testdata/logs.json"));
    expect_test::expect_file!["testdata/examples.txt"].assert_debug_eq(&(traces, metrics, logs));
}

#[test]
fn every_kind_of_metric_keeps_every_field() {
    let metrics: ExportMetricsServiceRequest = whole(Signal::Metrics, include_str!("testdata/every_metric_field.json"));
    expect_test::expect_file!["testdata/every_metric_field.txt"].assert_debug_eq(&metrics);
    let point = match &metrics.resource_metrics[0].scope_metrics[0].metrics[0].data {
        Some(Data::Gauge(gauge)) => gauge.data_points[0].value,
        other => panic!("{other:?} is no gauge"),
    };
    assert_eq!(point, Some(number_data_point::Value::AsInt(i64::MIN)));
}

#[test]
fn a_bad_record_falls_alone() {
    let body = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[
        {"body":{"stringValue":"kept 0"}},
        {"traceId":"xyz"},
        {"attributes":[{"key":"ok"},{"key":"a","value":{"intValue":"1.5"}}],"body":{}},
        {"body":{"stringValue":"kept 3"}},
        {"timeUnixNano":-1},
        7,
        {"severityNumber":"LOUD"},
        {"body":{"boolValue":"true"}},
        {"body":{"stringValue":"a","intValue":1}},
        {"body":{"arrayValue":{"values":[{},null,{"doubleValue":1e999}]}}},
        {"body":{"bytesValue":"%"}},
        {"attributes":{}},
        {"body":{"stringValue":"\ud800"}},
        {"body":{"stringValue":"kept 13"}}
    ]}]}]}"#;
    let expected = expect![[r#"
        1: resourceLogs[0].scopeLogs[0].logRecords[1].traceId: an id of 3 characters, not 32 hex digits or none (invalid_id)
        2: resourceLogs[0].scopeLogs[0].logRecords[2].attributes[1].value.intValue: `1.5` is not a whole number (invalid_type)
        4: resourceLogs[0].scopeLogs[0].logRecords[4].timeUnixNano: `-1` is out of range (out_of_range)
        5: resourceLogs[0].scopeLogs[0].logRecords[5]: a number instead of an object (invalid_type)
        6: resourceLogs[0].scopeLogs[0].logRecords[6].severityNumber: `LOUD` is no value of this enum (invalid_type)
        7: resourceLogs[0].scopeLogs[0].logRecords[7].body.boolValue: a string instead of a boolean (invalid_type)
        8: resourceLogs[0].scopeLogs[0].logRecords[8].body.intValue: another alternative of this field has a value too (invalid_type)
        9: resourceLogs[0].scopeLogs[0].logRecords[9].body.arrayValue.values[2].doubleValue: `1e999` is out of range (out_of_range)
        10: resourceLogs[0].scopeLogs[0].logRecords[10].body.bytesValue: `%` is not base64 (malformed)
        11: resourceLogs[0].scopeLogs[0].logRecords[11].attributes: an object instead of an array (invalid_type)
        12: resourceLogs[0].scopeLogs[0].logRecords[12].body.stringValue: half of a surrogate pair in the string (invalid_utf8)
    "#]];
    let transcoded = check_rejected(Signal::Logs, body, &expected);
    let kept = ExportLogsServiceRequest::decode(transcoded.protobuf.as_slice()).unwrap();
    assert_eq!(kept.resource_logs[0].scope_logs[0].log_records.len(), 3);
    assert_eq!([0, 1, 2].map(|index| transcoded.dropped.request_index(index)), [0, 3, 13]);
    assert_eq!(left_out(&transcoded), 11);
}

#[test]
fn a_bad_container_takes_its_records_along() {
    let body = r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[
        {"name":"kept","gauge":{"dataPoints":[{"asInt":1},{"asInt":"x"}]}},
        {"name":"two kinds","gauge":{"dataPoints":[{"asInt":1}]},"sum":{"dataPoints":[{"asInt":1},{"asInt":2}]}},
        {"gauge":{"dataPoints":[{"asInt":3}]},"name":9},
        {"name":"kept","sum":{"dataPoints":[{"asInt":4}],"aggregationTemporality":"DELTA"}},
        {"name":"bad","sum":{"dataPoints":[{"asInt":5}],"aggregationTemporality":true}}
    ]}]},{"resource":{"attributes":[{"key":1}]},"scopeMetrics":[{"metrics":[{"gauge":{"dataPoints":[{}]}}]}]}]}"#;
    let expected = expect![[r#"
        1: resourceMetrics[0].scopeMetrics[0].metrics[0].gauge.dataPoints[1].asInt: `x` is not a number (invalid_type)
        2: resourceMetrics[0].scopeMetrics[0].metrics[1].sum: another alternative of this field has a value too (invalid_type)
        3: resourceMetrics[0].scopeMetrics[0].metrics[1].sum: another alternative of this field has a value too (invalid_type)
        4: resourceMetrics[0].scopeMetrics[0].metrics[1].sum: another alternative of this field has a value too (invalid_type)
        5: resourceMetrics[0].scopeMetrics[0].metrics[2].name: a number instead of a string (invalid_type)
        7: resourceMetrics[0].scopeMetrics[0].metrics[4].sum.aggregationTemporality: a boolean instead of an integer (invalid_type)
        8: resourceMetrics[1].resource.attributes[0].key: a number instead of a string (invalid_type)
    "#]];
    let transcoded = check_rejected(Signal::Metrics, body, &expected);
    assert_eq!([0, 1].map(|index| transcoded.dropped.request_index(index)), [0, 6]);
}

#[test]
fn what_is_not_a_request_is_refused_as_a_whole() {
    check_refused("", &expect!["not valid JSON at line 1, column 1: the text ends too early"]);
    check_refused(
        "{\"resourceLogs\": [\n  {\"scopeLogs\": [}\n]}",
        &expect!["not valid JSON at line 2, column 18: expected a value"],
    );
    check_refused("{\"a\":1,}", &expect!["not valid JSON at line 1, column 8: a comma before the closing bracket"]);
    check_refused("{\"a\":[{} 5]}", &expect!["not valid JSON at line 1, column 10: expected `,` or `]`"]);
    check_refused("{\"a\":01}", &expect!["not valid JSON at line 1, column 7: expected the end of the number"]);
    check_refused("{\"a\":\"\u{1}\"}", &expect!["not valid JSON at line 1, column 7: a control character in a string"]);
    check_refused("{\"a\":\"\\x\"}", &expect!["not valid JSON at line 1, column 8: an unknown escape in a string"]);
    check_refused("{} {}", &expect!["not valid JSON at line 1, column 4: expected nothing after the value"]);
    check_refused("[]", &expect!["not an OTLP request: an array instead of a JSON object"]);
    check_refused(r#"{"resourceLogs":5}"#, &expect!["not an OTLP request: resourceLogs: a number instead of an array"]);
    check_refused(
        r#"{"resourceLogs":[{"scopeLogs":[{},{"logRecords":{}}]}]}"#,
        &expect!["not an OTLP request: resourceLogs[0].scopeLogs[1].logRecords: an object instead of an array"],
    );
}

#[test]
fn nesting_is_bounded() {
    let nested = |levels: usize| {
        let (open, close) = (r#"{"arrayValue":{"values":["#.repeat(levels), "]}}".repeat(levels));
        format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"body":{open}{{}}{close}}}]}}]}}]}}"#)
    };
    logs(&nested(VALUE_DEPTH_MAX - 1));
    let transcoded = to_protobuf(Signal::Logs, nested(VALUE_DEPTH_MAX).as_bytes()).unwrap();
    assert_eq!(left_out(&transcoded), 1);
    let deep_and_unknown = format!(r#"{{"x":{}{}}}"#, "[".repeat(1_000_000), "]".repeat(1_000_000));
    logs(&deep_and_unknown);
}

#[test]
fn a_string_that_is_not_utf8_rejects_its_record() {
    let mut body = br#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"?"}},{}]}]}]}"#.to_vec();
    let at = body.iter().position(|&b| b == b'?').unwrap();
    body[at] = 0xff;
    let transcoded = to_protobuf(Signal::Logs, &body).unwrap();
    assert_eq!(left_out(&transcoded), 1);
    assert_eq!(transcoded.dropped.request_index(0), 1);
}

#[test]
fn the_list_of_rejections_is_bounded_and_their_count_is_not() {
    let records = vec!["5"; 1_000].join(",");
    let body = format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{records}]}}]}}]}}"#);
    let transcoded = to_protobuf(Signal::Logs, body.as_bytes()).unwrap();
    assert_eq!(transcoded.rejections.listed.len(), tidegate_model::limits::REJECTIONS_LISTED_MAX);
    assert_eq!(left_out(&transcoded), 1_000);
}
