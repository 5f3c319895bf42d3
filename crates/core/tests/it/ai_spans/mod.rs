//! The filter language over the engine and over memory: random spans, some stored and some hot, some changed and some
//! deleted since; random filters of all operators.

mod draws;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tidegate_core::batch::{BatchOptions, Batcher, States};
use tidegate_core::ingest::Ingest;
use tidegate_core::ingest::rows::{DatasetRequest, RowsFormat};
use tidegate_core::query::{Format, Query, QueryOptions, ReadRequest, parameter_text};
use tidegate_core::world::SystemClock;
use tidegate_model::UnixNanos;
use tidegate_traces::{
    COLUMNS, DATASET, Defaults, Filter, Json, Prices, Span, SpanId, Sql, TABLE, TraceId, Uuid, derive, json as text,
    latest, row, scope,
};

use crate::world::{LIMIT, World};

const PROJECT: Uuid = Uuid(1);
const OTHER: Uuid = Uuid(2);

type Key = (TraceId, SpanId);

/// The table, and what memory says is in it.
struct House {
    world: World,
    states: States,
    batcher: Batcher,
    ingest: Ingest,
    query: Query,
    /// The latest version of each span; a deleted one has none.
    spans: BTreeMap<Key, (u64, Option<Span>)>,
    requests: u32,
}

impl House {
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
        Self { world, states, batcher, ingest, query, spans: BTreeMap::new(), requests: 0 }
    }

    /// Takes random spans in: new ones, further versions of known ones, and deletions. Those of another project, under the
    /// same ids, are in no answer.
    async fn add(&mut self, rng: &mut StdRng, count: usize) {
        let mut rows = Vec::new();
        for _ in 0..count {
            let defaults = Defaults { now: UnixNanos(1_769_850_000_000_000_000), actor: None, name: "n".to_owned() };
            let sent = text::parse(&draws::span(rng).to_string()).expect("JSON");
            let mut span = Span::read(&sent, "span", &defaults).expect("a span");
            let life = &mut span.lifecycle;
            life.created_by_id = rng.random_bool(0.5).then(|| Uuid(rng.random_range(0..3)));
            let changed = UnixNanos(1_769_850_000_500_000_000);
            life.updated_at = rng.random_bool(0.3).then_some(changed);
            life.deleted_at = rng.random_bool(0.1).then_some(changed);
            rows.push(self.version(rng, span));
        }
        self.requests += 1;
        let fields: Vec<Value> = COLUMNS.iter().map(|(name, kind)| json!({ "name": name, "type": kind })).collect();
        let rows = Json::List(rows).to_string();
        let body = format!("{{\"schema\":{},\"rows\":{rows}}}", json!({ "fields": fields }));
        let key = Some(format!("request {}", self.requests));
        let request = DatasetRequest {
            idempotency_key: key,
            ..DatasetRequest::new(DATASET, RowsFormat::Json, Bytes::from(body))
        };
        let admitted = self.ingest.dataset_rows(request).await.expect("rows are taken").admitted;
        assert_eq!(admitted.rejected.total(), 0, "{:?}", admitted.rejected);
    }

    fn version(&mut self, rng: &mut StdRng, span: Span) -> Json {
        let derived = derive(&span, &Prices::default());
        if rng.random_bool(0.2) {
            return row(&span, &derived, OTHER, (u64::from(rng.random_bool(0.3)), false));
        }
        let key = (span.trace_id, span.span_id);
        let version = self.spans.get(&key).map_or(0, |(version, _)| version + 1);
        let is_deleted = version > 0 && rng.random_bool(0.2);
        let made = row(&span, &derived, PROJECT, (version, is_deleted));
        self.spans.insert(key, (version, (!is_deleted).then_some(span)));
        made
    }

    async fn rows(&self, columns: &str, condition: &str, mut sql: Sql) -> Vec<Json> {
        let scope = scope(PROJECT, &mut sql);
        let request = ReadRequest {
            sql: format!("SELECT {columns} FROM {TABLE} WHERE {scope} AND {} AND ({condition})", latest(&scope, "")),
            params: sql.params().into_iter().map(|(name, value)| (name, parameter_text(&value))).collect(),
            format: Format::named("jsoneachrow").expect("a format"),
            min_watermark: None,
            max_rows: None,
            timeout: None,
            query_id: format!("spans-{}-{}", std::process::id(), rand::random::<u64>()),
        };
        let sql = request.sql.clone();
        let answer = self.query.read(request).await.unwrap_or_else(|error| panic!("{error}: {error:?}\n{sql}"));
        let pieces: Vec<Bytes> = answer.body.try_collect().await.expect("a whole answer");
        let answer = String::from_utf8(pieces.concat()).expect("UTF-8");
        answer.lines().map(|line| text::parse(line).expect("JSON")).collect()
    }

    async fn found(&self, filter: &Filter) -> BTreeSet<Key> {
        let mut sql = Sql::default();
        let condition = filter.sql(&mut sql);
        let rows = self.rows("toString(`trace_id`) AS t, toString(`span_id`) AS s", &condition, sql).await;
        let ids = rows.iter().map(|row| {
            let id = |name: &str| row.at(name).and_then(Json::as_text).expect("an id");
            (TraceId::read(id("t"), "t").expect("an id"), SpanId::read(id("s"), "s").expect("an id"))
        });
        let found: BTreeSet<Key> = ids.collect();
        assert_eq!(found.len(), rows.len(), "each span is found once");
        found
    }

    fn wanted(&self, filter: &Filter) -> BTreeSet<Key> {
        let latest = self.spans.values().filter_map(|(_, span)| span.as_ref());
        latest.filter(|span| filter.matches(span)).map(|span| (span.trace_id, span.span_id)).collect()
    }

    /// Compares random filters; returns how many found some spans, but not all.
    async fn check(&self, rng: &mut StdRng, (seed, filters): (u64, usize)) -> usize {
        let mut telling = 0;
        for _ in 0..filters {
            let drawn = draws::filter(rng, 2);
            let mut filter = Filter::read(&text::parse(&drawn.to_string()).expect("JSON"), "filter")
                .unwrap_or_else(|error| panic!("{error}\n{drawn}"));
            if rng.random_bool(0.1) {
                filter = filter.and(Filter::Sample(f64::from(rng.random_range(0..101_u32))));
            }
            let (found, wanted) = (self.found(&filter).await, self.wanted(&filter));
            let differ: Vec<_> = found.symmetric_difference(&wanted).map(|key| &self.spans[key]).collect();
            assert!(differ.is_empty(), "seed {seed}\n{drawn}\n{}\n{differ:?}", filter.sql(&mut Sql::default()));
            telling += usize::from(!wanted.is_empty() && wanted.len() < self.wanted(&Filter::And(Vec::new())).len());
        }
        telling
    }
}

