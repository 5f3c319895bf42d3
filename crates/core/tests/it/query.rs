//! Reads of stored and hot rows together: right in every form of SQL, at every moment of a batch's way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arrow_array::{ArrayRef, StringArray, UInt8Array, UInt32Array};
use futures_util::TryStreamExt;
use tidegate_core::batch::States;
use tidegate_core::buffer::{Buffer, BufferOptions, Cut, Remembered};
use tidegate_core::catalog::{Dataset, SchemaChange};
use tidegate_core::query::{Format, FreshnessMode, Query, QueryError, QueryOptions, ReadAnswer, ReadRequest};
use tidegate_core::store::Store;
use tidegate_model::{ColumnKind, ErrorKind, Seq, TableSpec, tables};
use tokio::sync::Semaphore;

use crate::rows::{DAY, append, arrow_stream, dataset_table, rows, words};
use crate::world::{LIMIT, World};

/// Rows of `logs`, and half as many of `spans`.
const LOGS: u32 = 60;

/// A world with tables and an open buffer, and reads over both.
pub(crate) struct Reads {
    pub(crate) world: World,
    pub(crate) states: States,
    pub(crate) query: Query,
}

impl Reads {
    pub(crate) async fn new() -> Self {
        let world = World::new().await;
        world.store.migrate().await.expect("the tables");
        let states = world.states(&world.store).await;
        let query = Query {
            buffer: states.buffer.clone(),
            store: world.store.clone(),
            catalog: states.catalog.clone(),
            rollup: states.rollup.clone(),
            options: QueryOptions { fresh_wait: Duration::from_millis(50), ..QueryOptions::default() },
        };
        Self { world, states, query }
    }

    async fn read(&self, sql: &str) -> Result<String, QueryError> {
        text(self.query.read(request(sql)).await?).await
    }

    /// Inserts the next cut as `batch` does, up to the last step.
    async fn insert(&self, spec: &TableSpec, rows_max: u64) -> Option<Cut> {
        let cut = self.states.buffer.seal(&spec.name, rows_max, u64::MAX)?;
        insert(&self.world.store, spec, &cut).await;
        Some(cut)
    }

    pub(crate) async fn store_all(&self, spec: &TableSpec) {
        while let Some(cut) = self.insert(spec, u64::MAX).await {
            self.states.buffer.advance(&spec.name, cut.range.last);
        }
    }
}

/// Each chunk is its own insert, under its own token: slow, and good at showing half a batch.
async fn insert(store: &Store, spec: &TableSpec, cut: &Cut) {
    for chunk in &cut.chunks {
        let rows = chunk.rows().expect("rows");
        let stream = arrow_stream(spec, &rows, chunk.range.first.0);
        let token = chunk.range.to_string();
        while let Err(error) = store.insert(spec, &token, stream.clone()).await {
            assert!(error.kind().is_retryable(), "{error}");
            tokio::task::yield_now().await;
        }
    }
}

/// Asks for lines of values with tabs between them.
pub(crate) fn request(sql: &str) -> ReadRequest {
    static IDS: AtomicU64 = AtomicU64::new(0);
    ReadRequest {
        sql: sql.into(),
        params: Vec::new(),
        format: Format::named("TabSeparated").expect("a format"),
        min_watermark: None,
        max_rows: None,
        timeout: None,
        query_id: format!("it-{}-{}", std::process::id(), IDS.fetch_add(1, Ordering::Relaxed)),
    }
}

async fn text(answer: ReadAnswer) -> Result<String, QueryError> {
    let pieces: Vec<_> = answer.body.try_collect().await?;
    Ok(String::from_utf8(pieces.concat()).expect("text").trim_end().to_owned())
}

/// Appends log records `from..to`, in requests of seven, each with a service name in a dictionary of its own.
async fn append_logs(buffer: &Buffer, from: u32, to: u32) {
    let all: Vec<u32> = (from..to).collect();
    for numbers in all.chunks(7) {
        let services: Vec<_> = numbers.iter().map(|n| format!("service-{}", n % 3)).collect();
        let services: Vec<_> = services.iter().map(String::as_str).collect();
        let given: [(&str, ArrayRef); 4] = [
            ("body", Arc::new(StringArray::from_iter_values(numbers.iter().map(|n| format!("row {n}"))))),
            ("service_name", words(&services)),
            ("severity_number", Arc::new(UInt8Array::from_iter_values(numbers.iter().map(|n| (n % 5) as u8)))),
            ("flags", Arc::new(UInt32Array::from(numbers.to_vec()))),
        ];
        append(buffer, &tables::LOGS, rows(&tables::LOGS, &days(numbers), &given)).await;
    }
}

