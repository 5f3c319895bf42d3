//! The service on a real buffer and catalog.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use tidegate_model::tables::{LOGS, METRIC_HISTOGRAMS, METRIC_SAMPLES, METRIC_SERIES, METRIC_SUMMARIES};
use tidegate_model::{ErrorKind, Signal, TableSpec};

use super::wire::Writer;
use super::{Encoding, Ingest, OtlpRequest, Reason};
use crate::buffer::{Buffer, BufferOptions, Remembered};
use crate::catalog::Catalog;
use crate::world::SystemClock;

async fn open(dir: &Path) -> (Ingest, Buffer) {
    let options = BufferOptions {
        dir: dir.to_owned(),
        sync_always: true,
        sync_interval_ms: 100,
        hot_tail_bytes: 64 << 20,
        wal_bytes: 1 << 30,
        disk_free_bytes_min: 0,
        dedup_window_seconds: 600,
    };
    let clock = Arc::new(SystemClock::start());
    let (buffer, _) = Buffer::open(options, clock.clone(), Remembered::default()).unwrap();
    let ingest = Ingest::open(buffer.clone(), Catalog::in_memory().await.unwrap(), clock).await.unwrap();
    (ingest, buffer)
}

fn request(signal: Signal, encoding: Encoding, body: impl Into<Bytes>) -> OtlpRequest {
    OtlpRequest { signal, encoding, body: body.into(), idempotency_key: None }
}

/// One log record for each trace id.
fn logs(trace_ids: &[&[u8]]) -> OtlpRequest {
    let mut w = Writer::new();
    w.message(1, |w| w.message(2, |w| trace_ids.iter().for_each(|id| w.message(2, |w| w.bytes(9, id)))));
    request(Signal::Logs, Encoding::Protobuf, w.into_bytes())
}

/// A gauge with a point at `time` for each service.
fn gauges(services: &[&str], time: u64) -> OtlpRequest {
    let mut w = Writer::new();
    w.message(1, |w| {
        w.message(2, |w| {
            w.message(2, |w| {
                w.bytes(1, b"up");
                w.message(5, |w| services.iter().for_each(|service| gauge_point(w, service, time)));
            });
        });
    });
    request(Signal::Metrics, Encoding::Protobuf, w.into_bytes())
}

fn gauge_point(w: &mut Writer, service: &str, time: u64) {
    w.message(1, |w| {
        w.fixed64(3, time);
        w.message(7, |w| {
            w.bytes(1, b"service");
            w.message(2, |w| w.bytes(1, service.as_bytes()));
        });
    });
}

/// Returns rows received, rejected and duplicate.
fn ledger(buffer: &Buffer, table: &TableSpec) -> (u64, u64, u64) {
    let status = buffer.status().into_iter().find(|status| status.table == table.name);
    status.map(|status| (status.head.0, status.rejected, status.duplicate)).unwrap_or_default()
}

#[tokio::test]
async fn good_rows_are_hot_and_bad_ones_counted() {
    let dir = tempfile::tempdir().unwrap();
    let (ingest, buffer) = open(dir.path()).await;
    let admitted = ingest.otlp(logs(&[&[1; 16], &[1; 3], &[]])).await.unwrap();
    assert_eq!((admitted.accepted, admitted.rejected.total(), admitted.is_retry), (2, 1, false));
    assert_eq!(admitted.rejected.listed[0].to_string(), "row 1: trace_id is not an id of the right length");
    assert_eq!(admitted.ranges.len(), 1);
    assert_eq!(ledger(&buffer, &LOGS), (2, 1, 0));
    assert_eq!(buffer.snapshot(std::slice::from_ref(&LOGS.name))[0].chunks.len(), 1);
}

#[tokio::test]
async fn a_retry_is_answered_as_the_first_time_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (ingest, buffer) = open(dir.path()).await;
    let first = ingest.otlp(logs(&[&[1; 16], &[1; 3]])).await.unwrap();
    let again = ingest.otlp(logs(&[&[1; 16], &[1; 3]])).await.unwrap();
    assert!(again.is_retry);
    assert_eq!((again.accepted, &again.rejected), (first.accepted, &first.rejected));
    assert_eq!(ledger(&buffer, &LOGS), (1, 1, 1));
}

#[tokio::test]
async fn an_idempotency_key_with_other_content_is_a_conflict() {
    let dir = tempfile::tempdir().unwrap();
    let (ingest, buffer) = open(dir.path()).await;
    let keyed = |request: OtlpRequest| OtlpRequest { idempotency_key: Some("k1".to_owned()), ..request };
    ingest.otlp(keyed(logs(&[&[1; 16]]))).await.unwrap();
    let refused = ingest.otlp(keyed(logs(&[&[2; 16]]))).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    assert_eq!(ledger(&buffer, &LOGS), (1, 0, 0));
}

