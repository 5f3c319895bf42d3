//! Manifests: one published for each partition of each batch, whatever breaks; and what `verify` finds when somebody
//! changes the rows behind them.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::builder::{Int64Builder, MapBuilder, MapFieldNames, StringBuilder};
use arrow_array::{
    Array as _, ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, ListArray, StringArray,
    TimestampNanosecondArray, UInt64Array,
};
use arrow_buffer::OffsetBuffer;
use arrow_schema::Field;
use tidegate_core::batch::{BatchOptions, Batcher, States};
use tidegate_core::catalog::{Dataset, Manifest, ManifestFilter, SchemaChange};
use tidegate_core::verify::{self, TableReport};
use tidegate_model::{ColumnKind, ColumnSpec, ManifestState, TableName, TableSpec, UnixNanos, tables};

use crate::proxy::{Fault, Proxy};
use crate::rows::{DAY, append, dataset_table, logs, rows, spans};
use crate::world::{LIMIT, World};

fn by_hand() -> BatchOptions {
    BatchOptions { age_ms: u64::MAX, ..BatchOptions::default() }
}

async fn manifests(states: &States, table: &TableName) -> Vec<Manifest> {
    let filter = ManifestFilter { table: table.clone(), shard: None, state: None, limit: 100, after: None };
    states.catalog.manifests(&filter).await.expect("manifests")
}

async fn verified(states: &States, table: &TableName) -> TableReport {
    let reports = verify::verify(&states.buffer, &states.catalog, &states.store).await.expect("a verification");
    reports.into_iter().find(|report| report.ledger.table == *table).expect("the table's report")
}

/// A dataset with a column of every type that datasets have, and the values that are easily lost on a way.
fn everything() -> TableSpec {
    let optional = |kind| ColumnKind::Nullable(Box::new(kind));
    dataset_table(&[
        ("at", ColumnKind::Timestamp),
        ("number", optional(ColumnKind::F64)),
        ("whole", optional(ColumnKind::I64)),
        ("flag", optional(ColumnKind::Bool)),
        ("text", optional(ColumnKind::Text)),
        ("keyword", optional(ColumnKind::Keyword)),
        ("list", ColumnKind::List(Box::new(optional(ColumnKind::F64)))),
        ("labels", ColumnKind::Labels),
        ("map", ColumnKind::Attributes),
        ("word", ColumnKind::Word),
        ("short", optional(ColumnKind::Decimal { precision: 9, scale: 2 })),
        ("middle", optional(ColumnKind::Decimal { precision: 18, scale: 0 })),
        ("wide", optional(ColumnKind::Decimal { precision: 38, scale: 10 })),
        ("date", optional(ColumnKind::Date)),
        ("uuid", optional(ColumnKind::Uuid)),
        ("json", optional(ColumnKind::Json)),
        ("uuids", ColumnKind::List(Box::new(optional(ColumnKind::Uuid)))),
        ("counts", ColumnKind::Map(Box::new(optional(ColumnKind::I64)))),
    ])
}

