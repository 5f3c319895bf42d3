//! The batch mover on buffer, catalog and engine: every row once, whatever breaks on the way.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::{ArrayRef, UInt64Array};
use tidegate_core::batch::{BatchOptions, Batcher, States};
use tidegate_core::catalog::{Dataset, SchemaChange};
use tidegate_model::{ColumnKind, ColumnSpec, PARTITION_ODD, Seq, TableSpec, UnixNanos, tables};

use crate::proxy::{Fault, Proxy};
use crate::rows::{DAY, append, dataset_table, in_earlier_form, logs, rows, spans};
use crate::world::{LIMIT, World};

/// Batches that are sealed by a flush only.
fn by_hand() -> BatchOptions {
    BatchOptions { age_ms: u64::MAX, ..BatchOptions::default() }
}

#[tokio::test]
async fn flushed_rows_are_stored_and_leave_the_tail() {
    let world = World::new().await;
    let (states, batcher) = world.open(&world.store, by_hand()).await;
    for n in 0..10 {
        append(&states.buffer, &tables::LOGS, logs(&[DAY; 3], &format!("service-{n}"), &["a", "b", "c"])).await;
    }
    append(&states.buffer, &tables::SPANS, spans("0af7", 4)).await;
    assert_eq!(batcher.flush(&[], LIMIT).await, []);
    assert_eq!(world.count("logs").await, (30, 30));
    assert_eq!(world.count("spans").await, (4, 4));
    assert_eq!(world.number("SELECT uniqExact(service_name) FROM logs").await, 10);
    assert_eq!(world.number("SELECT countIf(attributes['key of service-7'] = 'service-7') FROM logs").await, 3);
    assert_eq!(world.number("SELECT sum(span_count) FROM trace_ranges").await, 4);

    let tail = states.buffer.snapshot(std::slice::from_ref(&tables::LOGS.name)).remove(0);
    assert_eq!((tail.stored, tail.head, tail.chunks.len()), (Seq(30), Seq(30), 0));
    let batch = states.catalog.batches(&tables::LOGS.name, 10, None).await.expect("batches").remove(0);
    assert_eq!((batch.range.rows(), batch.partitions, batch.stored_at.is_some()), (30, 1, true));
    assert_eq!(states.catalog.watermarks().await.expect("watermarks")[&tables::SPANS.name], Seq(4));
    batcher.stop(LIMIT).await;
    world.engine.stop().await;
}

#[tokio::test]
async fn batches_are_sealed_by_rows_and_by_age() {
    let world = World::new().await;
    let options = BatchOptions { rows: 4, age_ms: u64::MAX, ..BatchOptions::default() };
    let (states, batcher) = world.open(&world.store, options).await;
    for _ in 0..4 {
        append(&states.buffer, &tables::LOGS, logs(&[DAY; 2], "a", &["x", "y"])).await;
    }
    wait_for_watermark(&states, 8).await;
    assert_eq!(states.catalog.batches(&tables::LOGS.name, 10, None).await.expect("batches").len(), 2);
    batcher.stop(LIMIT).await;

    let options = BatchOptions { age_ms: 1, ..BatchOptions::default() };
    let batcher = Batcher::start(states.clone(), options).await.expect("a mover");
    append(&states.buffer, &tables::LOGS, logs(&[DAY], "a", &["z"])).await;
    wait_for_watermark(&states, 9).await;
    assert_eq!(world.count("logs").await, (9, 9));
    batcher.stop(LIMIT).await;
    world.engine.stop().await;
}

