//! One suite on both forms of the catalog: each case gets a fresh one on a file and a fresh one in memory.

use std::path::Path;

use serde_json::json;
use tempfile::TempDir;
use tidegate_model::{
    BatchId, BufferId, ColumnKind, ColumnSpec, ErrorKind, MigrationPiece, RetryKey, Seq, SeqRange, StoredRetry,
    TableName, TableSpec, UnixNanos,
};

use super::{
    BatchRow, Catalog, CatalogError, Dataset, Export, ExportEnd, ExportFilter, ExportState, Migration, MigrationFile,
    MigrationProgress, MigrationState, Refused, RefusedBy, SchemaChange, Stored, TakenPiece,
};

#[tokio::test]
async fn a_batch_is_open_until_it_is_stored() {
    for (catalog, _dir) in both_forms().await {
        let first = batch("logs", 1, 10);
        let second = batch("logs", 11, 5);
        let other = batch("spans", 1, 3);
        for batch in [&second, &other, &first] {
            catalog.add_batch(batch).await.expect("a cut is written");
        }
        assert_eq!(catalog.open_batches().await.expect("open"), [first.clone(), second.clone(), other.clone()]);

        catalog.store_batch(&first.id, UnixNanos(99), &stored_with(2, &[])).await.expect("stored");
        assert_eq!(catalog.open_batches().await.expect("open"), [second.clone(), other]);
        let stored = BatchRow { stored_at: Some(UnixNanos(99)), partitions: 2, ..first };
        assert_eq!(catalog.batches(&name("logs"), 10, None).await.expect("list"), [second, stored.clone()]);
        assert_eq!(catalog.batches(&name("logs"), 10, Some(Seq(11))).await.expect("list"), [stored]);
    }
}

#[tokio::test]
async fn a_watermark_never_goes_back() {
    for (catalog, _dir) in both_forms().await {
        let (first, second) = (batch("logs", 1, 10), batch("logs", 11, 5));
        catalog.add_batch(&first).await.expect("cut");
        catalog.add_batch(&second).await.expect("cut");
        for (id, expect) in [(&second.id, 15), (&first.id, 15)] {
            catalog.store_batch(id, UnixNanos(1), &stored_with(1, &[])).await.expect("stored");
            assert_eq!(catalog.watermarks().await.expect("watermarks")[&name("logs")], Seq(expect));
        }
    }
}

#[tokio::test]
async fn storing_the_same_batch_again_changes_nothing() {
    for (catalog, _dir) in both_forms().await {
        let batch = batch("metric_series", 1, 3);
        catalog.add_batch(&batch).await.expect("cut");
        for _ in 0..2 {
            catalog.store_batch(&batch.id, UnixNanos(5), &stored_with(1, &[u64::MAX, 7, 7])).await.expect("stored");
            catalog.add_batch(&batch).await.expect("a known cut");
        }
        let mut keys = catalog.unique_keys(&batch.table).await.expect("keys");
        keys.sort_unstable();
        assert_eq!(keys, [7, u64::MAX]);
        assert_eq!(catalog.open_batches().await.expect("open"), []);
    }
}

#[tokio::test]
async fn a_batch_that_was_never_cut_cannot_be_stored() {
    for (catalog, _dir) in both_forms().await {
        let unknown = batch("logs", 1, 10);
        let error = catalog.store_batch(&unknown.id, UnixNanos(5), &stored_with(1, &[1])).await.expect_err("unknown");
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(catalog.watermarks().await.expect("watermarks").is_empty());
        assert_eq!(catalog.unique_keys(&unknown.table).await.expect("keys"), [] as [u64; 0]);
    }
}

#[tokio::test]
async fn retry_keys_are_kept_for_their_window() {
    for (catalog, _dir) in both_forms().await {
        let (old, recent) = (retry(1, 100), retry(u128::MAX, 200));
        catalog.keep_retries(&[old.clone(), recent.clone()], UnixNanos(0)).await.expect("kept");
        assert_eq!(catalog.retries(UnixNanos(0)).await.expect("all"), [old, recent.clone()]);
        assert_eq!(catalog.retries(UnixNanos(101)).await.expect("recent"), std::slice::from_ref(&recent));
        catalog.keep_retries(std::slice::from_ref(&recent), UnixNanos(150)).await.expect("kept");
        assert_eq!(catalog.retries(UnixNanos(0)).await.expect("all"), [recent]);
    }
}

#[tokio::test]
async fn counts_are_the_last_saved() {
    for (catalog, _dir) in both_forms().await {
        catalog.save_counts(&[(name("spans"), 1, 2), (name("logs"), 3, 4)]).await.expect("saved");
        catalog.save_counts(&[(name("logs"), 5, u64::MAX)]).await.expect("saved");
        let expect = [(name("logs"), 5, u64::MAX), (name("spans"), 1, 2)];
        assert_eq!(catalog.counts().await.expect("counts"), expect);
    }
}

