//! Roll-ups by time against the rows that they are of: the same answers, whatever was repeated, merged, late or removed.

mod same;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arrow_array::{ArrayRef, Float64Array, Int64Array, StringArray, TimestampNanosecondArray, UInt8Array, UInt64Array};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tidegate_core::batch::{BatchOptions, Batcher, States};
use tidegate_core::catalog::{Policy, PolicyKind};
use tidegate_core::expire::{Expire, Sources, Wanted};
use tidegate_core::query::telemetry::{
    Aggregate, Asking, Origin, PointBuckets, PointFilter, RecordFilter, RecordKind, RedBuckets, SpanFilter, Step,
};
use tidegate_core::query::{Query, QueryOptions};
use tidegate_core::store::Store;
use tidegate_model::{Clock, Retention, Seq, TableName, TableSpec, UnixNanos, partition_day, tables};
use tidegate_sim::SimClock;

use self::same::{SAME, Same};
use crate::proxy::{Fault, Proxy};
use crate::rows::{append, rows, words};
use crate::world::{LIMIT, World};

const MINUTE: i64 = 60_000_000_000;
const HOUR: i64 = 60 * MINUTE;

const SERVICES: [&str; 3] = ["shop", "cart", "unknown_service"];

/// A world under random steps.
struct Run {
    world: World,
    proxy: Proxy,
    live: Option<(States, Batcher)>,
    clock: Arc<SimClock>,
    random: StdRng,
    steps: Vec<String>,
    /// Answers that were made of roll-ups, and those that were not.
    rolled: u64,
    of_rows: u64,
}

impl Run {
    async fn new(seed: u64) -> Self {
        let world = World::new().await;
        let proxy = Proxy::before(world.address()).await;
        let clock = Arc::new(SimClock::default());
        clock.pass(Duration::from_secs(400 * 86_400));
        let random = StdRng::seed_from_u64(seed);
        let steps = vec![format!("seed {seed}")];
        let mut run = Self { world, proxy, live: None, clock, random, steps, rolled: 0, of_rows: 0 };
        run.start().await;
        run
    }

    async fn start(&mut self) {
        let store = self.world.store_at(&self.proxy.url, None);
        let states = self.world.states_at(&store, self.clock.clone()).await;
        let states = States { rollup: None, ..states };
        let options = BatchOptions { age_ms: u64::MAX, ..BatchOptions::default() };
        let batcher = Batcher::start(states.clone(), options).await.expect("a mover");
        self.live = Some((states, batcher));
    }

    fn states(&self) -> &States {
        &self.live.as_ref().expect("it runs").0
    }

    async fn step(&mut self) {
        match self.random.random_range(0..13) {
            0..=3 => self.ingest().await,
            4..=6 => self.flush().await,
            7 | 8 => self.half_way().await,
            9 => self.kill().await,
            10 => self.merge().await,
            11 => self.expire().await,
            _ => self.restart().await,
        }
        self.check().await;
    }

    /// Rows of all three tables, most of the last hours, some late by days, some of absurd times.
    async fn ingest(&mut self) {
        for _ in 0..self.random.random_range(1..4) {
            let buffer = self.states().buffer.clone();
            let (spec, rows) = match self.random.random_range(0..3) {
                0 => {
                    let times = self.times();
                    self.logs(times)
                }
                1 => self.samples(),
                _ => self.spans(),
            };
            append(&buffer, spec, rows).await;
        }
        self.steps.push("ingest".into());
    }

    fn times(&mut self) -> (Vec<u16>, ArrayRef) {
        let (now, count) = (self.clock.now(), self.random.random_range(1..40));
        let times: Vec<i64> = (0..count)
            .map(|_| match self.random.random_range(0..20) {
                0 => self.random.random_range(0..3 * HOUR),
                1 | 2 => now.0 - self.random.random_range(0..60 * 24 * HOUR),
                3 => (now.0 / HOUR - self.random.random_range(0..3)) * HOUR,
                _ => now.0 - self.random.random_range(0..4 * HOUR),
            })
            .collect();
        let days = times.iter().map(|time| partition_day(UnixNanos(*time), now)).collect();
        (days, Arc::new(TimestampNanosecondArray::from(times).with_timezone("UTC")))
    }

