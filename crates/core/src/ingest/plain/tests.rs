use arrow_array::cast::AsArray;
use arrow_array::types::TimestampNanosecondType;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_cast::display::array_value_to_string;
use bytes::Bytes;
use expect_test::{Expect, expect};

use super::*;
use crate::ingest::events;
use crate::ingest::otlp::decode;

/// 2026-11-21T05:00:00Z.
const RECEIVED: UnixNanos = UnixNanos(1_795_237_200_000_000_000);

fn request(kind: PlainKind, body: &str) -> PlainRequest {
    PlainRequest { kind, body: Bytes::copy_from_slice(body.as_bytes()), is_lines: false, idempotency_key: None }
}

/// Returns the chosen columns of the rows that come of a body, a line each, and then the refused entries.
fn told(kind: PlainKind, body: &str, columns: &[&str]) -> String {
    let spoken = to_protobuf(&request(kind, body), RECEIVED).expect("a body of entries");
    let mut decoded = decode(kind.signal(), &spoken.protobuf, RECEIVED, &|_| false).expect("an OTLP request");
    assert_eq!(decoded.rejections.total(), 0);
    assert_eq!(decoded.accepted, spoken.places.len() as u64);
    events::part(&mut decoded.rows).expect("rows");
    let mut out = String::new();
    for rows in decoded.rows.iter().chain(&decoded.series) {
        let found: Vec<_> = columns.iter().filter_map(|name| rows.rows.schema().index_of(name).ok()).collect();
        let rows_of = rows.rows.project(&found).expect("columns");
        for row in 0..rows_of.num_rows() {
            out += &format!("{}: {}\n", rows.table, line(&rows_of, row));
        }
    }
    for refused in spoken.rejections.listed {
        out += &format!("{} {}: {}\n", refused.index, refused.reason.as_str(), refused.detail);
    }
    out
}

fn line(rows: &RecordBatch, row: usize) -> String {
    let of = |column: &ArrayRef| match column.as_primitive_opt::<TimestampNanosecondType>() {
        Some(times) => UnixNanos(times.value(row)).to_string(),
        None => array_value_to_string(column, row).expect("text"),
    };
    rows.columns().iter().map(of).collect::<Vec<_>>().join(" | ")
}

fn check(kind: PlainKind, body: &str, columns: &[&str], expected: &Expect) {
    expected.assert_eq(&told(kind, body, columns));
}