#[tokio::test]
async fn a_dataset_is_its_newest_version() {
    for (catalog, _dir) in both_forms().await {
        let (first, second) = (dataset(1, &["a"]), dataset(2, &["a", "b"]));
        assert_eq!(catalog.dataset("team-7", Dataset::RECORDS).await.expect("read"), None);
        catalog.put_dataset(&first, &SchemaChange::default(), UnixNanos(1)).await.expect("put");
        catalog.put_dataset(&second, &SchemaChange::default(), UnixNanos(2)).await.expect("put");
        assert_eq!(catalog.dataset("team-7", Dataset::RECORDS).await.expect("read"), Some(second.clone()));
        assert_eq!(catalog.datasets().await.expect("list"), [second]);
    }
}

#[tokio::test]
async fn the_slower_of_two_dataset_writers_is_told() {
    for (catalog, _dir) in both_forms().await {
        catalog.put_dataset(&dataset(1, &["a"]), &SchemaChange::default(), UnixNanos(1)).await.expect("put");
        for stale in [1, 3] {
            let error = catalog
                .put_dataset(&dataset(stale, &["z"]), &SchemaChange::default(), UnixNanos(2))
                .await
                .expect_err("stale");
            assert_eq!(error.kind(), ErrorKind::Conflict);
        }
        assert_eq!(catalog.dataset("team-7", Dataset::RECORDS).await.expect("read"), Some(dataset(1, &["a"])));
    }
}

#[tokio::test]
async fn a_reopened_file_has_everything() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("catalog.db");
    let (stored, open) = (batch("metric_series", 1, 10), batch("metric_series", 11, 5));
    {
        let catalog = open_at(&path).await;
        catalog.add_batch(&stored).await.expect("cut");
        catalog.store_batch(&stored.id, UnixNanos(3), &stored_with(1, &[42])).await.expect("stored");
        catalog.add_batch(&open).await.expect("cut");
        catalog.keep_retries(&[retry(9, 9)], UnixNanos(0)).await.expect("kept");
        catalog.put_dataset(&dataset(1, &["a"]), &SchemaChange::default(), UnixNanos(1)).await.expect("put");
        catalog.close().await;
    }
    let catalog = open_at(&path).await;
    assert_eq!(catalog.open_batches().await.expect("open"), [open]);
    assert_eq!(catalog.watermarks().await.expect("watermarks")[&stored.table], Seq(10));
    assert_eq!(catalog.unique_keys(&stored.table).await.expect("keys"), [42]);
    assert_eq!(catalog.retries(UnixNanos(0)).await.expect("retries"), [retry(9, 9)]);
    assert_eq!(catalog.datasets().await.expect("datasets"), [dataset(1, &["a"])]);
}