#[tokio::test]
async fn a_batch_over_many_partitions_is_stored_whole() {
    let world = World::new().await;
    let (states, batcher) = world.open(&world.store, by_hand()).await;
    let days: Vec<u16> =
        (0..9).map(|n| DAY - n).chain((0..40).map(|n| DAY - 100 - 30 * n)).chain([PARTITION_ODD; 5]).collect();
    let texts = vec!["x"; days.len()];
    append(&states.buffer, &tables::LOGS, logs(&days, "a", &texts)).await;
    append(&states.buffer, &tables::LOGS, logs(&[DAY], "b", &["y"])).await;
    assert_eq!(batcher.flush(&[], LIMIT).await, []);
    assert_eq!(world.count("logs").await, (55, 55));
    assert_eq!(world.number("SELECT uniqExact(_partition) FROM logs").await, 50);
    assert_eq!(world.number("SELECT count() FROM logs WHERE _partition = '1970-01-01'").await, 5);
    assert_eq!(world.number("SELECT countIf(_seq = 55 AND body = 'y') FROM logs").await, 1);
    let batch = states.catalog.batches(&tables::LOGS.name, 1, None).await.expect("batches").remove(0);
    assert_eq!(batch.partitions, 50);
    batcher.stop(LIMIT).await;
    world.engine.stop().await;
}

#[tokio::test]
async fn an_insert_that_fails_half_way_is_completed_not_doubled() {
    let world = World::new().await;
    let proxy = Proxy::before(world.address()).await;
    let (states, batcher) = world.open(&world.store_at(&proxy.url, None), by_hand()).await;
    append(&states.buffer, &tables::LOGS, logs(&[DAY - 2], "a", &["first"])).await;
    assert_eq!(batcher.flush(&[], LIMIT).await, []);
    let days: Vec<u16> = (0..6).map(|n| DAY - n).collect();
    append(&states.buffer, &tables::LOGS, logs(&days, "a", &["x"; 6])).await;
    for fault in [Fault::LoseAnswer, Fault::CutRequest(2_000), Fault::Refuse] {
        proxy.set(fault);
        let left = batcher.flush(&[], Duration::from_millis(300)).await;
        assert_eq!(left.iter().map(|left| left.rows).collect::<Vec<_>>(), [6], "{fault:?}");
    }
    proxy.set(Fault::None);
    assert_eq!(batcher.flush(&[], LIMIT).await, []);
    assert_eq!(world.count("logs").await, (7, 7));
    let (_, report) = batcher.reports().remove(0);
    assert!(report.failures > 0 && report.stuck.is_none(), "{report:?}");
    batcher.stop(LIMIT).await;
    world.engine.stop().await;
}

#[tokio::test]
async fn inserts_go_on_through_a_killed_engine() {
    let world = World::new().await;
    let options = BatchOptions { rows: 20, age_ms: 10, ..BatchOptions::default() };
    let (states, batcher) = world.open(&world.store, options).await;
    for round in 0..3 {
        for n in 0..30 {
            append(&states.buffer, &tables::LOGS, logs(&[DAY, DAY - 1], &format!("{round}-{n}"), &["x", "y"])).await;
            append(&states.buffer, &tables::SPANS, spans(&format!("{round}-{n}"), 3)).await;
        }
        world.kill_engine().await;
    }
    assert_eq!(batcher.flush(&[], LIMIT).await, []);
    assert_eq!(world.count("logs").await, (180, 180));
    assert_eq!(world.count("spans").await, (270, 270));
    assert_eq!(world.number("SELECT sum(span_count) FROM trace_ranges").await, 270);
    batcher.stop(LIMIT).await;
    world.engine.stop().await;
}