fn everything_rows(spec: &TableSpec) -> arrow_array::RecordBatch {
    let nan = f64::from_bits(0x7ff8_0000_0000_0001);
    let day = i64::from(DAY) * 86_400_000_000_000;
    let lists = Float64Array::from(vec![Some(-0.0), None, Some(f64::NAN), Some(1e300)]);
    let list = ListArray::new(
        Arc::new(Field::new("item", lists.data_type().clone(), true)),
        OffsetBuffer::from_lengths([0, 3, 1, 0]),
        Arc::new(lists),
        None,
    );
    let long = "ä".repeat(200);
    let decimals = |precision, scale, values: [Option<i128>; 4]| -> ArrayRef {
        let values = Decimal128Array::from(values.to_vec());
        Arc::new(values.with_precision_and_scale(precision, scale).expect("a decimal"))
    };
    let ids = ["00112233-4455-6677-8899-aabbccddeeff", "ffffffff-ffff-ffff-ffff-ffffffffffff"];
    let listed = StringArray::from(vec![Some(ids[1]), None, Some(ids[0])]);
    let uuids = ListArray::new(
        Arc::new(Field::new("item", listed.data_type().clone(), true)),
        OffsetBuffer::from_lengths([2, 0, 1, 0]),
        Arc::new(listed),
        None,
    );
    let [entry, key, value] = ["entries", "keys", "values"].map(str::to_owned);
    let names = MapFieldNames { entry, key, value };
    let mut counts = MapBuilder::new(Some(names), StringBuilder::new(), Int64Builder::new());
    for entries in [&[("z", Some(1)), ("a", None)][..], &[], &[("z", Some(i64::MIN))], &[]] {
        for (key, value) in entries {
            counts.keys().append_value(key);
            counts.values().append_option(*value);
        }
        counts.append(true).expect("as many keys as values");
    }
    let given: [(&str, ArrayRef); 15] = [
        ("short", decimals(9, 2, [Some(-1), Some(999_999_999), None, Some(0)])),
        ("middle", decimals(18, 0, [Some(-999_999_999_999_999_999), Some(1), None, Some(0)])),
        ("wide", decimals(38, 10, [Some(10_i128.pow(38) - 1), Some(-(10_i128.pow(38) - 1)), None, Some(0)])),
        ("date", Arc::new(Date32Array::from(vec![Some(-25_567), Some(0), None, Some(120_529)]))),
        ("uuid", Arc::new(StringArray::from(vec![Some(ids[0]), Some(ids[1]), None, None]))),
        ("json", Arc::new(StringArray::from(vec![Some("{\"a\": 1.0}"), Some("[]"), None, Some("null")]))),
        ("uuids", Arc::new(uuids)),
        ("counts", Arc::new(counts.finish())),
        ("at", Arc::new(TimestampNanosecondArray::from(vec![day, day + 1, day - 5, -1]).with_timezone("UTC"))),
        ("number", Arc::new(Float64Array::from(vec![Some(nan), Some(-0.0), Some(f64::INFINITY), None]))),
        ("whole", Arc::new(Int64Array::from(vec![Some(i64::MIN), Some(i64::MAX), None, Some(0)]))),
        ("flag", Arc::new(BooleanArray::from(vec![Some(true), Some(false), None, None]))),
        ("text", Arc::new(StringArray::from(vec![Some(""), Some(&long), None, Some("a\0b")]))),
        ("list", Arc::new(list)),
        ("keyword", Arc::new(StringArray::from(vec![Some(""), Some("lisbon"), None, Some("lisbon")]))),
    ];
    rows(spec, &[DAY, DAY, DAY - 1, 0], &given)
}

async fn with_dataset(states: &States, spec: &TableSpec, version: u32) {
    let (slug, label) = ("it".to_owned(), Dataset::RECORDS.to_owned());
    let dataset = Dataset { slug, label, version, spec: spec.clone(), time_column: Some("at".into()) };
    states.catalog.put_dataset(&dataset, &SchemaChange::default(), UnixNanos(0)).await.expect("a dataset");
}

#[tokio::test]
async fn every_partition_of_a_batch_has_one_published_manifest_that_clickhouse_agrees_with() {
    let world = World::new().await;
    let (states, batcher) = world.open(&world.store, by_hand()).await;
    let spec = everything();
    with_dataset(&states, &spec, 1).await;
    append(&states.buffer, &spec, everything_rows(&spec)).await;
    append(&states.buffer, &tables::LOGS, logs(&[DAY, DAY - 1, DAY], "a", &["x", "y", "z"])).await;
    append(&states.buffer, &tables::SPANS, spans("0af7", 4)).await;
    assert_eq!(batcher.flush(&[], LIMIT).await, []);

    let found = manifests(&states, &spec.name).await;
    let told: Vec<_> = found.iter().map(|one| (one.partition, one.state, one.sum.rows, one.schema_version)).collect();
    let published = |day, rows| (day, ManifestState::Published, rows, Some(1));
    assert_eq!(told, [published(DAY, 2), published(DAY - 1, 1), published(0, 1)]);
    let day = i64::from(DAY) * 86_400_000_000_000;
    assert_eq!(found[0].sum.times, Some((UnixNanos(day), UnixNanos(day + 1))));
    assert_eq!(found[1].sum.range.map(|range| range.to_string()).as_deref(), Some("3..=3"));
    for table in [&spec.name, &tables::LOGS.name, &tables::SPANS.name] {
        let report = verified(&states, table).await;
        assert!(report.is_exact() && report.manifests > 0, "{report:?}");
    }
    // A merge moves rows, and changes none.
    world.store.execute("OPTIMIZE TABLE tidegate.dataset_it FINAL").await.expect("a merge");
    assert!(verified(&states, &spec.name).await.is_exact());
    batcher.stop(LIMIT).await;
    world.engine.stop().await;
}