#[tokio::test]
async fn a_file_from_a_newer_program_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("catalog.db");
    let catalog = open_at(&path).await;
    sqlx::query("INSERT INTO _sqlx_migrations VALUES (9001, 'from the future', CURRENT_TIMESTAMP, 1, x'00', 0)")
        .execute(&catalog.pool)
        .await
        .expect("a migration of a newer program");
    catalog.close().await;
    let error = Catalog::open(&path).await.expect_err("newer");
    assert!(matches!(error, CatalogError::Newer { found: 9001, known: 9 }), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn datasets_of_an_earlier_program_are_tables_called_records() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("catalog.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let pool = sqlx::SqlitePool::connect_with(options).await.expect("a file");
    super::open::migrator(2).run(&pool).await.expect("the schema before");
    for columns in [&["a"][..], &["a", "b"]] {
        let version = u32::try_from(columns.len()).expect("few");
        let dataset = dataset(version, columns);
        sqlx::query("INSERT INTO datasets VALUES ('team-7', ?, ?, ?, 'a', ?)")
            .bind(version)
            .bind(dataset.spec.name.as_str())
            .bind(serde_json::to_string(&dataset.spec.columns).expect("JSON"))
            .bind(i64::from(version))
            .execute(&pool)
            .await
            .expect("a row");
    }
    pool.close().await;
    let catalog = open_at(&path).await;
    assert_eq!(catalog.datasets().await.expect("list"), [dataset(2, &["a", "b"])]);
    assert_eq!(catalog.schema_versions("team-7", Dataset::RECORDS).await.expect("versions").len(), 2);
    let record = catalog.record("team-7").expect("a record");
    assert_eq!((record.created_at, record.updated_at, record.name.as_str()), (UnixNanos(1), UnixNanos(2), "team-7"));
}

#[tokio::test]
async fn the_quarantine_has_an_end_and_a_memory() {
    for (catalog, _dir) in both_forms().await {
        let by = |origin, at| RefusedBy {
            slug: "d".into(),
            label: "records".into(),
            origin,
            at: UnixNanos(at),
            partition: String::new(),
            actor: String::new(),
        };
        let row = |index, bytes| Refused { index, reason: "r".into(), detail: "d".into(), row: "x".repeat(bytes) };
        assert_eq!(catalog.hold(&by(1, 0), &[row(0, 10), row(1, 65 << 10), row(2, 1)]).await.expect("held"), 2);
        assert_eq!(catalog.hold(&by(1, 0), &[row(0, 10)]).await.expect("known"), 1);
        assert_eq!(catalog.held_count("d").await.expect("count"), 2);
        assert_eq!(catalog.discard("d", &[1, 9]).await.expect("discarded"), 1);
        catalog.hold(&by(1, 0), &[row(0, 10)]).await.expect("remembered");
        assert_eq!(catalog.held_count("d").await.expect("count"), 1);
        catalog.hold(&by(1, 90_000_000_000_000), &[row(0, 10)]).await.expect("forgotten after a day");
        assert_eq!(catalog.held_count("d").await.expect("count"), 2);
        let many: Vec<_> = (0..1_100).map(|index| row(index, 60 << 10)).collect();
        let kept = catalog.hold(&by(2, 0), &many).await.expect("held up to 64 MiB");
        assert_eq!(kept, (64 << 20) / (60 << 10));
        assert_eq!(catalog.held("d", None, 2, 3).await.expect("list").len(), 3);
    }
}

#[tokio::test]
async fn the_list_of_exports_has_an_end_and_a_full_queue_is_told() {
    // In memory only: so many transactions take long on a disk.
    let catalog = Catalog::in_memory().await.expect("a catalog in memory");
    let (done, failed) = (ExportEnd::Completed(json!({ "rows": 7 })), ExportEnd::Failed("why".into()));
    for at in 0..410_i64 {
        let own = export(at);
        catalog.add_export(&own, Some(("asked", "{}"))).await.expect("asked");
        assert_eq!(catalog.next_export().await.expect("next").expect("one"), own);
        catalog.begin_export(&own.id).await.expect("begun");
        let end = if at < 3 { &done } else { &failed };
        catalog.end_export(&own.id, UnixNanos(at), end, None).await.expect("ended");
    }
    let mut filter = ExportFilter { slug: "d".into(), label: None, limit: 1_000, before: None };
    assert_eq!(catalog.exports(&filter).await.expect("list").len(), 403, "400 that failed, and those with files");
    let outlived = catalog.outlived_exports("d", "records", 2).await.expect("list");
    assert_eq!(outlived.iter().map(|one| one.created_at.0).collect::<Vec<_>>(), [0]);
    catalog.remove_export(&outlived[0].id).await.expect("removed");
    filter.before = Some(export(2).id);
    let older = catalog.exports(&filter).await.expect("the next page");
    assert_eq!(older.iter().map(|one| one.state).collect::<Vec<_>>(), [ExportState::Completed, ExportState::Removed]);
    assert_eq!(catalog.last_scheduled_export("d", "records").await.expect("last"), Some(UnixNanos(409)));
    for at in 500..600 {
        catalog.add_export(&export(at), None).await.expect("asked");
    }
    let error = catalog.add_export(&export(600), Some(("asked", "{}"))).await.expect_err("too many");
    assert_eq!(error.kind(), ErrorKind::Overloaded);
    let first = catalog.next_export_event().await.expect("read").expect("one");
    catalog.count_export_event(first.number).await.expect("counted");
    let again = catalog.next_export_event().await.expect("read").expect("the same");
    assert_eq!((again.number, again.attempts), (first.number, 1));
    catalog.forget_export_event(first.number).await.expect("gone");
    assert_eq!(catalog.next_export_event().await.expect("read").expect("the next").number, first.number + 1);
}

fn export(at: i64) -> Export {
    Export {
        id: format!("export-{at}"),
        slug: "d".into(),
        label: "records".into(),
        table: name("d"),
        state: ExportState::Queued,
        is_scheduled: true,
        from: None,
        to: Some(UnixNanos(at)),
        folder: "f".into(),
        target: "local".into(),
        actor: String::new(),
        attempts: 0,
        created_at: UnixNanos(at),
        finished_at: None,
        error: None,
        manifest: None,
    }
}

async fn both_forms() -> [(Catalog, Option<TempDir>); 2] {
    let dir = tempfile::tempdir().expect("a folder");
    let on_file = open_at(&dir.path().join("catalog.db")).await;
    let in_memory = Catalog::in_memory().await.expect("a catalog in memory");
    [(on_file, Some(dir)), (in_memory, None)]
}

async fn open_at(path: &Path) -> Catalog {
    Catalog::open(path).await.expect("a catalog on a file")
}

fn name(text: &str) -> TableName {
    text.parse().expect("a table's name")
}

fn batch(table: &str, first: u64, rows: u64) -> BatchRow {
    let (table, range) = (name(table), SeqRange::starting_at(Seq(first), rows));
    BatchRow {
        id: BatchId::of(BufferId(0xfeed), &table, range),
        table,
        range,
        sealed_at: UnixNanos(1),
        stored_at: None,
        bytes: 1_000,
        partitions: 1,
    }
}

fn stored_with(partitions: u32, unique_keys: &[u64]) -> Stored<'_> {
    Stored { partitions, unique_keys, sums: &[] }
}

