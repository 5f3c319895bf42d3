//! Reads of datasets without SQL against a plain evaluation in memory: random rows, random requests, the rows hot,
//! stored, and both.

mod forms;
mod oracle;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::TryStreamExt;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tidegate_core::batch::{BatchOptions, Batcher, States};
use tidegate_core::catalog::Dataset;
use tidegate_core::ingest::Ingest;
use tidegate_core::ingest::rows::{DatasetRequest, RowsFormat};
use tidegate_core::query::{DatasetQuery, Query, QueryError, QueryOptions};
use tidegate_core::world::SystemClock;
use tidegate_model::ErrorKind;

use crate::world::{LIMIT, World};
use oracle::Row;

/// A dataset, its rows in memory, and all that answers.
struct Lake {
    world: World,
    states: States,
    batcher: Batcher,
    ingest: Ingest,
    query: Query,
    rows: Vec<Row>,
}

impl Lake {
    async fn new() -> Self {
        let world = World::new().await;
        world.store.migrate().await.expect("the tables");
        let options = BatchOptions { age_ms: u64::MAX, ..BatchOptions::default() };
        let (states, batcher) = world.open(&world.store, options).await;
        let clock = Arc::new(SystemClock::start());
        let ingest = Ingest::open(states.buffer.clone(), states.catalog.clone(), clock).await.expect("ingest");
        let query = Query {
            buffer: states.buffer.clone(),
            store: world.store.clone(),
            catalog: states.catalog.clone(),
            rollup: states.rollup.clone(),
            options: QueryOptions::default(),
        };
        Self { world, states, batcher, ingest, query, rows: Vec::new() }
    }

    /// Takes rows in, all of one partition key.
    async fn add(&mut self, key: Option<&str>, rows: Vec<Row>) {
        let mut body = json!({ "schema": oracle::schema(), "rows": rows.iter().map(Row::json).collect::<Vec<_>>() });
        if let Some(key) = key {
            body["partition"] = json!({ "key": { "region": key, "level": key.len().to_string() } });
        }
        let (format, body) = (RowsFormat::Json, Bytes::from(body.to_string()));
        // Rows that were sent before in the same words are meant to be there twice.
        let idempotency_key = Some(format!("request {}", self.rows.len()));
        let request = DatasetRequest { idempotency_key, ..DatasetRequest::new("lake", format, body) };
        let admitted = self.ingest.dataset_rows(request).await.expect("rows are taken").admitted;
        assert_eq!((admitted.accepted, admitted.rejected.total()), (rows.len() as u64, 0));
        for row in rows {
            let seq = self.rows.len() as u64 + 1;
            self.rows.push(Row { seq, key: key.map(str::to_owned), ..row });
        }
    }

    async fn store(&self) {
        assert_eq!(self.batcher.flush(&[], LIMIT).await, []);
    }

    async fn dataset(&self) -> Dataset {
        self.states.catalog.dataset("lake", Dataset::RECORDS).await.expect("the catalog").expect("the dataset")
    }

    async fn ask(&self, body: &Value) -> Result<Value, QueryError> {
        static IDS: AtomicU64 = AtomicU64::new(0);
        let query = DatasetQuery::parse(body.to_string().as_bytes())?;
        let id = format!("lake-{}-{}", std::process::id(), IDS.fetch_add(1, Ordering::Relaxed));
        let answer = self.query.read_dataset(&query, &self.dataset().await, (id, None)).await?;
        let pieces: Vec<Bytes> = answer.body.try_collect().await?;
        Ok(serde_json::from_slice(&pieces.concat()).expect("an answer is JSON"))
    }

    /// Asks page by page; returns the rows of all pages, and where they came from.
    async fn ask_all(&self, body: &Value) -> (Vec<Value>, u64, u64) {
        let (mut body, mut rows, mut published, mut hot) = (body.clone(), Vec::new(), 0, 0);
        loop {
            let answer = self.ask(&body).await.unwrap_or_else(|error| panic!("{body}: {error}: {error:?}"));
            let page = answer["rows"].as_array().expect("rows").clone();
            assert!(page.len() as u64 <= body["limit"].as_u64().unwrap_or(10_000), "{body}");
            published += answer["sources"]["published"]["rows"].as_u64().expect("a count");
            hot += answer["sources"]["hotBuffer"]["rows"].as_u64().expect("a count");
            assert_eq!(answer["streaming"]["fresh"], true);
            assert_eq!(answer["latest_ingest_watermark"], self.rows.len());
            rows.extend(page);
            if answer["nextCursor"].is_null() {
                return (rows, published, hot);
            }
            body["cursor"] = answer["nextCursor"].clone();
        }
    }

    /// Compares random requests with what memory says.
    async fn check(&self, rng: &mut StdRng, requests: usize, stored: u64) {
        for _ in 0..requests {
            let request = oracle::request(rng, &self.rows);
            let (found, published, hot) = self.ask_all(&request).await;
            let wanted = oracle::answer(&request, &self.rows);
            assert!(oracle::equal(&found, &wanted.rows), "{request}\nfound  {found:?}\nwanted {:?}", wanted.rows);
            let of_store = wanted.used.iter().filter(|seq| **seq <= stored).count() as u64;
            assert_eq!((published, hot), (of_store, wanted.used.len() as u64 - of_store), "{request}");
        }
    }
}

