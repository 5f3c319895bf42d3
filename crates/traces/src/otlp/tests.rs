use expect_test::expect;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span as Sent, Status};
use proptest::prelude::*;
use prost::Message as _;

use super::*;

fn defaults() -> Defaults {
    Defaults { now: UnixNanos(1_769_850_000_000_000_000), actor: None, name: String::new() }
}

fn any_value(value: Value) -> Option<AnyValue> {
    Some(AnyValue { value: Some(value) })
}

fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: any_value(value), ..KeyValue::default() }
}

fn words(key: &str, value: &str) -> KeyValue {
    pair(key, Value::StringValue(value.to_owned()))
}

fn body(spans: Vec<Sent>) -> Vec<u8> {
    let resource = Resource { attributes: vec![words("service.name", "shop")], ..Resource::default() };
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { resource: Some(resource), scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

fn sent() -> Sent {
    let list = ArrayValue { values: vec![AnyValue { value: Some(Value::IntValue(-3)) }, AnyValue { value: None }] };
    let inner = KeyValueList { values: vec![words("k", "v")] };
    Sent {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        parent_span_id: vec![0; 8],
        kind: 3,
        start_time_unix_nano: 1_769_850_000_000_000_001,
        end_time_unix_nano: 1_769_850_001_000_000_000,
        attributes: vec![
            words("gen_ai.operation.name", "chat"),
            pair("d", Value::DoubleValue(0.5)),
            pair("nan", Value::DoubleValue(f64::NAN)),
            pair("b", Value::BoolValue(true)),
            pair("bytes", Value::BytesValue(vec![0xab, 1])),
            pair("l", Value::ArrayValue(list)),
            pair("o", Value::KvlistValue(inner)),
        ],
        events: vec![Event {
            name: "exception".to_owned(),
            time_unix_nano: 1_769_850_000_500_000_000,
            attributes: vec![words("exception.type", "E")],
            ..Event::default()
        }],
        links: vec![Link { trace_id: vec![3; 16], span_id: vec![4; 8], ..Link::default() }],
        status: Some(Status { message: "no".to_owned(), code: 2 }),
        ..Sent::default()
    }
}

#[test]
fn all_of_a_span_is_read() {
    let exported = read_export(&body(vec![sent()]), &defaults(), || "made".to_owned()).expect("protobuf");
    expect![[r#"{"attributes":{"ag":{"type":{"span":"chat","trace":"annotation"}},"b":true,"bytes":"ab01","d":0.5,"l":[-3,null],"nan":"NaN","o":{"k":"v"},"resource":{"service.name":"shop"}},"created_at":"2026-01-31T09:00:00Z","end_time":"2026-01-31T09:00:01Z","events":[{"attributes":{"exception.type":"E"},"name":"exception","timestamp":"2026-01-31T09:00:00.5Z"}],"exception":{"attributes":{"exception.type":"E"},"name":"exception","timestamp":"2026-01-31T09:00:00.5Z"},"hashes":[{"id":"33d019aa-f85f-426e-c2b0-e89ab5caf5f6"}],"links":[{"span_id":"0404040404040404","trace_id":"03030303030303030303030303030303"}],"span_id":"0202020202020202","span_kind":"SPAN_KIND_CLIENT","span_name":"made","span_type":"chat","start_time":"2026-01-31T09:00:00.000000001Z","status_code":"STATUS_CODE_ERROR","status_message":"no","trace_id":"01010101010101010101010101010101","trace_type":"annotation"}"#]]
        .assert_eq(&exported.spans[0].json().to_string());
    assert_eq!(exported.refused, []);
}

#[test]
fn a_span_that_cannot_be_one_is_refused_alone() {
    let without = Sent { trace_id: Vec::new(), ..sent() };
    let late = Sent { end_time_unix_nano: u64::MAX, ..sent() };
    let exported = read_export(&body(vec![without, sent(), late]), &defaults(), String::new).expect("protobuf");
    let refused: Vec<String> = exported.refused.iter().map(Invalid::to_string).collect();
    assert_eq!(exported.spans.len(), 1);
    assert_eq!(
        refused,
        [
            "spans[0].trace_id: `` is no id; a trace's id has 32 hexadecimal digits that are not all zero",
            "spans[2].end_time_unix_nano: 18446744073709551615 is no time; nanoseconds since 1970 reach to 2262"
        ]
    );
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read_export(&bytes, &defaults(), String::new);
    }

    #[test]
    fn a_body_that_is_cut_is_never_read_as_another(cut in 0_usize..400) {
        let whole = body(vec![sent()]);
        let cut = cut.min(whole.len() - 1);
        let found = read_export(&whole[..cut], &defaults(), String::new);
        // The whole body is one field: only nothing at all is protobuf, too.
        prop_assert_eq!(found.is_ok(), cut == 0);
    }
}