#[tokio::test]
async fn a_batch_that_was_inserted_but_not_noted_is_not_doubled() {
    let world = World::new().await;
    let proxy = Proxy::before(world.address()).await;
    let faulty = world.store_at(&proxy.url, None);
    {
        let (states, batcher) = world.open(&faulty, by_hand()).await;
        append(&states.buffer, &tables::LOGS, logs(&[DAY], "a", &["first"])).await;
        assert_eq!(batcher.flush(&[], LIMIT).await, []);
        append(&states.buffer, &tables::LOGS, logs(&[DAY, DAY - 1, DAY], "a", &["x", "y", "z"])).await;
        proxy.set(Fault::LoseAnswer);
        let left = batcher.stop(Duration::from_secs(2)).await;
        assert_eq!(left[0].rows, 3);
        assert!(left[0].reason.is_some(), "{left:?}");
        assert_eq!(states.catalog.open_batches().await.expect("open").len(), 1);
        states.buffer.close().await.expect("closed");
        states.catalog.close().await;
    }
    // As after a crash: the cut is repeated with the same rows, though more have come.
    proxy.set(Fault::None);
    let (states, batcher) = world.open(&faulty, by_hand()).await;
    append(&states.buffer, &tables::LOGS, logs(&[DAY], "a", &["later"])).await;
    assert_eq!(batcher.flush(&[], LIMIT).await, []);
    assert_eq!(world.count("logs").await, (5, 5));
    let ranges: Vec<_> = states
        .catalog
        .batches(&tables::LOGS.name, 9, None)
        .await
        .expect("batches")
        .into_iter()
        .map(|batch| batch.range.to_string())
        .collect();
    assert_eq!(ranges, ["5..=5", "2..=4", "1..=1"]);
    batcher.stop(LIMIT).await;
    world.engine.stop().await;
}

#[tokio::test]
async fn rows_of_an_earlier_version_are_stored_in_one_insert_with_the_newer() {
    let world = World::new().await;
    let (states, batcher) = world.open(&world.store, by_hand()).await;
    let now = logs(&[DAY], "a", &["now"]);
    append(&states.buffer, &tables::LOGS, in_earlier_form(&tables::LOGS, &now)).await;
    append(&states.buffer, &tables::LOGS, now).await;
    assert_eq!(batcher.flush(&[], LIMIT).await, []);
    assert_eq!(world.count("logs").await, (2, 2));
    let reports = batcher.reports();
    assert_eq!(reports[0].1.inserts, 1, "{reports:?}");
    batcher.stop(LIMIT).await;
    world.engine.stop().await;
}

#[tokio::test]
async fn rows_of_an_older_schema_are_stored_beside_those_of_the_newer() {
    let world = World::new().await;
    let (states, batcher) = world.open(&world.store, by_hand()).await;
    let old = dataset_table(&[("id", ColumnKind::U64)]);
    let mut new = old.clone();
    new.columns.push(ColumnSpec::new("note", ColumnKind::Nullable(Box::new(ColumnKind::Text))));
    for (version, spec) in [(1, &old), (2, &new)] {
        let dataset =
            Dataset { slug: "it".into(), label: "records".into(), version, spec: spec.clone(), time_column: None };
        states.catalog.put_dataset(&dataset, &SchemaChange::default(), UnixNanos(0)).await.expect("a dataset");
        let ids: ArrayRef = Arc::new(UInt64Array::from(vec![1, 2]));
        append(&states.buffer, spec, rows(spec, &[DAY; 2], &[("id", ids)])).await;
    }
    assert_eq!(batcher.flush(&[], LIMIT).await, []);
    assert_eq!(world.count("dataset_it").await, (4, 4));
    assert_eq!(world.number("SELECT sum(id) + countIf(note IS NULL) FROM dataset_it").await, 10);
    batcher.stop(LIMIT).await;
    world.engine.stop().await;
}

#[tokio::test]
async fn a_refused_batch_waits_and_passes_when_its_cause_is_mended() {
    let world = World::new().await;
    let (states, batcher) = world.open(&world.store, by_hand()).await;
    let spec = dataset_table(&[("id", ColumnKind::U64)]);
    let ids: ArrayRef = Arc::new(UInt64Array::from(vec![1]));
    append(&states.buffer, &spec, rows(&spec, &[DAY], &[("id", ids)])).await;
    // Nobody described the table: kept, told, and never dropped.
    let left = batcher.flush(&[], Duration::from_millis(200)).await;
    assert!(left[0].reason.as_ref().is_some_and(|reason| reason.contains("dataset_it")), "{left:?}");
    batcher.stop(Duration::ZERO).await;
    let dataset = Dataset { slug: "it".into(), label: "records".into(), version: 1, spec, time_column: None };
    states.catalog.put_dataset(&dataset, &SchemaChange::default(), UnixNanos(0)).await.expect("a dataset");
    let batcher = Batcher::start(states, by_hand()).await.expect("a mover");
    assert_eq!(batcher.flush(&[], LIMIT).await, []);
    assert_eq!(world.count("dataset_it").await, (1, 1));
    batcher.stop(LIMIT).await;
    world.engine.stop().await;
}