async fn append_spans(buffer: &Buffer, from: u32, to: u32) {
    let numbers: Vec<u32> = (from..to).collect();
    let names = StringArray::from_iter_values(numbers.iter().map(|n| format!("trace {n}")));
    let given: [(&str, ArrayRef); 2] =
        [("trace_id", Arc::new(names)), ("flags", Arc::new(UInt32Array::from(numbers.clone())))];
    append(buffer, &tables::SPANS, rows(&tables::SPANS, &days(&numbers), &given)).await;
}

/// Every request has rows of two partitions.
fn days(numbers: &[u32]) -> Vec<u16> {
    numbers.iter().map(|n| DAY - (n % 2) as u16).collect()
}

/// Every form of SQL that names our tables, with its answer over `logs` 0..60 and `spans` 0..30, numbers in `flags`.
fn forms() -> Vec<(&'static str, String)> {
    let sum: u32 = (0..LOGS).sum();
    let by_service: BTreeMap<u32, u32> = (0..LOGS).fold(BTreeMap::new(), |mut sums, n| {
        *sums.entry(n % 3).or_default() += n;
        sums
    });
    let by_service: Vec<_> = by_service.iter().map(|(service, sum)| format!("service-{service}\t20\t{sum}")).collect();
    vec![
        ("SELECT count() FROM logs", "60".into()),
        ("SELECT count(), uniqExact(_seq), min(_seq), max(_seq) FROM logs", "60\t60\t1\t60".into()),
        ("select sum(flags) from tidegate.logs", sum.to_string()),
        ("select sum(`flags`) from `tidegate` . \"logs\"", sum.to_string()),
        ("from logs select sum(logs.flags)", sum.to_string()),
        ("select sum(tidegate.logs.flags) from tidegate.logs", sum.to_string()),
        ("select sum(l.flags) from logs as l where l.body like 'row %'", sum.to_string()),
        ("select body from logs where logs.flags = 59", "row 59".into()),
        ("select service_name, count(), sum(flags) from logs group by 1 order by 1", by_service.join("\n")),
        ("select count() from logs a join logs b on a._seq = b._seq", "60".into()),
        ("select count() from logs a join tidegate.logs b using (_seq)", "60".into()),
        ("select count() from logs, spans where logs.flags = spans.flags", "30".into()),
        ("select count() from logs where flags in (select flags from spans)", "30".into()),
        ("select count() from logs where flags not in (select flags from spans where flags < 10)", "50".into()),
        ("select count() from logs where exists (select 1 from spans where spans.flags = logs.flags)", "30".into()),
        ("select count(), (select max(flags) from spans) from logs", "60\t29".into()),
        (
            "select * from (select count() as n from logs union all select count() from spans) order by n",
            "30\n60".into(),
        ),
        ("(select count() from logs) union all (select count() from logs)", "60\n60".into()),
        (
            "select * from (select flags from logs intersect select flags from spans where flags < 2) order by flags",
            "0\n1".into(),
        ),
        ("with 1 as x select count() + x from logs", "61".into()),
        ("with (select max(flags) from logs) as m select m", "59".into()),
        ("with big as (select * from logs where flags >= 50) select count() from big", "10".into()),
        (
            "with big as (select flags from logs) select (select count() from big), (select max(flags) from big)",
            "60\t59".into(),
        ),
        ("with logs as (select 7 as n) select n from logs", "7".into()),
        ("with logs as (select * from logs where flags >= 50) select count() from logs", "10".into()),
        ("with logs as (select flags from tidegate.logs where flags >= 50) select count() from logs", "10".into()),
        ("with logs as (select 1 as n) select count() from tidegate.logs", "60".into()),
        (
            "with recursive t as (select 1 as n union all select n + 1 from t where n < 5) \
             select max(n), (select count() from logs) from t",
            "5\t60".into(),
        ),
        (
            "with recursive t as (select toUInt32(0) as n union all select flags from t, logs where flags = n + 1 and flags < 6) \
             select max(n) from t",
            "5".into(),
        ),
        ("select count() from (select * from (select * from logs))", "60".into()),
        ("select * from (with y as (select flags from logs) select count() from y)", "60".into()),
        ("select count(*), count(distinct severity_number) from logs", "60\t5".into()),
        ("select body as logs from logs where logs = 'row 58'", "row 58".into()),
        ("select 'logs' from logs where flags = 58", "logs".into()),
        ("select length(untuple(tuple(columns('^body$')))) from logs where flags = 58", "6".into()),
        ("select flags from logs order by flags desc limit 3", "59\n58\n57".into()),
        ("select flags from logs order by service_name, flags desc limit 1 by service_name", "57\n58\n59".into()),
        ("select max(flags) over (partition by service_name) as m from logs order by m limit 1", "57".into()),
        ("select flags * 2 from logs where flags = 30 -- the end", "60".into()),
        ("select flags from logs where flags = 31 /* end */ ;", "31".into()),
        ("select flags from logs where flags = 32 FORMAT TSV", "32".into()),
        ("select count() from logs array join [1, 2] as x", "120".into()),
        ("select count() from system.one, logs", "60".into()),
        ("select toDate(_partition) = '2026-11-20', count() from logs group by 1 order by 1", "0\t30\n1\t30".into()),
        ("select count(), sum(flags) from logs where _partition = '2026-11-20'", format!("30\t{}", 30 * 29)),
    ]
}