    fn draw<T: Copy>(&mut self, from: &[T], count: usize) -> Vec<T> {
        (0..count).map(|_| from[self.random.random_range(0..from.len())]).collect()
    }

    /// Forty times of one hour, in one partition.
    fn times_of_hour(&mut self) -> (Vec<u16>, ArrayRef) {
        let now = self.clock.now();
        let times: Vec<i64> = (0..40).map(|n| now.0 / HOUR * HOUR + n % 3 * MINUTE + n).collect();
        let days = times.iter().map(|time| partition_day(UnixNanos(*time), now)).collect();
        (days, Arc::new(TimestampNanosecondArray::from(times).with_timezone("UTC")))
    }

    fn logs(&mut self, (days, times): (Vec<u16>, ArrayRef)) -> (&'static TableSpec, arrow_array::RecordBatch) {
        let numbers = self.draw(&[0_u8, 9, 17, 23], days.len());
        let given: [(&str, ArrayRef); 4] = [
            ("timestamp", times),
            ("service_name", words(&self.draw(&SERVICES, days.len()))),
            ("severity_number", Arc::new(UInt8Array::from(numbers))),
            ("severity_text", words(&self.draw(&["", "info", "Info", "ERROR"], days.len()))),
        ];
        (&tables::LOGS, rows(&tables::LOGS, &days, &given))
    }

    /// Values whose sums are exact in any order, but for those that are no numbers.
    fn samples(&mut self) -> (&'static TableSpec, arrow_array::RecordBatch) {
        let (days, times) = self.times();
        let odd = self.random.random_bool(0.1);
        let values = (0..days.len()).map(|_| match self.random.random_range(0..40) {
            0 if odd => f64::NAN,
            1 if odd => f64::INFINITY,
            _ => f64::from(self.random.random_range(-4_000..4_000)) / 8.0,
        });
        let values: ArrayRef = Arc::new(Float64Array::from_iter_values(values));
        let series = self.draw(&[7_u64, 8, u64::MAX], days.len());
        let names: Vec<_> = series.iter().map(|id| if *id == 7 { "cpu" } else { "disk" }).collect();
        let given: [(&str, ArrayRef); 6] = [
            ("timestamp", times),
            ("metric_name", words(&names)),
            ("service_name", words(&vec!["shop"; days.len()])),
            ("fingerprint", Arc::new(UInt64Array::from(series))),
            ("value", values),
            ("value_type", words(&self.draw(&["double", "double", "int", "none"], days.len()))),
        ];
        (&tables::METRIC_SAMPLES, rows(&tables::METRIC_SAMPLES, &days, &given))
    }

    fn spans(&mut self) -> (&'static TableSpec, arrow_array::RecordBatch) {
        let (days, times) = self.times();
        let durations = (0..days.len()).map(|_| match self.random.random_range(0..20) {
            0 => i64::MAX - self.random.random_range(0..3),
            1 => -5,
            2 => 0,
            _ => 1 << self.random.random_range(0..40),
        });
        let durations: ArrayRef = Arc::new(Int64Array::from_iter_values(durations));
        let given: [(&str, ArrayRef); 7] = [
            ("timestamp", times),
            ("service_name", words(&self.draw(&SERVICES, days.len()))),
            ("name", words(&self.draw(&["GET /", "query"], days.len()))),
            ("kind", words(&self.draw(&["SERVER", "CLIENT"], days.len()))),
            ("status_code", words(&self.draw(&["UNSET", "ERROR", "OK"], days.len()))),
            ("duration_ns", durations),
            ("trace_id", Arc::new(StringArray::from(vec!["0af7"; days.len()]))),
        ];
        (&tables::SPANS, rows(&tables::SPANS, &days, &given))
    }

    async fn flush(&mut self) {
        let (_, batcher) = self.live.as_ref().expect("it runs");
        assert_eq!(batcher.flush(&[], LIMIT).await, [], "{:?}", self.steps);
        self.steps.push("flush".into());
        self.same().await;
    }