#[tokio::test]
async fn a_table_with_many_batches_due_does_not_keep_others_waiting() {
    let world = World::new().await;
    let states = world.states(&world.store).await;
    for _ in 0..12 {
        append(&states.buffer, &tables::LOGS, logs(&[DAY], "a", &["x"])).await;
    }
    append(&states.buffer, &tables::SPANS, spans("0af7", 1)).await;
    let options = BatchOptions { rows: 1, age_ms: 0, tables_at_once: 1, ..BatchOptions::default() };
    let batcher = Batcher::start(states.clone(), options).await.expect("a mover");
    assert_eq!(batcher.flush(&[], LIMIT).await, []);
    let sealed = async |table| states.catalog.batches(table, 20, None).await.expect("batches");
    let (logs, spans) = (sealed(&tables::LOGS.name).await, sealed(&tables::SPANS.name).await);
    assert_eq!((logs.len(), spans.len()), (12, 1));
    let before = logs.iter().filter(|batch| batch.sealed_at <= spans[0].sealed_at).count();
    assert!(before <= 1, "{before} batches of logs went before the one of spans");
    batcher.stop(LIMIT).await;
    world.engine.stop().await;
}

#[tokio::test]
async fn refused_tables_do_not_keep_others_waiting() {
    let world = World::new().await;
    let (states, batcher) = world.open(&world.store, by_hand()).await;
    // Nobody described these tables: as many as may be inserted at once, and one more.
    for name in ["dataset_a", "dataset_b", "dataset_c"] {
        let spec = TableSpec { name: name.parse().expect("a name"), ..dataset_table(&[("id", ColumnKind::U64)]) };
        let ids: ArrayRef = Arc::new(UInt64Array::from(vec![1]));
        append(&states.buffer, &spec, rows(&spec, &[DAY], &[("id", ids)])).await;
    }
    append(&states.buffer, &tables::LOGS, logs(&[DAY], "a", &["x"])).await;
    assert_eq!(batcher.flush(std::slice::from_ref(&tables::LOGS.name), LIMIT).await, []);
    let left = batcher.flush(&[], Duration::from_millis(200)).await;
    assert!(left.len() == 3 && left.iter().all(|left| left.reason.is_some()), "{left:?}");
    batcher.stop(Duration::ZERO).await;
    world.engine.stop().await;
}

#[tokio::test]
async fn unique_keys_and_counts_are_remembered() {
    let world = World::new().await;
    let (states, batcher) = world.open(&world.store, by_hand()).await;
    let keys: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX, 5]));
    let spec = &tables::METRIC_SERIES;
    append(&states.buffer, spec, rows(spec, &[DAY, DAY - 1], &[("fingerprint", keys)])).await;
    states.buffer.count_rejected(&tables::LOGS.name, 7);
    assert_eq!(batcher.stop(LIMIT).await, []);
    let mut keys = states.catalog.unique_keys(&spec.name).await.expect("keys");
    keys.sort_unstable();
    assert_eq!(keys, [5, u64::MAX]);
    assert!(states.catalog.counts().await.expect("counts").contains(&(tables::LOGS.name.clone(), 7, 0)));
    world.engine.stop().await;
}

async fn wait_for_watermark(states: &States, seq: u64) {
    let reached = async {
        while states.buffer.status()[0].stored < Seq(seq) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, reached).await.expect("the batch is stored in time");
}
