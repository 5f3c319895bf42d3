//! The store on the engine process, and on a network that fails.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::{ArrayRef, StringArray, UInt64Array};
use futures_util::StreamExt;
use tidegate_core::store::{
    Compression, Engine, EngineData, EngineState, External, Outlet, Select, Store, StoreError, StoreOptions,
};
use tidegate_model::{ColumnKind, ColumnSpec, ErrorKind, tables};

use crate::proxy::{Fault, Proxy};
use crate::rows::{DAY, arrow_stream, dataset_table, logs, rows, spans};
use crate::world::{LIMIT, World, engine_options};

#[tokio::test]
async fn an_insert_repeated_under_its_token_adds_nothing() {
    let world = World::new().await;
    world.store.migrate().await.expect("the schema");
    let stream = || arrow_stream(&tables::LOGS, &logs(&[DAY, DAY], "a", &["one", "two"]), 1);
    for _ in 0..3 {
        world.store.insert(&tables::LOGS, "batch:1", stream()).await.expect("an insert");
    }
    assert_eq!(world.count("logs").await, (2, 2));
    world.kill_engine().await;
    world.store.insert(&tables::LOGS, "batch:1", stream()).await.expect("an insert");
    assert_eq!(world.count("logs").await, (2, 2));
    // The token tells copies apart, not the content.
    world.store.insert(&tables::LOGS, "batch:2", stream()).await.expect("an insert");
    assert_eq!(world.count("logs").await, (4, 2));
    world.engine.stop().await;
}

#[tokio::test]
async fn a_repeated_insert_is_not_counted_twice_behind_a_view() {
    let world = World::new().await;
    world.store.migrate().await.expect("the schema");
    for _ in 0..2 {
        let stream = arrow_stream(&tables::SPANS, &spans("0af7", 5), 1);
        world.store.insert(&tables::SPANS, "batch:1", stream).await.expect("an insert");
    }
    assert_eq!(world.number("SELECT sum(span_count) FROM trace_ranges WHERE trace_id = '0af7'").await, 5);
    let span = "SELECT toUInt64(toUnixTimestamp64Nano(max(last_timestamp)) - toUnixTimestamp64Nano(min(first_timestamp))) FROM trace_ranges";
    assert_eq!(world.number(span).await, 1_004);
    world.engine.stop().await;
}

#[tokio::test]
async fn a_lost_answer_is_an_error_and_the_rows_are_there_once() {
    let (world, proxy, faulty) = behind_proxy().await;
    let stream = || arrow_stream(&tables::LOGS, &logs(&[DAY], "a", &["one"]), 1);
    proxy.set(Fault::LoseAnswer);
    let error = faulty.insert(&tables::LOGS, "batch:1", stream()).await.expect_err("no answer came");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    proxy.set(Fault::None);
    faulty.insert(&tables::LOGS, "batch:1", stream()).await.expect("the repeat");
    assert_eq!(world.count("logs").await, (1, 1));
    world.engine.stop().await;
}

#[tokio::test]
async fn a_request_that_was_cut_stores_all_or_nothing() {
    let (world, proxy, faulty) = behind_proxy().await;
    let texts: Vec<String> = (0..2_000).map(|n| format!("text {n}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let stream = || arrow_stream(&tables::LOGS, &logs(&[DAY; 2_000], "a", &texts), 1);
    for bytes in [10, 700, 3_000, 40_000] {
        proxy.set(Fault::CutRequest(bytes));
        faulty.insert(&tables::LOGS, "batch:1", stream()).await.expect_err("it was cut");
        assert_eq!(world.count("logs").await, (0, 0), "cut after {bytes}");
    }
    proxy.set(Fault::None);
    faulty.insert(&tables::LOGS, "batch:1", stream()).await.expect("the repeat");
    assert_eq!(world.count("logs").await, (2_000, 2_000));
    world.engine.stop().await;
}

#[tokio::test]
async fn rows_that_break_off_are_not_stored() {
    let world = World::new().await;
    world.store.migrate().await.expect("the schema");
    let stream = || arrow_stream(&tables::LOGS, &logs(&[DAY, DAY], "a", &["one", "two"]), 1);
    let send = async |is_whole: bool| {
        let (mut outlet, rows) = Outlet::open();
        let encoding = tokio::task::spawn_blocking(move || {
            stream().into_iter().for_each(|piece| outlet.push(piece).expect("it is taken"));
            is_whole.then(|| outlet.finish())
        });
        let (outcome, _) = tokio::join!(world.store.insert(&tables::LOGS, "batch:1", rows), encoding);
        outcome
    };
    send(false).await.expect_err("it broke off");
    assert_eq!(world.count("logs").await, (0, 0));
    send(true).await.expect("the repeat");
    assert_eq!(world.count("logs").await, (2, 2));
    world.engine.stop().await;
}

#[tokio::test]
async fn a_cut_answer_is_never_a_short_one() {
    let (world, proxy, faulty) = behind_proxy().await;
    let sql = "SELECT number FROM numbers(300000)";
    let whole = read(&faulty, select("whole", sql)).await.expect("the whole answer");
    assert_eq!(whole.lines().count(), 300_000);
    for bytes in [0, 100, 5_000, whole.len() / 2, whole.len()] {
        proxy.set(Fault::CutAnswer(bytes));
        let error = read(&faulty, select(&format!("cut-{bytes}"), sql)).await.expect_err("it was cut");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "cut after {bytes}: {error:?}");
    }
    world.engine.stop().await;
}

#[tokio::test]
async fn a_stalled_peer_is_a_timeout() {
    let (world, proxy, faulty) = behind_proxy().await;
    proxy.set(Fault::Stall);
    let stalled = Select { timeout: Duration::from_millis(300), ..select("stalled", "SELECT 1") };
    let error = read(&faulty, stalled).await.expect_err("nothing comes");
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error:?}");
    world.engine.stop().await;
}

