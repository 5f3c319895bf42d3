use opentelemetry_proto::tonic::logs::v1::{LogRecord, LogsData, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, TracesData};
use proptest::prelude::*;
use prost::Message;
use tidegate_model::Signal;
use tidegate_model::limits::VALUE_DEPTH_MAX;

use super::generate::Generator;
use super::restore::Row;
use super::{RECEIVED, decoded};
use crate::ingest::otlp::{DecodeError, decode};
use crate::ingest::rejection::Reason;
use crate::ingest::wire::Writer;

/// Writes a request of log records, each by a function.
fn logs_of(records: &[&dyn Fn(&mut Writer)]) -> Vec<u8> {
    let mut w = Writer::new();
    w.message(1, |w| {
        w.message(2, |w| records.iter().for_each(|record| w.message(2, |w| record(w))));
    });
    w.into_bytes()
}

fn body(w: &mut Writer, text: &[u8]) {
    w.message(5, |w| w.bytes(1, text));
}

fn attribute(w: &mut Writer, key: &[u8], value: &[u8]) {
    w.message(6, |w| {
        w.bytes(1, key);
        w.message(2, |w| w.bytes(1, value));
    });
}

fn nested(w: &mut Writer, depth: usize) {
    if depth > 0 {
        w.message(5, |w| w.message(1, |w| nested(w, depth - 1)));
    }
}

fn check_refused(bad: &dyn Fn(&mut Writer), reason: Reason, detail: &str) {
    let good = |w: &mut Writer| {
        body(w, b"good");
        attribute(w, b"k", b"v");
    };
    let decoded = decoded(Signal::Logs, &logs_of(&[&good, bad, &good]));
    assert_eq!(decoded.accepted, 2);
    let [refused] = decoded.rejections.listed.as_slice() else { panic!("one refused row") };
    assert_eq!((refused.index, refused.reason, refused.detail.as_str()), (1, reason, detail));
    assert_eq!(decoded.rejected[0].1, 1);
    for row in Row::all(&decoded.rows[0].rows) {
        assert_eq!(row.text("body"), "good");
        assert_eq!(row.attributes("attributes", "attribute_types").len(), 1);
    }
}

#[test]
fn a_bad_row_is_refused_alone_with_its_place_and_reason() {
    check_refused(&|w| body(w, b"\xff"), Reason::InvalidUtf8, "body is not valid UTF-8");
    check_refused(&|w| attribute(w, b"\xff", b""), Reason::InvalidUtf8, "attributes is not valid UTF-8");
    check_refused(&|w| attribute(w, b"k", b"\xff"), Reason::InvalidUtf8, "attributes is not valid UTF-8");
    check_refused(&|w| w.bytes(3, b"\xff"), Reason::InvalidUtf8, "severity_text is not valid UTF-8");
    check_refused(&|w| w.bytes(9, &[1; 15]), Reason::InvalidId, "trace_id is not an id of the right length");
    check_refused(&|w| w.bytes(10, &[1; 16]), Reason::InvalidId, "span_id is not an id of the right length");
    check_refused(&|w| w.fixed64(1, 1 << 63), Reason::InvalidTimestamp, "time_unix_nano is past the year 2262");
    check_refused(&|w| w.uint(2, 256), Reason::OutOfRange, "severity_number is out of range");
    let deep = |w: &mut Writer| w.message(5, |w| nested(w, VALUE_DEPTH_MAX + 1));
    check_refused(&deep, Reason::TooDeep, "a value is nested too deep");
}

#[test]
fn values_may_nest_up_to_the_limit() {
    let deep = |w: &mut Writer| w.message(5, |w| nested(w, VALUE_DEPTH_MAX));
    assert_eq!(decoded(Signal::Logs, &logs_of(&[&deep])).accepted, 1);
}