    /// Batches are on their way: some of their inserts are done, and nobody was told.
    async fn half_way(&mut self) {
        let fault = [Fault::LoseAnswer, Fault::CutRequest(3_000), Fault::Refuse][self.random.random_range(0..3)];
        let is_known = self.states().catalog.watermarks().await.expect("watermarks").contains_key(&tables::LOGS.name);
        if fault == Fault::LoseAnswer && is_known {
            self.untold().await;
        }
        self.proxy.set(fault);
        let (_, batcher) = self.live.as_ref().expect("it runs");
        drop(batcher.flush(&[], Duration::from_millis(150)).await);
        self.steps.push(format!("half way, {fault:?}"));
        if self.random.random_bool(0.5) {
            self.merge().await;
        }
        self.check().await;
        self.proxy.set(Fault::None);
    }

    /// A batch of log records of this hour is in the store, and nobody was told. Returns the stored watermark.
    async fn untold(&mut self) -> Seq {
        self.proxy.set(Fault::None);
        self.flush().await;
        let times = self.times_of_hour();
        let (spec, rows) = self.logs(times);
        let (states, batcher) = self.live.as_ref().expect("it runs");
        append(&states.buffer, spec, rows).await;
        let stored =
            states.catalog.watermarks().await.expect("watermarks").get(&spec.name).copied().unwrap_or_default();
        self.proxy.set(Fault::LoseAnswer);
        let there = format!("SELECT count() FROM roll_up_logs_by_hour WHERE _last > {stored}");
        let arrived = async {
            while self.world.number(&there).await == 0 {
                drop(batcher.flush(std::slice::from_ref(&spec.name), Duration::from_millis(20)).await);
            }
        };
        tokio::time::timeout(LIMIT, arrived).await.expect("it is inserted");
        self.steps.push("untold".into());
        stored
    }

    /// The engine ends while batches are on their way.
    async fn kill(&mut self) {
        self.ingest().await;
        let pause = Duration::from_micros(self.random.random_range(0..40_000));
        let (_, batcher) = self.live.as_ref().expect("it runs");
        let flushing = batcher.flush(&[], pause);
        drop(flushing.await);
        self.world.kill_engine().await;
        self.proxy = Proxy::before(self.world.address()).await;
        let (states, _) = self.live.as_ref().expect("it runs");
        states.store.set_url(&self.proxy.url);
        self.steps.push(format!("killed after {pause:?}"));
    }

    async fn merge(&mut self) {
        for Same { roll_up, .. } in SAME {
            // It is made with the first batch.
            drop(self.world.store.execute(&format!("OPTIMIZE TABLE tidegate.{roll_up} FINAL")).await);
        }
        self.steps.push("merge".into());
    }

    async fn expire(&mut self) {
        let hours = [5, 30, 24 * 20][self.random.random_range(0..3)];
        let states = self.states().clone();
        let states = &states;
        for slug in ["logs", "metric_samples", "spans"] {
            keep(states, slug, Retention { max_age: Some(hours * 3_600), grace: 0, ..Retention::default() }).await;
        }
        let expire = Expire::new(Sources {
            buffer: states.buffer.clone(),
            catalog: states.catalog.clone(),
            store: states.store.clone(),
            rollup: None,
            clock: states.clock.clone(),
            defaults: Vec::new(),
            of_datasets: Retention::default(),
            cold_policy: None,
        });
        let is_broken = self.random.random_bool(0.5);
        if is_broken {
            // What it began is told in the catalog, and finished later.
            self.proxy.set(Fault::CutRequest(self.random.random_range(200..900)));
            drop(tokio::time::timeout(Duration::from_millis(400), expire.run(&all())).await);
            self.steps.push(format!("expire {hours} h, broken off"));
            self.check().await;
            self.proxy.set(Fault::None);
        }
        let (_, batcher) = self.live.as_ref().expect("it runs");
        assert_eq!(batcher.flush(&[], LIMIT).await, [], "{:?}", self.steps);
        let report = expire.run(&all()).await.unwrap_or_else(|error| panic!("{error:?} {:?}", self.steps));
        assert_eq!(report.left, 0, "{report:?} {:?}", self.steps);
        self.steps.push(format!("expire {hours} h: {} rows", report.rows_removed));
        self.clock.pass(Duration::from_secs(self.random.random_range(0..3 * 3_600)));
        self.same().await;
    }