#[tokio::test]
async fn bytes_that_are_no_request_are_refused_with_their_place() {
    let dir = tempfile::tempdir().unwrap();
    let (ingest, _) = open(dir.path()).await;
    let refused = ingest.otlp(request(Signal::Logs, Encoding::Protobuf, vec![0x0a, 9, 1])).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    assert!(refused.to_string().contains("at byte 1"), "{refused}");
    let empty = ingest.otlp(request(Signal::Logs, Encoding::Protobuf, Bytes::new())).await.unwrap();
    assert_eq!((empty.accepted, empty.ranges.len()), (0, 0));
}

#[tokio::test]
async fn json_rows_keep_their_places_in_the_request() {
    let dir = tempfile::tempdir().unwrap();
    let (ingest, buffer) = open(dir.path()).await;
    let body = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[
        {"severityNumber":"no such level"}, {"severityNumber":9}, {"traceId":"0102"}, {"severityNumber":300}, {}
    ]}]}]}"#;
    let admitted = ingest.otlp(request(Signal::Logs, Encoding::Json, body)).await.unwrap();
    let places: Vec<_> = admitted.rejected.listed.iter().map(|rejection| rejection.index).collect();
    assert_eq!((admitted.accepted, places), (2, vec![0, 2, 3]));
    assert_eq!(admitted.rejected.counts[Reason::OutOfRange as usize], 1);
    assert_eq!(ledger(&buffer, &LOGS), (2, 3, 0));
}

#[tokio::test]
async fn json_points_that_cannot_be_read_count_under_their_own_table() {
    let dir = tempfile::tempdir().unwrap();
    let (ingest, buffer) = open(dir.path()).await;
    // The last metric's own fault takes both of its points with it, read twice and counted once.
    let body = r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[
        {"name":"g","gauge":{"dataPoints":[{"asInt":"many"},{"asInt":"1"}]}},
        {"name":"h","histogram":{"aggregationTemporality":2,"dataPoints":[{"count":"many"},{"count":-1},{}]}},
        {"name":["s"],"summary":{"dataPoints":[{"count":"many"},{}]}}
    ]}]}]}"#;
    let admitted = ingest.otlp(request(Signal::Metrics, Encoding::Json, body)).await.unwrap();
    assert_eq!((admitted.accepted, admitted.rejected.total()), (2, 5));
    let tables = [&METRIC_SAMPLES, &METRIC_HISTOGRAMS, &METRIC_SUMMARIES];
    assert_eq!(tables.map(|table| ledger(&buffer, table)), [(1, 1, 0), (1, 2, 0), (0, 2, 0)]);
}

#[tokio::test]
async fn a_series_has_one_row_however_many_requests_bring_it_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (ingest, buffer) = open(dir.path()).await;
    let services = ["a", "b", "c", "d"];
    let requests = (1..=24).map(|n| {
        let mut services = services;
        services.rotate_left(n % 4);
        ingest.otlp(gauges(&services[..1 + n % 4], n as u64))
    });
    let admitted: u64 = join_all(requests).await.into_iter().map(|admitted| admitted.unwrap().accepted).sum();
    assert_eq!(ledger(&buffer, &METRIC_SAMPLES), (admitted, 0, 0));
    assert_eq!(ledger(&buffer, &METRIC_SERIES), (4, 0, 0));
}

#[tokio::test]
async fn hot_series_are_known_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (ingest, buffer) = open(dir.path()).await;
    ingest.otlp(gauges(&["a"], 1)).await.unwrap();
    buffer.close().await.unwrap();
    drop((ingest, buffer));
    let (ingest, buffer) = open(dir.path()).await;
    ingest.otlp(gauges(&["a", "b"], 2)).await.unwrap();
    assert_eq!(ledger(&buffer, &METRIC_SERIES), (2, 0, 0));
}

#[tokio::test]
async fn a_series_whose_request_was_refused_comes_with_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let (ingest, buffer) = open(dir.path()).await;
    let keyed = |request: OtlpRequest| OtlpRequest { idempotency_key: Some("k1".to_owned()), ..request };
    ingest.otlp(keyed(gauges(&["a"], 1))).await.unwrap();
    ingest.otlp(keyed(gauges(&["b"], 1))).await.unwrap_err();
    assert_eq!(ledger(&buffer, &METRIC_SERIES).0, 1);
    ingest.otlp(gauges(&["b"], 2)).await.unwrap();
    assert_eq!(ledger(&buffer, &METRIC_SERIES).0, 2);
}

#[tokio::test]
async fn a_requester_that_leaves_does_not_free_its_series() {
    let dir = tempfile::tempdir().unwrap();
    let (ingest, buffer) = open(dir.path()).await;
    for polls in 1..12 {
        let name = format!("service {polls}");
        let mut leaving = Box::pin(ingest.otlp(gauges(&[&name], 1)));
        for _ in 0..polls {
            if futures_util::poll!(leaving.as_mut()).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(leaving);
        ingest.otlp(gauges(&[&name], 2)).await.unwrap();
        assert_eq!(ledger(&buffer, &METRIC_SERIES).0, polls);
    }
}