#[test]
fn text_cut_within_a_character_is_not_completed_by_its_neighbour() {
    let halves: [&dyn Fn(&mut Writer); 2] = [&|w| body(w, b"\xc3"), &|w| body(w, b"\xbc")];
    let decoded = decoded(Signal::Logs, &logs_of(&halves));
    assert_eq!((decoded.accepted, decoded.rejections.total()), (0, 2));
}

#[test]
fn a_bad_resource_or_scope_refuses_its_rows_only() {
    let mut w = Writer::new();
    for (resource_schema, scope_schema) in [(b"\xff", b"b"), (b"a", b"\xff"), (b"a", b"b")] {
        w.message(1, |w| {
            w.bytes(3, resource_schema);
            w.message(2, |w| {
                w.bytes(3, scope_schema);
                w.message(2, |w| body(w, b"good"));
            });
        });
    }
    let decoded = decoded(Signal::Logs, &w.into_bytes());
    let refused: Vec<_> = decoded.rejections.listed.iter().map(ToString::to_string).collect();
    assert_eq!(
        refused,
        ["row 0: resource schema_url is not valid UTF-8", "row 1: scope schema_url is not valid UTF-8"]
    );
    assert_eq!(Row::all(&decoded.rows[0].rows).len(), 1);
}

#[test]
fn spans_need_their_ids() {
    let span = |trace_id: usize, span_id: usize| Span {
        trace_id: vec![1; trace_id],
        span_id: vec![1; span_id],
        ..Span::default()
    };
    let spans = vec![span(16, 8), span(0, 8), span(16, 0), span(8, 16)];
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let request = TracesData { resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }] };
    let decoded = decoded(Signal::Traces, &request.encode_to_vec());
    let places: Vec<_> = decoded.rejections.listed.iter().map(|refused| (refused.index, refused.reason)).collect();
    assert_eq!(decoded.accepted, 1);
    assert_eq!(places, [(1, Reason::InvalidId), (2, Reason::InvalidId), (3, Reason::InvalidId)]);
}

#[test]
fn fields_may_come_in_any_order_and_the_last_one_counts() {
    let record = |w: &mut Writer| {
        w.bytes(12, b"first");
        body(w, b"first");
        w.bytes(12, b"last");
        body(w, b"last");
        w.bytes(999, b"unknown");
    };
    let mut w = Writer::new();
    w.message(1, |w| {
        w.bytes(3, b"schema");
        w.message(2, |w| {
            w.message(2, record);
            w.message(1, |w| w.bytes(1, b"scope"));
        });
        w.message(1, |w| w.uint(2, 5));
        w.message(1, attribute_of_resource);
    });
    let rows = Row::all(&decoded(Signal::Logs, &w.into_bytes()).rows[0].rows);
    assert_eq!(rows[0].text("event_name"), "last");
    assert_eq!(rows[0].text("body"), "last");
    assert_eq!(rows[0].text("scope_name"), "scope");
    assert_eq!(rows[0].text("resource_schema_url"), "schema");
    assert_eq!(rows[0].text("service_name"), "shop");
    assert_eq!(rows[0].u32("resource_dropped_attributes_count"), 5);
}

fn attribute_of_resource(w: &mut Writer) {
    w.message(1, |w| {
        w.bytes(1, b"service.name");
        w.message(2, |w| w.bytes(1, b"shop"));
    });
}

#[test]
fn packed_and_single_numbers_are_the_same() {
    let request = |packed: bool| {
        let mut w = Writer::new();
        w.message(1, |w| {
            w.message(2, |w| {
                w.message(2, |w| {
                    w.message(9, |w| {
                        w.message(1, |w| match packed {
                            true => w.message(6, |w| [1, 2, 3].into_iter().for_each(|n| w.packed_fixed64(n))),
                            false => [1, 2, 3].into_iter().for_each(|n| w.fixed64(6, n)),
                        });
                    });
                });
            });
        });
        let decoded = decoded(Signal::Metrics, &w.into_bytes());
        Row::all(&decoded.rows[0].rows)[0].u64s("bucket_counts")
    };
    assert_eq!(request(true), [1, 2, 3]);
    assert_eq!(request(false), [1, 2, 3]);
}