    async fn restart(&mut self) {
        let (states, batcher) = self.live.take().expect("it runs");
        batcher.stop(Duration::ZERO).await;
        states.buffer.close().await.expect("closed");
        states.catalog.close().await;
        drop((states, batcher));
        self.start().await;
        self.steps.push("restart".into());
    }

    /// At rest, the tables say the same.
    async fn same(&self) {
        let tails = self.states().buffer.status();
        for Same { table, roll_up, of_rows, of_sums, condition } in SAME {
            if !tails.iter().any(|tail| tail.table.as_str() == table && tail.stored > Seq(0)) {
                continue;
            }
            let recount = async |from: &str, (groups, sums): (&str, &str), condition: &str| {
                let sql = format!(
                    "SELECT toString(arraySort(groupArray(_row))) AS all FROM (SELECT toString(({groups}, {sums})) AS _row \
                     FROM tidegate.{from} WHERE {condition} GROUP BY {groups})"
                );
                self.world.store.rows(&sql, &[]).await.unwrap_or_else(|error| panic!("{error} {sql}"))
            };
            let (rows, sums) = (recount(table, of_rows, condition).await, recount(roll_up, of_sums, "1").await);
            assert_eq!(sums, rows, "{roll_up}: {:?}", self.steps);
        }
    }

    fn query(&self, store: &Store) -> Query {
        let states = self.states();
        Query {
            buffer: states.buffer.clone(),
            store: store.clone(),
            catalog: states.catalog.clone(),
            rollup: None,
            options: QueryOptions::default(),
        }
    }

    fn moment(&mut self) -> Option<UnixNanos> {
        let now = self.clock.now().0;
        match self.random.random_range(0..8) {
            0 => None,
            1 => Some(now - self.random.random_range(0..90 * 24 * HOUR)),
            2 | 3 => Some((now / HOUR - self.random.random_range(-1..6)) * HOUR),
            4 => Some((now / MINUTE - self.random.random_range(-9..200)) * MINUTE),
            _ => Some(now - self.random.random_range(-HOUR..5 * HOUR)),
        }
        .map(UnixNanos)
    }

    /// Every question has the same answer whether or not roll-ups may be asked.
    async fn check(&mut self) {
        // A client that nobody told of roll-ups asks rows.
        let plain = self.world.store_at(&format!("http://{}", self.world.address()), None);
        let stored = self.states().catalog.watermarks().await.expect("watermarks");
        let rolled = self.world.store_at(&format!("http://{}", self.world.address()), None);
        for table in [&tables::LOGS.name, &tables::METRIC_SAMPLES.name, &tables::SPANS.name] {
            if stored.get(table).is_some_and(|seq| *seq > Seq(0)) {
                let stored = stored[table];
                rolled.raise_roll_ups(table, stored).await.expect("they are there");
            } else {
                return;
            }
        }
        let (with, without) = (self.query(&rolled), self.query(&plain));
        for _ in 0..3 {
            let (from, to) = (self.moment(), self.moment());
            let told = format!("{from:?} to {to:?}: {:?}", self.steps);
            self.same_stats((&with, &without), (from, to), &told).await;
            self.same_buckets((&with, &without), (from, to), &told).await;
            self.same_red((&with, &without), (from, to), &told).await;
        }
    }

    fn note(&mut self, origin: Origin) {
        match origin {
            Origin::RollUp => self.rolled += 1,
            Origin::Rows => self.of_rows += 1,
        }
    }

    async fn same_stats(&mut self, (with, without): (&Query, &Query), (from, to): Ends, told: &str) {
        let mut filter = RecordFilter { from, to, ..RecordFilter::default() };
        if self.random.random_bool(0.3) {
            filter.sources = vec!["shop".into()];
        }
        if self.random.random_bool(0.3) {
            filter.levels = vec!["INFO".into(), "FATAL".into()];
        }
        let own = with.record_stats(RecordKind::Logs, &filter, &asking()).await.expect(told);
        let other = without.record_stats(RecordKind::Logs, &filter, &asking()).await.expect(told);
        assert_eq!((own.total, own.by), (other.total, other.by), "{told}");
        assert_eq!(other.origin, Origin::Rows);
        self.note(own.origin);
    }