#[test]
fn a_log_entry_is_a_log_record() {
    let columns = ["timestamp", "severity_number", "severity_text", "service_name", "body", "trace_id"];
    let body = r#"[
        {"timestamp":"2026-01-31T09:00:00.123456","level":"warning","source":"system_monitor",
         "message":"High CPU usage detected","trace_id":"5B8EFFF798038103D269B633813FC60C"},
        {"timestamp":1769850000000,"level":"custom","source":"shop","message":"second"},
        {"source":"shop","message":""}
    ]"#;
    check(
        PlainKind::Logs,
        body,
        &columns,
        &expect![[r#"
        logs: 2026-01-31T09:00:00.123456Z | 13 | WARNING | system_monitor | High CPU usage detected | 5b8efff798038103d269b633813fc60c
        logs: 2026-01-31T09:00:00Z | 0 | CUSTOM | shop | second | 
        logs: 2026-11-21T05:00:00Z | 0 |  | shop |  | 
    "#]],
    );
}

#[test]
fn a_metric_without_a_time_is_of_when_it_came() {
    let body = "{\"timestamp\":\"2026-01-31T10:00:00+01:00\",\"metric_name\":\"a\",\"value\":12.5}\n\n\
                {\"metric_name\":\"b\",\"value\":9007199254740993,\"type\":\"counter\"}\r\n";
    let told = told(PlainKind::Metrics, body, &["metric_name", "timestamp"]);
    for line in ["metric_samples: a | 2026-01-31T09:00:00Z", "metric_samples: b | 2026-11-21T05:00:00Z"] {
        assert!(told.lines().any(|own| own == line), "{told}");
    }
}

#[test]
fn an_event_entry_is_a_row_of_events_alone() {
    let columns = ["timestamp", "event_name", "service_name", "agent_id", "session_id", "body"];
    let body = r#"{"timestamp":"2026-01-31T09:00:00Z","event_type":"service_status","source":"MonitoringAgent",
        "details":"Weaviate is down","metadata":{"service":"Weaviate"},"agent_id":"a-1","session_id":"s-1"}"#;
    check(
        PlainKind::Events,
        body,
        &columns,
        &expect![[r#"
        events: 2026-01-31T09:00:00Z | service_status | MonitoringAgent | a-1 | s-1 | Weaviate is down
    "#]],
    );
}

#[test]
fn an_entry_is_refused_by_its_place_and_no_other_with_it() {
    let body = r#"{"message":"first"}
        {"message":7,"level":3}
        not json
        ["message"]
        {"level":"INFO"}
        {"message":"m","severity":"x"}
        {"message":"m","timestamp":"yesterday"}
        {"message":"m","timestamp":1769850000}
        {"message":"m","context":"text"}
        {"message":"m","context":{"n":18446744073709551615}}
        {"message":"m","trace_id":"xyz"}
        {"message":"last"}"#;
    check(
        PlainKind::Logs,
        body,
        &["body"],
        &expect![[r#"
        logs: first
        logs: last
        1 invalid_type: `level` is a text, not a number
        2 malformed: the entry is not JSON: expected ident at line 1 column 2
        3 invalid_type: an entry is an object such as {"message":…}, this is an array
        4 missing: `message` is missing
        5 unknown: the field `severity` is unknown: there are timestamp, level, source, message, context, trace_id, span_id, agent_id and session_id; what is yours goes into `context`
        6 invalid_timestamp: `timestamp` is a text such as 2026-01-31T09:00:00.5Z, or whole milliseconds since 1970; before 1970 or past 2262 none is storable
        7 invalid_timestamp: `timestamp` is 1769850000, which reads as seconds: send milliseconds or a text
        8 invalid_type: `context` is an object, not a text
        9 out_of_range: `n` is past 64 bits with a sign: send it as a text
        10 invalid_id: `trace_id` is 32 hex digits
    "#]],
    );
    let body = r#"[{"metric_name":"m"}, {"value":1}, {"metric_name":"m","value":"1"}, {"metric_name":"m","value":1,"type":"x"}]"#;
    check(
        PlainKind::Metrics,
        body,
        &["metric_name"],
        &expect![[r#"
        0 missing: `value` is missing
        1 missing: `metric_name` is missing or empty
        2 invalid_type: `value` is a number, not a text
        3 invalid_type: `type` is `gauge` or `counter`
    "#]],
    );
    check(
        PlainKind::Events,
        r#"[{"event_type":""},{"details":"d"}]"#,
        &["body"],
        &expect![[r#"
        0 missing: `event_type` is missing or empty
        1 missing: `event_type` is missing or empty
    "#]],
    );
}

#[test]
fn entries_of_one_place_share_a_resource_and_keep_their_order() {
    let entry = |n: usize| format!(r#"{{"message":"{n}","source":"{}"}}"#, ["a", "a", "b"][n % 3]);
    let body = (0..600).map(entry).collect::<Vec<_>>().join("\n");
    let expected: String = (0..600).map(|n| format!("logs: {} | {n}\n", ["a", "a", "b"][n % 3])).collect();
    assert_eq!(told(PlainKind::Logs, &body, &["service_name", "body"]), expected);
}

#[test]
fn a_body_that_cannot_be_taken_apart_is_refused_as_a_whole() {
    for broken in ["", "{\"message\":\"m\"", "[{\"message\":\"m\"},]", "[1", "{\"message\":\n\"m\"", "\"text\" x"] {
        assert!(to_protobuf(&request(PlainKind::Logs, broken), RECEIVED).is_err(), "{broken}");
    }
    let lines = PlainRequest { is_lines: true, ..request(PlainKind::Logs, "{\"message\":\"m\"\n{\"message\":\"m\"}") };
    assert_eq!(to_protobuf(&lines, RECEIVED).expect("lines").places, [1]);
}