#[tokio::test]
async fn verify_names_the_manifest_of_a_changed_a_lost_and_a_doubled_row() {
    let world = World::new().await;
    let (states, batcher) = world.open(&world.store, by_hand()).await;
    let spec = everything();
    with_dataset(&states, &spec, 1).await;
    for _ in 0..9 {
        append(&states.buffer, &spec, everything_rows(&spec)).await;
        assert_eq!(batcher.flush(&[], LIMIT).await, []);
    }
    assert!(verified(&states, &spec.name).await.is_exact());
    let alter = "ALTER TABLE tidegate.dataset_it";
    let corruptions = [
        format!("{alter} DELETE WHERE _seq = 1 SETTINGS mutations_sync = 2"),
        "INSERT INTO tidegate.dataset_it SELECT * FROM tidegate.dataset_it WHERE _seq = 6".to_owned(),
        format!("{alter} UPDATE number = 0.0 WHERE _seq = 10 SETTINGS mutations_sync = 2"),
        format!("{alter} UPDATE text = NULL WHERE _seq = 13 SETTINGS mutations_sync = 2"),
        format!("{alter} UPDATE list = [nan, NULL, -0.0] WHERE _seq = 18 SETTINGS mutations_sync = 2"),
        format!("{alter} UPDATE wide = wide + 0.0000000001 WHERE _seq = 22 SETTINGS mutations_sync = 2"),
        format!("{alter} UPDATE uuids = reverse(uuids) WHERE _seq = 25 SETTINGS mutations_sync = 2"),
        format!("{alter} UPDATE counts = map('z', 1, 'a', 0) WHERE _seq = 29 SETTINGS mutations_sync = 2"),
    ];
    for (done, corruption) in corruptions.iter().enumerate() {
        world.store.execute(corruption).await.expect("a corruption");
        let report = verified(&states, &spec.name).await;
        let batches: Vec<_> = report.altered.iter().map(|one| one.manifest.clone()).collect();
        let range = |batch: usize| format!(":dataset_it:{}-{}:{DAY}:1", 4 * batch + 1, 4 * batch + 4);
        assert_eq!(batches.len(), done + 1, "after {corruption}: {report:?}");
        assert!((0..=done).all(|batch| batches[batch].ends_with(&range(batch))), "{batches:?}");
        assert!(!report.is_exact());
    }
    // Two rows that change places with their numbers are two changed rows.
    let swap = format!(
        "{alter} UPDATE whole = if(_seq = 33, 9223372036854775807, -9223372036854775808) WHERE _seq IN (33, 34) SETTINGS mutations_sync = 2"
    );
    world.store.execute(&swap).await.expect("a swap");
    assert_eq!(verified(&states, &spec.name).await.altered.len(), corruptions.len() + 1);
    batcher.stop(LIMIT).await;
    world.engine.stop().await;
}

#[tokio::test]
async fn a_batch_that_fails_and_is_repeated_has_one_manifest() {
    let world = World::new().await;
    let proxy = Proxy::before(world.address()).await;
    let faulty = world.store_at(&proxy.url, None);
    {
        let (states, batcher) = world.open(&faulty, by_hand()).await;
        append(&states.buffer, &tables::LOGS, logs(&[DAY], "a", &["first"])).await;
        assert_eq!(batcher.flush(&[], LIMIT).await, []);
        append(&states.buffer, &tables::LOGS, logs(&[DAY, DAY - 1, DAY], "a", &["x", "y", "z"])).await;
        for fault in [Fault::CutRequest(2_000), Fault::LoseAnswer] {
            proxy.set(fault);
            assert_eq!(batcher.flush(&[], Duration::from_millis(300)).await[0].rows, 3);
        }
        batcher.stop(Duration::ZERO).await;
        let states_of: Vec<_> = manifests(&states, &tables::LOGS.name).await.iter().map(|one| one.state).collect();
        assert_eq!(states_of, [ManifestState::Draft, ManifestState::Draft, ManifestState::Published]);
        states.buffer.close().await.expect("closed");
        states.catalog.close().await;
    }
    proxy.set(Fault::None);
    let (states, batcher) = world.open(&faulty, by_hand()).await;
    assert_eq!(batcher.flush(&[], LIMIT).await, []);
    let found = manifests(&states, &tables::LOGS.name).await;
    assert!(found.iter().all(|one| one.state == ManifestState::Published && one.version == 1), "{found:?}");
    assert_eq!(found.iter().map(|one| one.sum.rows).collect::<Vec<_>>(), [2, 1, 1]);
    assert!(verified(&states, &tables::LOGS.name).await.is_exact());
    batcher.stop(LIMIT).await;
    world.engine.stop().await;
}