    async fn same_buckets(&mut self, (with, without): (&Query, &Query), (from, to): Ends, told: &str) {
        let names = if self.random.random_bool(0.5) { vec!["disk".into()] } else { Vec::new() };
        let filter = PointFilter { from, to, names, ..PointFilter::default() };
        let step = [Step::Hour, Step::Day][self.random.random_range(0..2)];
        let aggregates = vec![Aggregate::Avg, Aggregate::Max, Aggregate::Min, Aggregate::Sum, Aggregate::Count];
        let buckets = PointBuckets { step, aggregates };
        let (own, _, origin) = with.point_buckets(&filter, &buckets, &asking()).await.expect(told);
        let (other, ..) = without.point_buckets(&filter, &buckets, &asking()).await.expect(told);
        assert_eq!(own, other, "{told}");
        self.note(origin);
    }

    async fn same_red(&mut self, (with, without): (&Query, &Query), (from, to): Ends, told: &str) {
        let kinds = if self.random.random_bool(0.5) { vec!["SERVER".into()] } else { Vec::new() };
        let filter = SpanFilter { from, to, kinds, ..SpanFilter::default() };
        let step = [None, Some(Step::Minute), Some(Step::Hour), Some(Step::Day)][self.random.random_range(0..4)];
        let buckets = RedBuckets { step, histogram: self.random.random_bool(0.5), quantiles: Vec::new() };
        let (own, _, origin) = with.red(&filter, &buckets, &asking()).await.expect(told);
        let (other, ..) = without.red(&filter, &buckets, &asking()).await.expect(told);
        assert_eq!(own, other, "{told}");
        self.note(origin);
    }
}

type Ends = (Option<UnixNanos>, Option<UnixNanos>);

fn all() -> Wanted {
    Wanted { retention: true, ..Wanted::default() }
}

fn asking() -> Asking {
    static IDS: AtomicU64 = AtomicU64::new(0);
    let query_id = format!("roll-ups-{}-{}", std::process::id(), IDS.fetch_add(1, Ordering::Relaxed));
    Asking { query_id, ..Asking::default() }
}

async fn keep(states: &States, slug: &str, policy: Retention) {
    let (slug, label, updated_by) = (slug.to_owned(), String::new(), String::new());
    let policy = Policy { slug, label, policy, updated_at: UnixNanos(0), updated_by };
    states.catalog.put_policy(PolicyKind::Retention, &policy).await.expect("a policy");
}

#[tokio::test]
async fn roll_ups_say_what_a_recount_says_after_any_steps() {
    for seed in 1..=2 {
        let mut run = Run::new(seed).await;
        for _ in 0..22 {
            run.step().await;
        }
        run.flush().await;
        assert!(run.rolled > 40 && run.of_rows > 10, "{} of roll-ups, {} of rows", run.rolled, run.of_rows);
        run.live.take().expect("it runs").1.stop(LIMIT).await;
        run.world.engine.stop().await;
    }
}