#[tokio::test]
async fn our_own_statements_survive_a_connection_that_breaks() {
    let (world, proxy, faulty) = behind_proxy().await;
    faulty.ping().await.expect("a sign of life");
    let before = proxy.connections();
    proxy.set(Fault::Refuse);
    let refused = faulty.rows("SELECT 1 AS one", &[]).await.expect_err("refused");
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert!(proxy.connections() > before + 2, "it was tried again");
    proxy.set(Fault::None);
    assert_eq!(faulty.rows("SELECT 1 AS one", &[]).await.expect("rows")[0]["one"], 1);
    world.engine.stop().await;
}

#[tokio::test]
async fn an_exception_in_the_middle_of_an_answer_is_an_error() {
    let world = World::new().await;
    world.store.migrate().await.expect("the schema");
    let sql = "SELECT throwIf(number = 3000000, 'too far') FROM numbers(4000000)";
    let mut late = select("late", sql);
    late.settings.push(("max_block_size".into(), "1000".into()));
    let error = read(&world.store, late).await.expect_err("it fails on the way");
    match error {
        StoreError::Refused { code: 395, text } => assert!(text.contains("too far"), "{text}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(read(&world.store, select("next", "SELECT 1")).await.expect("clean"), "1\n");
    world.engine.stop().await;
}

#[tokio::test]
async fn a_refusal_has_clickhouses_code_and_text() {
    let world = World::new().await;
    world.store.migrate().await.expect("the schema");
    for (sql, code, kind) in [
        ("SELECT * FROM no_such_table", 60, ErrorKind::NotFound),
        ("SELECT no_such_column FROM logs", 47, ErrorKind::Invalid),
        ("SELEC 1", 62, ErrorKind::Invalid),
    ] {
        let error = read(&world.store, select("refused", sql)).await.expect_err(sql);
        assert_eq!(error.kind(), kind, "{sql}");
        assert!(matches!(&error, StoreError::Refused { code: found, .. } if *found == code), "{sql}: {error:?}");
    }
    world.engine.stop().await;
}

#[tokio::test]
async fn rows_travel_with_a_query() {
    let world = World::new().await;
    world.store.migrate().await.expect("the schema");
    let spec = dataset_table(&[("id", ColumnKind::U64), ("name", ColumnKind::Text)]);
    let names: ArrayRef = Arc::new(StringArray::from(vec!["x", "y", "z"]));
    let ids: ArrayRef = Arc::new(UInt64Array::from(vec![7, 8, 9]));
    let batch = rows(&spec, &[DAY; 3], &[("id", ids), ("name", names)]);
    let external = External {
        name: "_hot".into(),
        structure: "_partition Date, id UInt64, name String, _seq UInt64".into(),
        arrow_stream: arrow_stream(&spec, &batch, 5),
    };
    let long = "x".repeat(100_000);
    let sql = format!("SELECT id, name, _seq, length('{long}') FROM _hot WHERE id > {{least:UInt64}} ORDER BY id");
    let mut select = select("external", &sql);
    select.external.push(external);
    select.params.push(("least".into(), "7".into()));
    assert_eq!(read(&world.store, select).await.expect("rows"), "8\ty\t6\t100000\n9\tz\t7\t100000\n");
    world.engine.stop().await;
}

#[tokio::test]
async fn a_dropped_answer_ends_its_query() {
    let world = World::new().await;
    world.store.migrate().await.expect("the schema");
    let endless = "SELECT repeat('x', 10000), sleepEachRow(0.001) FROM system.numbers";
    let mut endless = select("endless", endless);
    endless.settings.push(("max_block_size".into(), "100".into()));
    let mut answer = world.store.select(endless).await.expect("it begins");
    assert!(matches!(answer.body.next().await, Some(Ok(_))));
    drop(answer);
    let running = "SELECT count() FROM system.processes WHERE query LIKE '%sleepEachRow(0.001)%' AND query NOT LIKE '%system.processes%'";
    let gone = async { while world.number(running).await > 0 {} };
    tokio::time::timeout(LIMIT, gone).await.expect("the query is ended");
    world.engine.stop().await;
}

#[tokio::test]
async fn migrations_run_twice_and_tell_beforehand_what_they_do() {
    let world = World::new().await;
    let plan = world.store.migration_plan().await.expect("a plan");
    assert_eq!(plan.iter().map(|step| step.version).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert!(plan[0].statements.iter().any(|statement| statement.contains("`metric_series`")));
    let none = "SELECT count() FROM system.tables WHERE database = 'tidegate'";
    assert_eq!(world.store.rows("SELECT 1", &[]).await.map_err(|error| error.kind()), Err(ErrorKind::NotFound));
    // As after a crash between two statements: the first half is there already.
    for statement in &plan[0].statements[..4] {
        world.store.execute(statement).await.expect("a statement");
    }
    world.store.migrate().await.expect("the schema");
    let tables = world.number(none).await;
    assert_eq!(world.store.migration_plan().await.expect("a plan"), []);
    world.store.migrate().await.expect("again");
    assert_eq!(world.number(none).await, tables);
    world.engine.stop().await;
}

#[tokio::test]
async fn a_roll_up_is_the_same_before_and_after_its_parts_merge() {
    let world = World::new().await;
    world.store.migrate().await.expect("the schema");
    let columns = "(_partition, signal, name, records, first_timestamp, last_timestamp, series, example, _seq)";
    // An empty example is none.
    for (records, time, series, example) in [(10, 5, "[1, 2]", ""), (3, 2, "[2, 3]", "e2"), (1, 9, "[]", "")] {
        let row = format!("('2026-11-21', 'metrics', 'm', {records}, {time}, {time}, {series}, '{example}', {time})");
        world
            .store
            .execute(&format!("INSERT INTO tidegate.catalog_signals {columns} VALUES {row}"))
            .await
            .expect("a row");
    }
    let grouped = "SELECT toString((name, sum(records), toUnixTimestamp64Nano(min(first_timestamp)), \
         toUnixTimestamp64Nano(max(last_timestamp)), arraySort(groupUniqArrayArray(series)), max(example), max(_seq))) \
         AS row FROM tidegate.catalog_signals GROUP BY name";
    let expected = r#"[Object {"row": String("('m',14,2,9,[1,2,3],'e2',9)")}]"#;
    for optimize in [false, true] {
        if optimize {
            world.store.execute("OPTIMIZE TABLE tidegate.catalog_signals FINAL").await.expect("a merge");
            assert_eq!(world.number("SELECT count() FROM tidegate.catalog_signals").await, 1);
        }
        let rows = world.store.rows(grouped, &[]).await.expect("one row");
        assert_eq!(format!("{rows:?}"), expected);
    }
    world.engine.stop().await;
}

#[tokio::test]
async fn the_statements_for_a_cluster_are_ones_that_clickhouse_reads() {
    let world = World::new().await;
    let cluster = Store::new(StoreOptions {
        url: format!("http://{}", world.address()),
        cluster: Some("main".into()),
        ..world.engine.access().clone()
    });
    let plan = cluster.expect("a store").migration_plan().await.expect("a plan");
    let statements: Vec<_> = plan.iter().flat_map(|step| &step.statements).collect();
    assert!(statements.iter().any(|statement| statement.contains("ENGINE = ReplicatedAggregatingMergeTree")));
    assert!(
        statements
            .iter()
            .any(|statement| statement.contains("ENGINE = Distributed('main', 'tidegate', 'logs_local', _seq)"))
    );
    for statement in statements {
        let explained = world.store.execute(&format!("EXPLAIN AST {statement}")).await;
        explained.unwrap_or_else(|error| panic!("{error}: {statement}"));
    }
    world.engine.stop().await;
}

#[tokio::test]
async fn a_database_from_a_newer_program_is_refused() {
    let world = World::new().await;
    world.store.migrate().await.expect("the schema");
    let newer =
        "INSERT INTO tidegate.tidegate_schema (version, name, applied_at) SELECT 9001, 'from the future', now64(9)";
    world.store.execute(newer).await.expect("a step of a newer program");
    let error = world.store.migrate().await.expect_err("newer");
    assert!(matches!(error, StoreError::Newer { found: 9001, known: 8, .. }), "{error:?}");
    world.engine.stop().await;
}

#[tokio::test]
async fn a_table_gets_the_columns_that_it_lacks_and_keeps_its_rows() {
    let world = World::new().await;
    world.store.migrate().await.expect("the schema");
    let mut spec = dataset_table(&[("time", ColumnKind::Timestamp), ("odd ` name", ColumnKind::U64)]);
    world.store.ensure_table(&spec).await.expect("the table");
    let batch = rows(&spec, &[DAY], &[]);
    world.store.insert(&spec, "1", arrow_stream(&spec, &batch, 1)).await.expect("a row");
    spec.columns.push(ColumnSpec::new("added", ColumnKind::Nullable(Box::new(ColumnKind::F64))));
    for _ in 0..2 {
        world.store.ensure_table(&spec).await.expect("the column");
    }
    let batch = rows(&spec, &[DAY], &[]);
    world.store.insert(&spec, "2", arrow_stream(&spec, &batch, 2)).await.expect("a row");
    assert_eq!(world.number("SELECT countIf(added IS NULL) FROM dataset_it").await, 2);

    spec.columns[2] = ColumnSpec::new("odd ` name", ColumnKind::Text);
    let error = world.store.ensure_table(&spec).await.expect_err("another type");
    assert!(matches!(&error, StoreError::OtherType { column, .. } if column == "odd ` name"), "{error:?}");
    world.engine.stop().await;
}

#[tokio::test]
async fn compressed_bodies_hold_the_same_rows() {
    let (world, proxy, _) = behind_proxy().await;
    for (n, compression) in [Compression::Lz4, Compression::Zstd].into_iter().enumerate() {
        let store = world.store_at(&proxy.url, Some(compression));
        let stream = arrow_stream(&tables::LOGS, &logs(&[DAY], "a", &["one"]), n as u64 + 1);
        store.insert(&tables::LOGS, &format!("batch:{n}"), stream).await.expect("an insert");
        let text = read(&store, select(&format!("compressed-{n}"), "SELECT count(), any(body) FROM logs")).await;
        assert_eq!(text.expect("an answer"), format!("{}\tone\n", n + 1));
    }
    world.engine.stop().await;
}

#[tokio::test]
async fn an_engine_in_memory_answers_like_one_on_a_folder() {
    let (engine, store) = Engine::start(engine_options(EngineData::Memory)).expect("it starts");
    engine.ready(LIMIT).await.expect("it answers");
    store.migrate().await.expect("the schema");
    assert_eq!(store.rows("SELECT count() AS n FROM logs", &[]).await.expect("rows")[0]["n"], 0);
    engine.stop().await;
    assert_eq!(engine.status().borrow().state, EngineState::Stopped);
    assert_eq!(store.ping().await.expect_err("gone").kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn an_engine_that_cannot_start_says_why() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("a file, not a folder");
    std::fs::write(&file, "x").expect("a file");
    let (engine, _) = Engine::start(engine_options(EngineData::Folder(file))).expect("the program is there");
    let mut status = engine.status();
    let down = status.wait_for(|status| matches!(status.state, EngineState::Down { .. }));
    let status = tokio::time::timeout(LIMIT, down).await.expect("in time").expect("it lives").clone();
    assert!(matches!(&status.state, EngineState::Down { reason } if reason.contains("ended with")), "{status:?}");
    engine.stop().await;
}

/// Reads an answer to its end.
async fn read(store: &Store, select: Select) -> Result<String, StoreError> {
    let mut answer = store.select(select).await?;
    let mut text = Vec::new();
    while let Some(piece) = answer.body.next().await {
        text.extend_from_slice(&piece?);
    }
    Ok(String::from_utf8(text).expect("text"))
}

fn select(query_id: &str, sql: &str) -> Select {
    Select {
        sql: sql.into(),
        format: "TabSeparated",
        params: Vec::new(),
        settings: Vec::new(),
        external: Vec::new(),
        query_id: query_id.into(),
        timeout: LIMIT,
    }
}

/// An engine with its schema, and a second store that reaches it through a network that fails.
async fn behind_proxy() -> (World, Proxy, Store) {
    let world = World::new().await;
    world.store.migrate().await.expect("the schema");
    let proxy = Proxy::before(world.address()).await;
    let store = world.store_at(&proxy.url, None);
    (world, proxy, store)
}