fn retry(key: u128, at: i64) -> StoredRetry {
    StoredRetry { retry: RetryKey { key, content: key ^ 1 }, at: UnixNanos(at), answer: vec![1, 2, 3] }
}

fn dataset(version: u32, columns: &[&str]) -> Dataset {
    let kinds = [ColumnKind::List(Box::new(ColumnKind::Nullable(Box::new(ColumnKind::F64)))), ColumnKind::Word];
    let columns = columns.iter().zip(kinds).map(|(name, kind)| ColumnSpec::new(*name, kind));
    Dataset {
        slug: "team-7".into(),
        label: Dataset::RECORDS.into(),
        version,
        spec: TableSpec::new(name("dataset_team_7"), columns),
        time_column: Some("a".into()),
    }
}

#[tokio::test]
async fn a_table_has_one_open_migration_and_its_freeze_ends_by_itself() {
    let migration = |id: &str| Migration {
        id: id.to_owned(),
        slug: "visits".to_owned(),
        label: "records".to_owned(),
        state: MigrationState::Copying,
        source: json!({ "kind": "parquet" }),
        ask: String::new(),
        frozen_until: None,
        mirror_from: None,
        mirrored: Seq(0),
        mirror_end: None,
        is_applied: false,
        applied: Seq(0),
        switched_at_row: None,
        validation: None,
        created_at: UnixNanos(1),
        updated_at: UnixNanos(1),
    };
    for (catalog, _dir) in both_forms().await {
        assert!(catalog.add_migration(&migration("a")).await.expect("added"));
        assert!(!catalog.add_migration(&migration("b")).await.expect("refused"));
        let frozen = catalog.update_migration(("visits", "records"), UnixNanos(0), |migration| {
            migration.state = MigrationState::Frozen;
            migration.frozen_until = Some(UnixNanos(100));
            Ok::<_, CatalogError>(())
        });
        let frozen = frozen.await.expect("changed").expect("it is open");
        assert!(frozen.updated_at > UnixNanos(1), "no two changes have the same time");
        assert_eq!(frozen.state_at(UnixNanos(99)), MigrationState::Frozen);
        assert_eq!(frozen.state_at(UnixNanos(100)), MigrationState::Copying);
        assert!(!catalog.change_migration(&frozen, UnixNanos(1)).await.expect("somebody was faster"));
        let ended = Migration { state: MigrationState::Abandoned, updated_at: UnixNanos(200), ..frozen.clone() };
        assert!(catalog.change_migration(&ended, frozen.updated_at).await.expect("changed"));
        assert_eq!(catalog.open_migration("visits", "records"), None);
        assert_eq!(catalog.migration("a").await.expect("kept"), Some(ended));
        assert!(catalog.add_migration(&migration("b")).await.expect("added"));
        assert_eq!(catalog.migrations(Some("visits")).await.expect("list").len(), 2);
    }
}

#[tokio::test]
async fn a_file_that_is_not_what_it_was_is_named_and_pieces_are_noted_once() {
    for (catalog, _dir) in both_forms().await {
        let file = |fingerprint: &str| MigrationFile { file: "f".into(), fingerprint: fingerprint.into(), rows: 9 };
        assert_eq!(catalog.add_migration_files("m", &[file("x")]).await.expect("noted"), None);
        assert_eq!(catalog.add_migration_files("m", &[file("x")]).await.expect("known"), None);
        let more = MigrationFile { file: "e".into(), ..file("z") };
        let other = catalog.add_migration_files("m", &[more, file("y")]).await.expect("asked");
        assert_eq!(other, Some(file("y")));
        assert_eq!(catalog.migration_files("m").await.expect("files"), [file("x")], "all or nothing");
        let piece = MigrationPiece { migration: "m".into(), file: "f".into(), first: 0, rows: 5 };
        let taken = TakenPiece { piece, accepted: 4 };
        for _ in 0..2 {
            catalog.add_migration_pieces(std::slice::from_ref(&taken)).await.expect("noted");
        }
        assert_eq!(catalog.migration_pieces("m").await.expect("pieces"), [taken]);
        let progress = catalog.migration_progress("m").await.expect("progress");
        assert_eq!(progress, MigrationProgress { files: 1, rows: 9, seen: 5, accepted: 4 });
    }
}