#[tokio::test]
async fn rows_of_two_schemas_in_one_batch_are_summed_over_what_both_have() {
    let world = World::new().await;
    let (states, batcher) = world.open(&world.store, by_hand()).await;
    let old = dataset_table(&[("at", ColumnKind::Timestamp), ("id", ColumnKind::U64)]);
    let mut new = old.clone();
    new.columns.push(ColumnSpec::new("note", ColumnKind::Nullable(Box::new(ColumnKind::Text))));
    for (version, spec) in [(1, &old), (2, &new)] {
        with_dataset(&states, spec, version).await;
        let ids: ArrayRef = Arc::new(UInt64Array::from(vec![1, 2]));
        append(&states.buffer, spec, rows(spec, &[DAY; 2], &[("id", ids)])).await;
    }
    assert_eq!(batcher.flush(&[], LIMIT).await, []);
    let found = manifests(&states, &new.name).await;
    assert_eq!(found.iter().map(|one| (one.sum.rows, one.schema_version)).collect::<Vec<_>>(), [(4, Some(2))]);
    assert!(verified(&states, &new.name).await.is_exact());
    let change = "ALTER TABLE tidegate.dataset_it UPDATE id = 3 WHERE _seq = 4 SETTINGS mutations_sync = 2";
    world.store.execute(change).await.expect("a change");
    assert_eq!(verified(&states, &new.name).await.altered.len(), 1);
    batcher.stop(LIMIT).await;
    world.engine.stop().await;
}

#[tokio::test]
async fn a_manifest_of_rows_that_were_changed_on_purpose_is_superseded() {
    let world = World::new().await;
    let (states, batcher) = world.open(&world.store, by_hand()).await;
    append(&states.buffer, &tables::LOGS, logs(&[DAY; 3], "a", &["x", "y", "z"])).await;
    assert_eq!(batcher.flush(&[], LIMIT).await, []);
    let erase = "ALTER TABLE tidegate.logs DELETE WHERE body = 'y' SETTINGS mutations_sync = 2";
    world.store.execute(erase).await.expect("an erasure");
    let first = manifests(&states, &tables::LOGS.name).await.remove(0);
    let sum = verify::sum_stored(&first, &states.catalog, &states.store).await.expect("a sum");
    assert_eq!(sum.rows, 2);
    let second = states.catalog.supersede_manifest(&first, &sum, UnixNanos(7)).await.expect("superseded");
    let found = manifests(&states, &tables::LOGS.name).await;
    assert_eq!(found[0], second);
    assert_eq!((found[0].version, found[0].state, found[0].sum.rows), (2, ManifestState::Published, 2));
    assert_eq!((found[1].state, found[1].superseded_at), (ManifestState::Superseded, Some(UnixNanos(7))));
    assert!(verified(&states, &tables::LOGS.name).await.is_exact());
    let totals = states.catalog.manifest_totals(&tables::LOGS.name, Some(DAY), None).await.expect("totals");
    assert_eq!((totals.manifests, totals.partitions, totals.rows), (1, 1, 2));
    // The slower of two is told.
    assert!(states.catalog.supersede_manifest(&first, &sum, UnixNanos(8)).await.is_err());
    batcher.stop(LIMIT).await;
    world.engine.stop().await;
}

#[tokio::test]
async fn the_watermark_in_clickhouse_follows_the_rows_and_never_goes_before_them() {
    let world = World::new().await;
    let proxy = Proxy::before(world.address()).await;
    let (states, batcher) = world.open(&world.store_at(&proxy.url, None), by_hand()).await;
    let spec = everything();
    with_dataset(&states, &spec, 1).await;
    append(&states.buffer, &spec, everything_rows(&spec)).await;
    assert_eq!(batcher.flush(&[], LIMIT).await, []);
    let told = "SELECT max(watermark) * 10 + toUnixTimestamp64Nano(max(watermark_timestamp)) % 10 FROM ingest_watermarks \
                WHERE dataset_slug = 'it' AND table_name = 'dataset_it' AND clickhouse_revision > 0";
    assert_eq!(world.number(told).await, 41, "row 4, and the time of row 2");
    append(&states.buffer, &spec, everything_rows(&spec)).await;
    proxy.set(Fault::CutRequest(100));
    assert_eq!(batcher.flush(&[], Duration::from_millis(300)).await[0].rows, 4);
    assert_eq!(world.number(told).await, 41, "nothing is promoted before its rows are there");
    proxy.set(Fault::None);
    assert_eq!(batcher.flush(&[], LIMIT).await, []);
    assert_eq!(world.number(told).await, 81);
    batcher.stop(LIMIT).await;
    world.engine.stop().await;
}

#[tokio::test]
async fn rows_that_are_only_counted_have_no_manifest() {
    let world = World::new().await;
    let states = world.states(&world.store).await;
    let options = BatchOptions { unkept: vec![tables::LOGS.name.clone()], ..by_hand() };
    let batcher = Batcher::start(states.clone(), options).await.expect("a mover");
    append(&states.buffer, &tables::LOGS, logs(&[DAY], "a", &["x"])).await;
    assert_eq!(batcher.flush(&[], LIMIT).await, []);
    assert_eq!(manifests(&states, &tables::LOGS.name).await, []);
    batcher.stop(LIMIT).await;
    world.engine.stop().await;
}