#[tokio::test]
async fn filters_find_in_the_engine_what_they_find_in_memory() {
    let mut house = House::new().await;
    let mut telling = 0;
    for seed in 0..3 {
        let mut rng = StdRng::seed_from_u64(seed);
        house.add(&mut rng, 60).await;
        telling += house.check(&mut rng, (seed, 160)).await;
        assert_eq!(house.batcher.flush(&[], LIMIT).await, []);
        telling += house.check(&mut rng, (seed, 80)).await;
        house.add(&mut rng, 20).await;
    }
    assert!(telling > 330, "only {telling} of 720 filters told spans from others");
    house.batcher.stop(LIMIT).await;
    house.world.engine.stop().await;
    drop(house.states);
}

#[tokio::test]
async fn spans_come_back_from_the_table_letter_by_letter() {
    let mut house = House::new().await;
    let mut rng = StdRng::seed_from_u64(9);
    for _ in 0..2 {
        house.add(&mut rng, 60).await;
        let rows = house.rows("*", "true", Sql::default()).await;
        let found: BTreeMap<Key, Span> = rows
            .iter()
            .map(|row| Span::from_row(row).expect("a span"))
            .map(|span| ((span.trace_id, span.span_id), span))
            .collect();
        let wanted = house.spans.iter().filter_map(|(key, (_, span))| Some((*key, span.clone()?)));
        assert_eq!(found, wanted.collect());
        assert_eq!(house.batcher.flush(&[], LIMIT).await, []);
    }
    house.batcher.stop(LIMIT).await;
    house.world.engine.stop().await;
}