#[tokio::test]
async fn answers_are_what_memory_says_with_rows_hot_stored_and_both() {
    let mut lake = Lake::new().await;
    for seed in 0..2 {
        let mut rng = StdRng::seed_from_u64(seed);
        let stored = lake.rows.len() as u64;
        for _ in 0..6 {
            let key = [None, Some("eu"), Some("us-east"), Some("a'b\\c")][rng.random_range(0..4)];
            let rows = oracle::rows(&mut rng, 25);
            lake.add(key, rows).await;
        }
        lake.check(&mut rng, 40, stored).await;
        lake.store().await;
        let all = lake.rows.len() as u64;
        lake.check(&mut rng, 40, all).await;
    }
    lake.batcher.stop(LIMIT).await;
    lake.world.engine.stop().await;
}

#[tokio::test]
async fn pages_are_of_one_snapshot_however_many_rows_come_between() {
    let mut lake = Lake::new().await;
    let mut rng = StdRng::seed_from_u64(7);
    lake.add(Some("eu"), oracle::rows(&mut rng, 40)).await;
    let wanted = oracle::answer(&json!({}), &lake.rows).rows;
    let (mut found, mut body) = (Vec::new(), json!({ "limit": 6 }));
    loop {
        let answer = lake.ask(&body).await.expect("a page");
        assert_eq!(answer["streaming"]["fresh"], json!(body["cursor"].is_null()), "only the first page is");
        found.extend(answer["rows"].as_array().expect("rows").clone());
        lake.add(None, oracle::rows(&mut rng, 5)).await;
        if found.len() == 18 {
            lake.store().await;
        }
        body["cursor"] = answer["nextCursor"].clone();
        if body["cursor"].is_null() {
            break;
        }
        let mut later = body.clone();
        later["minWatermark"] = json!(41);
        assert_eq!(lake.ask(&later).await.expect_err("a row that is in no page").kind(), ErrorKind::Invalid);
    }
    assert!(oracle::equal(&found, &wanted), "found {found:?}\nwanted {wanted:?}");
    lake.batcher.stop(LIMIT).await;
    lake.world.engine.stop().await;
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_with_its_place() {
    let mut lake = Lake::new().await;
    lake.add(None, oracle::rows(&mut StdRng::seed_from_u64(1), 3)).await;
    let refused = [
        (json!({ "colums": ["n"] }), "unknown field `colums`"),
        (json!({ "columns": ["none"] }), "`columns` names `none`"),
        (json!({ "columns": ["_seq"] }), "`columns` names `_seq`"),
        (json!({ "columns": ["n", "n"] }), "twice"),
        (json!({ "columns": [] }), "`columns` is empty"),
        (json!({ "filters": { "columns": { "none": 1 } } }), "`filters.columns` names `none`"),
        (json!({ "filters": { "columns": { "n": "1" } } }), "filters.columns.n"),
        (json!({ "filters": { "columns": { "s": { "gt": "a" } } } }), "`gt` is no predicate here"),
        (json!({ "filters": { "columns": { "n": { "type": "string", "eq": 1 } } } }), "`type` is string"),
        (json!({ "filters": { "columns": { "n": { "in": [] } } } }), "at least one value"),
        (json!({ "filters": { "columns": { "n": {} } } }), "no predicate"),
        (json!({ "filters": { "partition": {} } }), "unknown field `partition`"),
        (json!({ "timestampColumn": "n" }), "no timestamp"),
        (json!({ "timeRange": { "start": "soon", "end": 1 } }), "is no time"),
        (json!({ "timeRange": { "start": 2, "end": 1 } }), "is after"),
        (json!({ "limit": 0 }), "`limit` is 1 to 500000"),
        (json!({ "limit": 500_001 }), "`limit` is 1 to 500000"),
        (json!({ "cursor": "x" }), "`cursor`"),
        (json!({ "downsample": { "intervalUnit": "year", "aggregations": [] } }), "year"),
        (json!({ "downsample": { "intervalUnit": "day", "aggregations": [] } }), "aggregations"),
        (
            json!({ "downsample": { "intervalUnit": "day", "intervalSize": 0, "aggregations": [{ "fn": "count" }] } }),
            "intervalSize",
        ),
        (
            json!({ "downsample": { "intervalUnit": "day", "aggregations": [{ "fn": "sum", "column": "s" }] } }),
            "cannot be taken",
        ),
        (
            json!({ "downsample": { "intervalUnit": "day", "aggregations": [{ "fn": "percentile", "column": "n", "percentile": 95 }] } }),
            "0 to 1",
        ),
        (
            json!({ "downsample": { "intervalUnit": "day", "aggregations": [{ "fn": "count" }, { "fn": "count" }] } }),
            "stands twice",
        ),
    ];
    for (body, part) in refused {
        let error = lake.ask(&body).await.expect_err("a refusal");
        assert!(error.kind() == ErrorKind::Invalid && error.to_string().contains(part), "{body}: {error}");
    }
    let first = lake.ask(&json!({ "limit": 1 })).await.expect("a page");
    let error = lake.ask(&json!({ "columns": ["n"], "cursor": first["nextCursor"] })).await.expect_err("another's");
    assert!(error.to_string().contains("another request"), "{error}");
    lake.batcher.stop(LIMIT).await;
    lake.world.engine.stop().await;
}

#[tokio::test]
async fn sums_that_no_column_holds_are_an_error_and_never_another_number() {
    let mut lake = Lake::new().await;
    let row = |n| Row { n: Some(n), at: 0, ..Row::default() };
    lake.add(None, vec![row(i64::MAX), row(1)]).await;
    let by_day = |function| json!({ "downsample": { "intervalUnit": "day", "aggregations": [{ "fn": function, "column": "n" }] } });
    assert!(lake.ask(&by_day("sum")).await.is_err());
    let mean = lake.ask(&by_day("avg")).await.expect("a mean");
    assert_eq!(mean["rows"][0]["avg_n"].as_f64(), Some(4_611_686_018_427_387_904.0));
    lake.batcher.stop(LIMIT).await;
    lake.world.engine.stop().await;
}
