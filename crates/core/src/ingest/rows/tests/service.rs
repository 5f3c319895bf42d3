use std::sync::Arc;
use std::time::Duration;

use tidegate_model::limits::{DEDUP_WINDOW_SECONDS, DISK_FREE_BYTES_MIN, HOT_TAIL_BYTES, WAL_BYTES};
use tidegate_model::{Clock, ErrorKind};

use super::*;
use crate::buffer::{Buffer, BufferOptions, Remembered};
use crate::catalog::{Catalog, Dataset};
use crate::ingest::Ingest;

#[derive(Debug)]
struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> UnixNanos {
        NOW
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

/// A buffer and a catalog in a folder of their own.
struct Place {
    ingest: Ingest,
    buffer: Buffer,
    catalog: Catalog,
    _folder: tempfile::TempDir,
}

async fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let options = BufferOptions {
        dir: folder.path().join("wal"),
        sync_always: true,
        sync_interval_ms: 1,
        hot_tail_bytes: HOT_TAIL_BYTES,
        wal_bytes: WAL_BYTES,
        disk_free_bytes_min: DISK_FREE_BYTES_MIN.min(1),
        dedup_window_seconds: DEDUP_WINDOW_SECONDS,
    };
    let (buffer, _) = Buffer::open(options, Arc::new(Fixed), Remembered::default()).unwrap();
    let catalog = Catalog::in_memory().await.unwrap();
    let ingest = Ingest::open(buffer.clone(), catalog.clone(), Arc::new(Fixed)).await.unwrap();
    Place { ingest, buffer, catalog, _folder: folder }
}

fn keyed(slug: &str, key: &str, body: &str) -> DatasetRequest {
    let idempotency_key = Some(key.to_owned());
    DatasetRequest { slug: slug.to_owned(), idempotency_key, ..request(RowsFormat::Ndjson, body.to_owned()) }
}

#[tokio::test]
async fn rows_are_in_the_buffer_and_their_dataset_in_the_catalog() {
    let place = place().await;
    let body = "{\"a\":1}\n{\"a\":2}\nx";
    let admitted = place.ingest.dataset_rows(request(RowsFormat::Ndjson, body)).await.unwrap().admitted;
    assert_eq!((admitted.accepted, admitted.rejected.total()), (2, 1));
    let dataset = place.catalog.dataset("d", Dataset::RECORDS).await.unwrap().unwrap();
    assert_eq!(admitted.ranges[0].0, dataset.spec.name);
    assert_eq!(admitted.ranges[0].1.rows(), 2);
    let status = place.buffer.status();
    assert_eq!((status[0].head.0, status[0].rejected), (2, 1));

    place.ingest.dataset_rows(request(RowsFormat::Ndjson, "{\"b\":\"x\"}")).await.unwrap();
    let dataset = place.catalog.dataset("d", Dataset::RECORDS).await.unwrap().unwrap();
    assert_eq!(dataset.version, 2);
    assert!(dataset.spec.column("b").is_some());
}

#[tokio::test]
async fn a_key_with_the_same_rows_is_a_retry_and_with_others_a_conflict() {
    let place = place().await;
    let first = place.ingest.dataset_rows(keyed("d", "k", "{\"a\":1}\nx")).await.unwrap().admitted;
    let again = place.ingest.dataset_rows(keyed("d", "k", "{\"a\":1}\nx")).await.unwrap().admitted;
    assert!(again.is_retry && !first.is_retry);
    assert_eq!((again.accepted, &again.rejected), (first.accepted, &first.rejected));
    let conflict = place.ingest.dataset_rows(keyed("d", "k", "{\"a\":2}")).await.unwrap_err();
    assert_eq!(conflict.kind(), ErrorKind::Conflict);
    let elsewhere = place.ingest.dataset_rows(keyed("e", "k", "{\"a\":2}")).await.unwrap();
    assert!(!elsewhere.admitted.is_retry);
}

#[tokio::test]
async fn many_first_requests_at_once_make_one_dataset() {
    let place = place().await;
    let requests =
        (0..8).map(|n| place.ingest.dataset_rows(request(RowsFormat::Ndjson, format!("{{\"c{}\":1}}", n % 3))));
    for outcome in futures_util::future::join_all(requests).await {
        assert_eq!(outcome.unwrap().admitted.accepted, 1);
    }
    let dataset = place.catalog.dataset("d", Dataset::RECORDS).await.unwrap().unwrap();
    assert_eq!(dataset.spec.columns.len(), 2 + 3);
}

#[tokio::test]
async fn two_slugs_never_share_a_table_and_refused_rows_make_none() {
    let place = place().await;
    place.ingest.dataset_rows(keyed("a-b", "1", "{\"a\":1}")).await.unwrap();
    let taken = place.ingest.dataset_rows(keyed("a_b", "2", "{\"a\":1}")).await.unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::Conflict);
    place.ingest.dataset_rows(request(RowsFormat::Ndjson, "x")).await.unwrap();
    assert_eq!(place.catalog.dataset("d", Dataset::RECORDS).await.unwrap(), None);
}

#[tokio::test]
async fn slugs_of_one_table_that_come_at_once_never_share_it() {
    let place = place().await;
    let requests = (0..8).map(|n| {
        let slug = if n % 2 == 0 { "a-b" } else { "a_b" };
        place.ingest.dataset_rows(keyed(slug, &n.to_string(), "{\"a\":1}"))
    });
    let outcomes = futures_util::future::join_all(requests).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 4);
    assert_eq!(place.catalog.datasets().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_column_is_not_widened_where_stored_rows_cannot_be_looked_at() {
    let place = place().await;
    place.ingest.dataset_rows(request(RowsFormat::Ndjson, "{\"n\":1}")).await.unwrap();
    let body = r#"{"schema":{"fields":[{"name":"n","type":"double"}]},"rows":[{"n":0.5}]}"#;
    let refused = place.ingest.dataset_rows(request(RowsFormat::Json, body)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert_eq!(place.catalog.dataset("d", Dataset::RECORDS).await.unwrap().unwrap().version, 1);
    assert_eq!(place.buffer.status()[0].head.0, 1);
}