#[test]
fn a_series_does_not_depend_on_the_order_of_attributes() {
    let request = |keys: [&[u8]; 2]| {
        let mut w = Writer::new();
        w.message(1, |w| {
            w.message(2, |w| {
                w.message(2, |w| {
                    w.bytes(1, b"requests");
                    w.message(5, |w| {
                        w.message(1, |w| keys.iter().for_each(|key| w.message(7, |w| w.bytes(1, key))));
                    });
                });
            });
        });
        let decoded = decoded(Signal::Metrics, &w.into_bytes());
        Row::all(&decoded.rows[0].rows)[0].u64("fingerprint")
    };
    assert_eq!(request([b"a", b"b"]), request([b"b", b"a"]));
    assert_ne!(request([b"a", b"b"]), request([b"a", b"c"]));
}

#[test]
fn a_known_series_has_no_further_row() {
    let request = (0..).map(|seed| Generator::new(seed).metrics()).find(|request| request.encoded_len() > 2_000);
    let bytes = request.unwrap().encode_to_vec();
    let first = decoded(Signal::Metrics, &bytes);
    let again = decode(Signal::Metrics, &bytes, RECEIVED, &|_| true).unwrap();
    assert!(first.series.is_some() && again.series.is_none());
    assert_eq!(first.accepted, again.accepted);
}

#[test]
fn a_request_that_expands_too_far_is_refused() {
    let attributes = opentelemetry_proto::tonic::resource::v1::Resource {
        attributes: vec![super::generate::key_value(
            "k",
            opentelemetry_proto::tonic::common::v1::any_value::Value::StringValue("x".repeat(1 << 20)),
        )],
        ..Default::default()
    };
    let scope = ScopeLogs { log_records: vec![LogRecord::default(); 1_000], ..ScopeLogs::default() };
    let resource = ResourceLogs { resource: Some(attributes), scope_logs: vec![scope], schema_url: String::new() };
    let bytes = LogsData { resource_logs: vec![resource] }.encode_to_vec();
    let outcome = decode(Signal::Logs, &bytes, RECEIVED, &|_| false);
    assert!(matches!(outcome, Err(DecodeError::TooLarge(_))));
}

fn request(signal: Signal, seed: u64) -> Vec<u8> {
    let mut generator = Generator::new(seed);
    match signal {
        Signal::Logs => generator.logs().encode_to_vec(),
        Signal::Traces => generator.traces().encode_to_vec(),
        Signal::Metrics => generator.metrics().encode_to_vec(),
    }
}

#[test]
fn a_request_cut_anywhere_is_an_error_or_whole_messages() {
    for signal in Signal::ALL {
        for seed in 0..4 {
            let bytes = request(signal, seed);
            for end in 0..bytes.len() {
                match decode(signal, &bytes[..end], RECEIVED, &|_| false) {
                    Ok(decoded) => assert_eq!(decoded.rejections.total(), 0),
                    Err(DecodeError::Wire(error)) => assert!(error.offset <= end),
                    Err(other) => panic!("{other}"),
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        for signal in Signal::ALL {
            decode(signal, &bytes, RECEIVED, &|_| false).ok();
        }
    }

    #[test]
    fn damaged_requests_never_panic(seed in 0_u64..50, damage in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..6)) {
        for signal in Signal::ALL {
            let mut bytes = request(signal, seed);
            if bytes.is_empty() {
                continue;
            }
            for (place, byte) in &damage {
                let place = place % bytes.len();
                bytes[place] = *byte;
            }
            if let Ok(decoded) = decode(signal, &bytes, RECEIVED, &|_| false) {
                let rows: usize = decoded.rows.iter().map(|rows| rows.rows.num_rows()).sum();
                prop_assert_eq!(rows as u64, decoded.accepted);
            }
        }
    }
}