#[tokio::test]
async fn roll_ups_are_filled_once_with_the_rows_that_are_there() {
    let mut run = Run::new(7).await;
    for _ in 0..6 {
        run.ingest().await;
    }
    run.flush().await;
    // As an installation from before: rows without roll-ups; one batch was inserted and is not noted yet.
    run.untold().await;
    let (states, batcher) = run.live.take().expect("it runs");
    batcher.stop(Duration::ZERO).await;
    states.buffer.close().await.expect("closed");
    states.catalog.close().await;
    drop((states, batcher));
    let store = &run.world.store;
    for Same { roll_up, .. } in SAME {
        store.execute(&format!("DROP VIEW IF EXISTS tidegate.{roll_up}_view")).await.expect("dropped");
        store.execute(&format!("DROP TABLE IF EXISTS tidegate.{roll_up}")).await.expect("dropped");
    }
    store
        .execute("ALTER TABLE tidegate.tidegate_schema DELETE WHERE version = 8 SETTINGS mutations_sync = 1")
        .await
        .expect("a step less");
    store.migrate().await.expect("the step");
    // Filling was broken off here once: some rows are in, and no view is there yet.
    let half = "INSERT INTO tidegate.roll_up_logs_by_minute (_partition, minute, service_name, records, _first, _last) SELECT _partition, timestamp, 'x', 1, _seq, _seq FROM tidegate.logs";
    store.execute(half).await.expect("rows");
    run.proxy.set(Fault::None);
    run.start().await;
    run.ingest().await;
    run.ingest().await;
    run.flush().await;
    run.check().await;
    assert!(run.rolled > 0);
    let left = "SELECT count() FROM system.tables WHERE database = 'tidegate' AND name LIKE '%\\_\\_%'";
    assert_eq!(run.world.number(left).await, 0);
    run.live.take().expect("it runs").1.stop(LIMIT).await;
    run.world.engine.stop().await;
}

#[tokio::test]
async fn rows_that_merged_with_those_of_a_batch_on_its_way_are_not_counted() {
    let mut run = Run::new(5).await;
    for _ in 0..12 {
        run.ingest().await;
    }
    let times = run.times_of_hour();
    let (spec, rows) = run.logs(times);
    append(&run.states().buffer, spec, rows).await;
    let stored = run.untold().await;
    run.merge().await;
    let mixed = format!("SELECT count() FROM roll_up_logs_by_hour WHERE _first <= {stored} AND _last > {stored}");
    assert!(run.world.number(&mixed).await > 0);
    let rolled = run.world.store_at(&format!("http://{}", run.world.address()), None);
    rolled.raise_roll_ups(&tables::LOGS.name, stored).await.expect("they are there");
    let query = run.query(&rolled);
    let ask =
        async |filter: &RecordFilter| query.record_stats(RecordKind::Logs, filter, &asking()).await.expect("stats");
    let all = ask(&RecordFilter::default()).await;
    let tails = run.states().buffer.status();
    let head = tails.iter().find(|tail| tail.table == tables::LOGS.name).expect("rows").head;
    assert_eq!((all.total, all.origin), (head.0, Origin::Rows));
    // Hours in which none of them is are answered as ever.
    let to = Some(UnixNanos(run.clock.now().0 - 90 * 24 * HOUR));
    assert_eq!(
        ask(&RecordFilter { from: Some(UnixNanos(24 * HOUR)), to, ..RecordFilter::default() }).await.origin,
        Origin::RollUp
    );
    run.proxy.set(Fault::None);
    run.flush().await;
    let all = query.record_stats(RecordKind::Logs, &RecordFilter::default(), &asking()).await.expect("stats");
    assert_eq!((all.total, all.origin), (head.0, Origin::RollUp));
    run.live.take().expect("it runs").1.stop(LIMIT).await;
    run.world.engine.stop().await;
}

#[tokio::test]
async fn an_insert_that_fails_between_table_and_roll_up_is_completed_not_doubled() {
    let mut run = Run::new(3).await;
    for _ in 0..6 {
        run.ingest().await;
    }
    run.flush().await;
    for Same { table, roll_up, .. } in SAME {
        let name: TableName = table.parse().expect("a name");
        let refuse = format!("ALTER TABLE tidegate.{roll_up} ADD CONSTRAINT no CHECK records > 1000000");
        run.world.store.execute(&refuse).await.expect("a constraint");
        for _ in 0..3 {
            run.ingest().await;
        }
        let (_, batcher) = run.live.as_ref().expect("it runs");
        drop(batcher.flush(std::slice::from_ref(&name), Duration::from_millis(300)).await);
        run.check().await;
        let allow = format!("ALTER TABLE tidegate.{roll_up} DROP CONSTRAINT no");
        run.world.store.execute(&allow).await.expect("none");
        run.restart().await;
        run.flush().await;
    }
    run.live.take().expect("it runs").1.stop(LIMIT).await;
    run.world.engine.stop().await;
}
