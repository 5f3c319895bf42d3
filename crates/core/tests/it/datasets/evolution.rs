use tidegate_core::ingest::IngestError;
use tidegate_core::ingest::rows::RowsError;
use tidegate_model::ErrorKind;

use super::place::Place;

const FIRST: &str = r#"{"schema":{"fields":[{"name":"n","type":"integer"}]},"rows":[{"n":1},{"n":2}]}"#;

/// Rows in ClickHouse, rows in the hot tail, and a schema that knows one column.
async fn begun() -> Place {
    let place = Place::new().await;
    place.taken(FIRST).await;
    place.flush().await;
    place.taken(r#"{"rows":[{"n":3}]}"#).await;
    place
}

fn with(field: &str, evolution: &str, rows: &str) -> String {
    format!(
        r#"{{"schema":{{"fields":[{{"name":"n","type":"integer"}},{field}],"evolution":{{{evolution}}}}},"rows":[{rows}]}}"#
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_with_a_default_is_in_the_next_answer_of_all_rows() {
    let place = begun().await;
    let field = r#"{"name":"s","type":"string"}"#;
    place
        .taken(&with(field, r#""defaults":{"s":"it's \\ new"},"backfill":true"#, r#"{"n":4},{"n":5,"s":"own"}"#))
        .await;
    let expected = "1\tit\\'s \\\\ new\n2\tit\\'s \\\\ new\n3\tit\\'s \\\\ new\n4\tit\\'s \\\\ new\n5\town";
    place.hot_and_stored("SELECT n, s FROM visits ORDER BY n", expected).await;

    let field = r#"{"name":"s","type":"string"},{"name":"at","type":"timestamp"},{"name":"d","type":"double"}"#;
    place
        .taken(&with(field, r#""defaults":{"at":"2026-11-21T05:00:00.5Z","d":0.25}"#, r#"{"n":6},{"n":7,"d":-1}"#))
        .await;
    let expected = "5\t\\N\t\\N\n6\t1795237200500000000\t0.25\n7\t1795237200500000000\t-1";
    let sql = "SELECT n, toUnixTimestamp64Nano(at), d FROM visits WHERE n > 4 ORDER BY n";
    place.hot_and_stored(sql, expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declared_column_is_in_the_next_answer_without_any_row() {
    let place = begun().await;
    place.flush().await;
    place.taken(&with(r#"{"name":"l","type":"array(date)"}"#, "", "")).await;
    assert_eq!(
        place.answer("SELECT * EXCEPT (_seq, _partition, _partition_key) FROM visits ORDER BY n").await,
        "1\t[]\n2\t[]\n3\t[]"
    );
    // Not even the table was there.
    place.taken(r#"{"tableName":"empty","schema":{"fields":[{"name":"n","type":"integer"}]},"rows":[]}"#).await;
    assert_eq!(place.answer("SELECT count(), sum(n) FROM visits__empty").await, "0\t\\N");
}

#[tokio::test(flavor = "multi_thread")]
async fn keywords_are_texts_of_few_values_whoever_declares_them_otherwise() {
    let place = begun().await;
    place.taken(&with(r#"{"name":"k","type":"keyword"}"#, "", r#"{"n":4,"k":"lisbon"},{"n":5,"k":""},{"n":6}"#)).await;
    place.taken(&with(r#"{"name":"k","type":"string"}"#, "", r#"{"n":7,"k":"lisbon"}"#)).await;
    place.taken(r#"{"rows":[{"n":8,"k":"porto"},{"n":9,"k":1.50}]}"#).await;
    let sql = "SELECT k, count(), any(toTypeName(k)) FROM visits GROUP BY k ORDER BY k NULLS FIRST";
    let kind = "LowCardinality(Nullable(String))";
    let expected = format!("\\N\t4\t{kind}\n\t1\t{kind}\n1.50\t1\t{kind}\nlisbon\t2\t{kind}\nporto\t1\t{kind}");
    place.hot_and_stored(sql, &expected).await;
    place.hot_and_stored("SELECT count() FROM visits WHERE k = 'lisbon' AND startsWith(k, 'lis')", "2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn integers_become_doubles_where_all_of_them_are() {
    let place = begun().await;
    let declared = r#"{"schema":{"fields":[{"name":"n","type":"double"}]},"rows":[{"n":0.5},{"n":9007199254740993}]}"#;
    let taken = place.taken(declared).await;
    assert_eq!((taken.admitted.accepted, taken.admitted.rejected.total()), (1, 1));
    assert_eq!(taken.change.expect("a change").widened, ["n"]);
    let sql = "SELECT n, toTypeName(n) FROM visits ORDER BY n";
    let expected = "0.5\tNullable(Float64)\n1\tNullable(Float64)\n2\tNullable(Float64)\n3\tNullable(Float64)";
    place.hot_and_stored(sql, expected).await;
    // Whoever still declares integers sends doubles.
    place.taken(FIRST).await;
    place.hot_and_stored("SELECT sum(n), count() FROM visits", "9.5\t6").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_integer_that_no_double_is_keeps_its_column_hot_and_stored() {
    for stored in [false, true] {
        let place = begun().await;
        place.taken(r#"{"rows":[{"n":9007199254740993}]}"#).await;
        if stored {
            place.flush().await;
        }
        let error = place.send(r#"{"schema":{"fields":[{"name":"n","type":"double"}]},"rows":[{"n":0.5}]}"#).await;
        let error = error.expect_err("a refusal");
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.to_string().contains("holds 9007199254740993"), "{error}");
        place.hot_and_stored("SELECT max(n), count() FROM visits", "9007199254740993\t4").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_breaking_change_is_refused_with_a_plan_and_nothing_is_written() {
    let place = begun().await;
    let body = r#"{"schema":{"fields":[{"name":"m","type":"double"}]},"rows":[{"m":1}]}"#;
    let Err(IngestError::Rows { error: RowsError::Schema { reasons, plan, .. } }) = place.send(body).await else {
        panic!("it was not refused")
    };
    assert_eq!((reasons.len(), plan.len(), plan[0].action), (1, 1, "keep_column"));
    let body = r#"{"schema":{"fields":[{"name":"n","type":"string"},{"name":"m","type":"double"}]},"rows":[{"m":1}]}"#;
    let Err(IngestError::Rows { error: RowsError::Schema { reasons, plan, .. } }) = place.send(body).await else {
        panic!("it was not refused")
    };
    assert_eq!((reasons.len(), plan.len(), plan[0].action), (1, 3, "add_column"));
    place.hot_and_stored("SELECT sum(n), count() FROM visits", "6\t3").await;
    let versions = place.states.catalog.schema_versions("visits", "records").await.expect("versions");
    assert_eq!(versions.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_widening_that_a_crash_cut_off_is_finished_by_the_next_read() {
    let place = begun().await;
    // As if the program had ended between the catalog and ClickHouse.
    let mut dataset = place.states.catalog.dataset("visits", "records").await.expect("a catalog").expect("a dataset");
    let double = tidegate_model::FieldType::One(tidegate_model::Scalar::Double);
    dataset.version += 1;
    dataset.spec.columns.iter_mut().filter(|column| column.name == "n").for_each(|n| n.kind = double.optional_kind());
    let put = place.states.catalog.put_dataset(&dataset, &Default::default(), place.states.clock.now()).await;
    put.expect("a version");
    let place = place.restarted().await;
    assert_eq!(place.answer("SELECT sum(n), any(toTypeName(n)) FROM visits").await, "6\tNullable(Float64)");
    place.flush().await;
    assert_eq!(place.answer("SELECT sum(n), any(toTypeName(n)) FROM visits").await, "6\tNullable(Float64)");
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_is_found_and_mended_where_that_loses_nothing() {
    let place = begun().await;
    place.taken(&with(r#"{"name":"s","type":"string"},{"name":"d","type":"date"}"#, "", r#"{"n":4,"s":"x"}"#)).await;
    place.flush().await;
    let (store, dataset) = (&place.world.store, place.states.catalog.dataset("visits", "records").await);
    let spec = dataset.expect("a catalog").expect("a dataset").spec;
    assert_eq!(store.reconcile(&[&spec]).await.expect("a comparison"), []);
    for change in ["DROP COLUMN s", "MODIFY COLUMN d Nullable(String)"] {
        store.execute(&format!("ALTER TABLE tidegate.visits {change} SETTINGS alter_sync = 1")).await.expect(change);
    }
    let drifts = store.reconcile(&[&spec]).await.expect("a comparison");
    let told: Vec<_> = drifts.iter().map(|one| (one.column.as_str(), one.found.as_deref(), one.is_mended)).collect();
    assert_eq!(told, [("d", Some("Nullable(String)"), false), ("s", None, true)]);
    assert_eq!(place.answer("SELECT count(), count(s) FROM visits").await, "4\t0");
}