async fn check_forms(reads: &Reads, moment: &str) {
    for (sql, expected) in forms() {
        let answer = reads.read(sql).await.unwrap_or_else(|error| panic!("{moment}: {sql}: {error}"));
        assert_eq!(answer, expected, "{moment}: {sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_of_sql_answers_as_a_recount_at_every_moment_of_a_batch() {
    let reads = Reads::new().await;
    let buffer = &reads.states.buffer;
    append_logs(buffer, 0, LOGS).await;
    append_spans(buffer, 0, LOGS / 2).await;
    check_forms(&reads, "all rows hot").await;

    let cut = reads.insert(&tables::LOGS, 20).await.expect("a cut");
    assert_eq!(reads.world.count("tidegate.logs").await, (cut.range.rows(), cut.range.rows()));
    check_forms(&reads, "a batch inserted, the watermark not moved").await;

    buffer.advance(&tables::LOGS.name, cut.range.last);
    reads.store_all(&tables::SPANS).await;
    check_forms(&reads, "some rows stored").await;

    reads.world.kill_engine().await;
    check_forms(&reads, "after a restart of the engine").await;

    reads.store_all(&tables::LOGS).await;
    check_forms(&reads, "all rows stored").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_columns_of_every_table_read_alike_hot_and_stored() {
    let reads = Reads::new().await;
    for spec in tables::all() {
        append(&reads.states.buffer, spec, rows(spec, &[DAY, DAY - 1], &[])).await;
        let sql = format!("select * from {} order by _seq format JSONCompact", spec.name);
        let strip = |text: String| text.split("\"statistics\"").next().map(str::to_owned);
        let hot = strip(reads.read(&sql).await.expect("hot rows"));
        reads.store_all(spec).await;
        let stored = strip(reads.read(&sql).await.expect("stored rows"));
        assert_eq!(hot, stored, "{}", spec.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_are_right_at_every_moment_while_batches_move_and_the_engine_dies() {
    let reads = Arc::new(Reads::new().await);
    let acked = Arc::new(AtomicU64::new(0));
    let done = Arc::new(AtomicBool::new(false));
    let answers = Arc::new(Semaphore::new(0));

    let mover = tokio::spawn({
        let (reads, done) = (Arc::clone(&reads), Arc::clone(&done));
        async move {
            while !done.load(Ordering::Acquire) {
                match reads.insert(&tables::LOGS, 50).await {
                    Some(cut) => reads.states.buffer.advance(&tables::LOGS.name, cut.range.last),
                    None => tokio::task::yield_now().await,
                }
            }
        }
    });
    let readers: Vec<_> = FORMS_AT_ONCE
        .into_iter()
        .map(|sql| {
            let (reads, acked) = (Arc::clone(&reads), Arc::clone(&acked));
            let (answers, done) = (Arc::clone(&answers), Arc::clone(&done));
            tokio::spawn(async move {
                while !done.load(Ordering::Acquire) {
                    let before = acked.load(Ordering::Acquire);
                    let answer = reads.read(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
                    let numbers: Vec<u64> = answer.split('\t').map(|n| n.parse().expect("a number")).collect();
                    assert!(numbers.iter().all(|n| *n == numbers[0]), "{sql}: {answer}");
                    assert!(numbers[0] >= before, "{sql}: {answer}, {before} rows were acknowledged before");
                    answers.add_permits(1);
                }
            })
        })
        .collect();

    for round in 0..60_u32 {
        append_logs(&reads.states.buffer, round * 10, round * 10 + 10).await;
        acked.store(u64::from(round + 1) * 10, Ordering::Release);
        // As many answers as rounds: rows come in between reads, however slow those are.
        answers.acquire().await.expect("never closed").forget();
        if round % 30 == 15 {
            reads.world.kill_engine().await;
        }
    }
    done.store(true, Ordering::Release);
    mover.await.expect("the mover");
    for reader in readers {
        reader.await.expect("a reader");
    }
    assert_eq!(reads.read("select count(), max(_seq) from logs").await.expect("a count"), "600\t600");
}

/// All numbers of an answer are the same: rows seen, distinct rows, the newest row.
const FORMS_AT_ONCE: [&str; 4] = [
    "SELECT count(), uniqExact(_seq), max(_seq) FROM logs",
    "SELECT count() FROM logs",
    "SELECT count(), uniqExact(a._seq), max(b._seq) FROM logs a JOIN logs b ON a._seq = b._seq",
    "SELECT (SELECT count() FROM logs), (SELECT max(_seq) FROM logs), count() FROM logs WHERE _seq IN (SELECT _seq FROM logs)",
];

#[tokio::test(flavor = "multi_thread")]
async fn freshness_is_said_and_asked_for() {
    let reads = Reads::new().await;
    let buffer = &reads.states.buffer;
    append_logs(buffer, 0, 7).await;

    let hot = reads.query.read(request("select count() from logs")).await.expect("an answer");
    assert_eq!(hot.freshness.mode, FreshnessMode::ReplicaAndHotBuffer);
    assert_eq!(hot.freshness.watermarks, [(tables::LOGS.name.clone(), Seq(7))]);
    drop(hot);

    reads.store_all(&tables::LOGS).await;
    let stored = reads.query.read(request("select count() from logs")).await.expect("an answer");
    assert_eq!((stored.freshness.mode, stored.freshness.replica_age_ms), (FreshnessMode::ReplicaOnly, 0));

    let reads = Arc::new(reads);
    let wants = |text: &str| ReadRequest { min_watermark: Some(text.into()), ..request("select count() from logs") };
    let early = reads.query.read(wants("logs=8")).await.err().expect("row 8 was never acknowledged");
    assert_eq!(early.kind(), ErrorKind::Conflict);
    assert!(early.to_string().contains("the newest acknowledged one is 7"), "{early}");
    assert_eq!(reads.query.read(wants("logs")).await.err().expect("no number").kind(), ErrorKind::Invalid);

    let patient = Query { options: QueryOptions::default(), ..reads.query.clone() };
    let waiting = tokio::spawn(async move { text(patient.read(wants("8")).await?).await });
    append_logs(buffer_of(&reads), 7, 9).await;
    assert_eq!(waiting.await.expect("a task").expect("it came"), "9");
}

fn buffer_of(reads: &Reads) -> &Buffer {
    &reads.states.buffer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_never_a_short_answer() {
    let reads = Reads::new().await;
    append_logs(&reads.states.buffer, 0, LOGS).await;
    let kind = async |sql: &str| reads.read(sql).await.expect_err(sql).kind();

    assert_eq!(kind("select nothing from logs").await, ErrorKind::Invalid);
    assert_eq!(kind("select throwIf(flags = 5) from logs").await, ErrorKind::Invalid);
    assert_eq!(
        kind("select throwIf(number = 40000000) from numbers(50000000) as n, logs where flags = 1").await,
        ErrorKind::Invalid
    );
    assert_eq!(kind("select * from file('/etc/passwd')").await, ErrorKind::Invalid);

    let syntax = reads.read("select count() fron logs where").await.expect_err("a syntax error").to_string();
    assert!(syntax.contains("failed at position 21") && !syntax.contains("_hot_"), "{syntax}");

    let few = ReadRequest { max_rows: Some(5), ..request("select * from logs") };
    let refused = match reads.query.read(few).await {
        Ok(answer) => text(answer).await.expect_err("sixty rows"),
        Err(error) => error,
    };
    assert_eq!(refused.kind(), ErrorKind::Invalid, "{refused}");

    let slow = "select sleepEachRow(0.1), _seq from logs";
    let short = ReadRequest { timeout: Some(Duration::from_secs(1)), ..request(slow) };
    let late = match reads.query.read(short).await {
        Ok(answer) => text(answer).await.expect_err("six seconds of sleep"),
        Err(error) => error,
    };
    assert_eq!(late.kind(), ErrorKind::Timeout, "{late}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_nobody_waits_for_ends_in_the_engine() {
    let reads = Reads::new().await;
    append_logs(&reads.states.buffer, 0, 7).await;
    let endless = request("select number, flags from numbers(100000000000) as n, logs");
    let answer = reads.query.read(endless).await.expect("first bytes");
    // Written so that it does not find itself.
    let running = "select count() from system.processes where query like '%numbers(100000' || '000000)%'";
    assert_eq!(reads.world.number(running).await, 1);
    drop(answer);
    let ended = async {
        while reads.world.number(running).await > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, ended).await.expect("it is killed");
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_choose_values_and_tables() {
    let reads = Reads::new().await;
    append_logs(&reads.states.buffer, 0, 7).await;
    let param = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let sql =
        "select count() from {table:Identifier} where {column:Identifier} >= {least:UInt32} and body != {text:String}";
    let params = vec![param("table", "logs"), param("column", "flags"), param("least", "3"), param("text", "row 4'")];
    let answer = reads.query.read(ReadRequest { params, ..request(sql) }).await.expect("an answer");
    assert_eq!(text(answer).await.expect("a count"), "4");
}

#[tokio::test(flavor = "multi_thread")]
async fn hot_rows_from_before_a_column_was_added_read_as_stored_ones() {
    let reads = Reads::new().await;
    let first = dataset_table(&[("name", ColumnKind::Text)]);
    let grown = dataset_table(&[
        ("name", ColumnKind::Text),
        ("value", ColumnKind::Nullable(Box::new(ColumnKind::F64))),
        ("tag", ColumnKind::Word),
        ("labels", ColumnKind::Attributes),
    ]);
    let buffer = &reads.states.buffer;
    append(buffer, &first, rows(&first, &[DAY], &[("name", Arc::new(StringArray::from(vec!["old"])))])).await;
    append(buffer, &grown, rows(&grown, &[DAY], &[("tag", words(&["t"]))])).await;
    let dataset = |version, spec: &TableSpec| {
        let (slug, label, spec) = ("it".into(), Dataset::RECORDS.into(), spec.clone());
        Dataset { slug, label, version, spec, time_column: None }
    };
    for (version, spec) in [(1, &first), (2, &grown)] {
        let (change, now) = (SchemaChange::default(), reads.states.clock.now());
        reads.states.catalog.put_dataset(&dataset(version, spec), &change, now).await.expect("a dataset");
    }
    // No batch has made the table yet: the read does.
    let sql = format!("select name, value, tag, labels, _seq from {} order by _seq", grown.name);
    assert_eq!(reads.read(&sql).await.expect("hot rows"), "old\t\\N\t\t{}\t1\n\t\\N\tt\t{}\t2");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_format_that_is_offered_is_written_by_the_engine() {
    let reads = Reads::new().await;
    append_logs(&reads.states.buffer, 0, 7).await;
    for word in Format::known().split(", ") {
        let format = Format::named(word).expect("a known format");
        let asked = ReadRequest { format, ..request("select flags, body, attributes from logs") };
        let answer = reads.query.read(asked).await.unwrap_or_else(|error| panic!("{word}: {error}"));
        assert_eq!(answer.content_type, format.content_type);
        let pieces: Vec<_> = answer.body.try_collect().await.unwrap_or_else(|error| panic!("{word}: {error}"));
        assert!(pieces.concat().len() > 20, "{word}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_function_of_the_engine_is_known_and_judged() {
    const HARMLESS: [&str; 13] = [
        "format",
        "generateRandom",
        "generateSeries",
        "generate_series",
        "null",
        "numbers",
        "numbers_mt",
        "primes",
        "SQLStandardValues",
        "values",
        "zeros",
        "zeros_mt",
        "VALUES",
    ];
    let reads = Reads::new().await;
    let names = reads.read("select name from system.table_functions").await.expect("names");
    for name in names.lines().filter(|name| !HARMLESS.contains(name)) {
        let refused = reads.read(&format!("select 1 from {name}(1)")).await.expect_err(name);
        assert!(matches!(refused, QueryError::Refused { .. }), "{name}: {refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_not_in_memory_are_read_back_for_a_query() {
    let reads = Reads::new().await;
    let options = BufferOptions {
        dir: reads.world.dir.path().join("wal without memory"),
        sync_always: true,
        sync_interval_ms: 100,
        hot_tail_bytes: 0,
        wal_bytes: 1 << 30,
        disk_free_bytes_min: 0,
        dedup_window_seconds: 600,
    };
    let clock = Arc::clone(&reads.states.clock);
    let (buffer, _) = Buffer::open(options, clock, Remembered::default()).expect("a buffer");
    append_logs(&buffer, 0, LOGS).await;
    assert_eq!(buffer.hot_bytes(), 0);

    let query = Query { buffer, ..reads.query.clone() };
    let answer = query.read(request("select count(), sum(flags), uniqExact(body) from logs")).await.expect("an answer");
    assert_eq!(text(answer).await.expect("counts"), "60\t1770\t60");
}
