//! Retention against a plain list of rows: what must be gone is gone, what must be there is there and answers for itself,
//! whatever breaks between catalog and ClickHouse.

use std::collections::BTreeMap;
use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use arrow_array::{ArrayRef, TimestampNanosecondArray, UInt64Array};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tidegate_core::batch::{BatchOptions, Batcher, States};
use tidegate_core::catalog::{Dataset, ManifestFilter, Policy, PolicyKind, SchemaChange};
use tidegate_core::expire::{Expire, ExpireError, Report, Sources, Wanted};
use tidegate_core::verify;
use tidegate_model::{
    Clock, ColumnKind, ManifestState, Retention, TableName, TableSpec, UnixNanos, partition_day, tables,
};
use tidegate_sim::SimClock;

use crate::proxy::{Fault, Proxy};
use crate::rows::{DAY, append, dataset_table, rows, spans};
use crate::world::{LIMIT, World};

const HOUR: i64 = 3_600_000_000_000;

fn by_hand() -> BatchOptions {
    BatchOptions { age_ms: u64::MAX, ..BatchOptions::default() }
}

fn table() -> TableSpec {
    dataset_table(&[("at", ColumnKind::Timestamp), ("id", ColumnKind::U64)])
}

fn expire(states: &States) -> Expire {
    Expire::new(Sources {
        buffer: states.buffer.clone(),
        catalog: states.catalog.clone(),
        store: states.store.clone(),
        rollup: states.rollup.clone(),
        clock: Arc::clone(&states.clock),
        defaults: Vec::new(),
        of_datasets: Retention::default(),
        cold_policy: None,
    })
}

async fn keep(states: &States, slug: &str, policy: Retention) {
    let policy = Policy {
        slug: slug.to_owned(),
        label: String::new(),
        policy,
        updated_at: UnixNanos(0),
        updated_by: String::new(),
    };
    states.catalog.put_policy(PolicyKind::Retention, &policy).await.expect("a policy");
}

async fn with_dataset(states: &States, spec: &TableSpec) {
    let dataset = Dataset {
        slug: "it".into(),
        label: "records".into(),
        version: 1,
        spec: spec.clone(),
        time_column: Some("at".into()),
    };
    states.catalog.put_dataset(&dataset, &SchemaChange::default(), UnixNanos(0)).await.expect("a dataset");
}

fn all() -> Wanted {
    Wanted { retention: true, tiers: true, ..Wanted::default() }
}

async fn exact(states: &States, table: &TableName) -> u64 {
    let reports = verify::verify(&states.buffer, &states.catalog, &states.store).await.expect("a verification");
    let report = reports.into_iter().find(|report| report.ledger.table == *table).expect("the table's report");
    assert!(report.is_exact(), "{report:?}");
    report.ledger.expired
}

/// A world under random steps, and its rows as a plain list.
struct Run {
    world: World,
    proxy: Proxy,
    /// Nothing while the program is between its end and its start.
    live: Option<(States, Batcher)>,
    clock: Arc<SimClock>,
    random: StdRng,
    retention: Retention,
    /// The time of each row, by its number.
    rows: BTreeMap<u64, UnixNanos>,
    /// Rows that a run removed.
    gone: BTreeMap<u64, UnixNanos>,
    steps: Vec<String>,
}

impl Run {
    async fn new(seed: u64) -> Self {
        let world = World::new().await;
        let proxy = Proxy::before(world.address()).await;
        let clock = Arc::new(SimClock::default());
        let store = world.store_at(&proxy.url, None);
        let states = world.states_at(&store, clock.clone()).await;
        let batcher = Batcher::start(states.clone(), by_hand()).await.expect("a mover");
        with_dataset(&states, &table()).await;
        let random = StdRng::seed_from_u64(seed);
        let (rows, gone) = (BTreeMap::new(), BTreeMap::new());
        let retention = Retention::default();
        Self {
            world,
            proxy,
            live: Some((states, batcher)),
            clock,
            random,
            retention,
            rows,
            gone,
            steps: vec![format!("seed {seed}")],
        }
    }

    fn states(&self) -> &States {
        &self.live.as_ref().expect("it runs").0
    }

    fn batcher(&self) -> &Batcher {
        &self.live.as_ref().expect("it runs").1
    }

    async fn step(&mut self) {
        match self.random.random_range(0..12) {
            0..=3 => self.ingest().await,
            4 | 5 => self.flush().await,
            6 => self.pass(),
            7 => self.decide().await,
            8 | 9 => self.run_whole().await,
            10 => self.run_broken().await,
            _ => self.restart().await,
        }
        self.check().await;
    }

    /// Rows of the last days, of weeks ago, and of absurd times.
    async fn ingest(&mut self) {
        let (now, count) = (self.clock.now(), self.random.random_range(1..20));
        let times: Vec<i64> = (0..count)
            .map(|_| match self.random.random_range(0..12) {
                0 => now.0 + 400 * 24 * HOUR,
                1 => HOUR,
                2..=4 => now.0 - self.random.random_range(0..40 * 24) * HOUR,
                _ => now.0 - self.random.random_range(0..4 * 24 * 60) * HOUR / 60,
            })
            .collect();
        let days: Vec<u16> = times.iter().map(|time| partition_day(UnixNanos(*time), now)).collect();
        let first = self.rows.len() as u64 + 1;
        let ids: ArrayRef = Arc::new(UInt64Array::from_iter_values(first..first + times.len() as u64));
        let at: ArrayRef = Arc::new(TimestampNanosecondArray::from(times.clone()).with_timezone("UTC"));
        let spec = table();
        append(&self.states().buffer, &spec, rows(&spec, &days, &[("at", at), ("id", ids)])).await;
        self.rows.extend((first..).zip(times.into_iter().map(UnixNanos)));
        self.steps.push(format!("ingest {count} at {now}"));
    }

    async fn flush(&mut self) {
        assert_eq!(self.batcher().flush(&[], LIMIT).await, [], "{:?}", self.steps);
        self.steps.push("flush".into());
    }

    fn pass(&mut self) {
        let hours = self.random.random_range(1..60);
        self.clock.pass(Duration::from_secs(hours * 3_600));
        self.steps.push(format!("pass {hours} h"));
    }

    async fn decide(&mut self) {
        let max_age = self.random.random_bool(0.8).then(|| self.random.random_range(1..200) * 3_600);
        let grace = [0, 3_600, 86_400, 30 * 86_400][self.random.random_range(0..4)];
        self.retention = Retention { max_age, grace, ..Retention::default() };
        keep(self.states(), "it", self.retention).await;
        self.steps.push(format!("{:?}", self.retention));
    }

    async fn run_whole(&mut self) {
        let planned = self.run(&Wanted { is_dry: true, ..all() }).await;
        self.check().await;
        let done = self.run(&all()).await;
        assert_eq!(done.left, 0, "{done:?} {:?}", self.steps);
        assert_eq!(
            (planned.rows_removed, planned.steps.len()),
            (done.rows_removed, done.steps.len()),
            "{:?}",
            self.steps
        );
        self.note_run().await;
        assert_eq!(expire(self.states()).overdue(self.clock.now()).await.expect("a look"), [], "{:?}", self.steps);
    }

    /// A run that ends in its middle, or in whose middle ClickHouse goes away; what it began is finished by the next, and
    /// rows that come between stay.
    async fn run_broken(&mut self) {
        let (wanted, polls) = (all(), self.random.random_range(1..60));
        let fault = [Fault::None, Fault::LoseAnswer, Fault::CutRequest(200)][self.random.random_range(0..3)];
        self.steps.push(format!("broken off after {polls} polls, {fault:?}"));
        self.break_off(&wanted, (polls, fault)).await;
        if self.random.random_bool(0.5) {
            self.ingest().await;
            self.flush().await;
        }
        if self.random.random_bool(0.5) {
            self.restart().await;
        }
        self.run_whole().await;
    }

    async fn break_off(&self, wanted: &Wanted, (polls, fault): (usize, Fault)) {
        let expire = expire(self.states());
        let mut run = pin!(expire.run(wanted));
        let mut polled = 0;
        let has_ended = poll_fn(|context| {
            polled += 1;
            match run.as_mut().poll(context) {
                Poll::Pending if polled < polls => Poll::Pending,
                polled => Poll::Ready(polled.is_ready()),
            }
        })
        .await;
        if !has_ended && fault != Fault::None {
            self.proxy.set(fault);
            drop::<Result<Report, ExpireError>>(tokio::time::timeout(LIMIT, run).await.expect("it ends"));
            self.proxy.set(Fault::None);
        }
    }

    async fn run(&mut self, wanted: &Wanted) -> Report {
        let report =
            expire(self.states()).run(wanted).await.unwrap_or_else(|error| panic!("{error:?} {:?}", self.steps));
        self.steps.push(format!("run dry {}: {} rows", wanted.is_dry, report.rows_removed));
        report
    }

    /// The program ends without a word, sometimes the engine with it.
    async fn restart(&mut self) {
        let (states, batcher) = self.live.take().expect("it runs");
        batcher.stop(Duration::ZERO).await;
        states.buffer.close().await.expect("closed");
        states.catalog.close().await;
        let store = states.store.clone();
        drop((states, batcher));
        let states = self.world.states_at(&store, self.clock.clone()).await;
        let batcher = Batcher::start(states.clone(), by_hand()).await.expect("a mover");
        // A cut that the end left open is stored first: until then the rows of a moment are not known.
        let arrives = async {
            while states.buffer.has_open_cut() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(LIMIT, arrives).await.expect("it is stored");
        self.live = Some((states, batcher));
        self.steps.push("restart".into());
    }

    fn stored(&self) -> u64 {
        let tails = self.states().buffer.status();
        tails.iter().find(|tail| tail.table == table().name).map_or(0, |tail| tail.stored.0)
    }

    async fn found(&self) -> BTreeMap<u64, UnixNanos> {
        if self.stored() == 0 {
            return BTreeMap::new();
        }
        let sql = "SELECT toString(_seq) AS seq, toString(toUnixTimestamp64Nano(at)) AS at FROM dataset_it";
        let rows = self.world.store.rows(sql, &[]).await.expect("rows");
        let number = |row: &serde_json::Value, name: &str| row[name].as_str().expect("a number").parse::<i64>();
        let read = |row: &serde_json::Value| {
            let (seq, at) = (number(row, "seq").expect("a number"), number(row, "at").expect("a time"));
            (u64::try_from(seq).expect("a row's number"), UnixNanos(at))
        };
        let found: BTreeMap<_, _> = rows.iter().map(read).collect();
        assert_eq!(found.len(), rows.len(), "a row is there twice: {:?}", self.steps);
        found
    }

    /// Compares what a run left with what it had to remove and to leave.
    async fn note_run(&mut self) {
        let (now, found, stored) = (self.clock.now(), self.found().await, self.stored());
        for (seq, at) in self.rows.range(..=stored) {
            if found.contains_key(seq) {
                let is_late = self.retention.latest(now).is_some_and(|latest| *at < latest);
                assert!(!is_late, "row {seq} of {at} is past retention and grace at {now}: {:?}", self.steps);
            } else if !self.gone.contains_key(seq) {
                let may_go = self.retention.cutoff(now).is_some_and(|cutoff| *at < cutoff);
                assert!(may_go, "row {seq} of {at} went too early at {now}: {:?}", self.steps);
                self.gone.insert(*seq, *at);
            }
        }
    }

    /// Every stored row that did not go is there as it came, and the counts say so.
    async fn check(&self) {
        let (found, stored) = (self.found().await, self.stored());
        let expected: BTreeMap<_, _> = self
            .rows
            .range(..=stored)
            .filter(|(seq, _)| !self.gone.contains_key(seq))
            .map(|(seq, at)| (*seq, *at))
            .collect();
        assert!(found == expected, "{:?}", self.steps);
        if stored > 0 {
            assert_eq!(exact(self.states(), &table().name).await, self.gone.len() as u64, "{:?}", self.steps);
            let totals = self.states().catalog.manifest_totals(&table().name, None, None).await.expect("totals");
            assert_eq!(totals.rows, found.len() as u64, "{:?}", self.steps);
        }
    }
}

#[tokio::test]
async fn random_steps_leave_the_rows_that_a_plain_list_leaves() {
    for seed in 1..=2 {
        let mut run = Run::new(seed).await;
        for _ in 0..24 {
            run.step().await;
        }
        run.batcher().stop(LIMIT).await;
        run.world.engine.stop().await;
    }
}

#[tokio::test]
async fn a_removal_that_was_broken_off_takes_no_row_that_came_later() {
    let mut run = Run::new(0).await;
    run.ingest().await;
    run.flush().await;
    run.retention = Retention { max_age: Some(3_600), ..Retention::default() };
    keep(run.states(), "it", run.retention).await;
    run.clock.pass(Duration::from_secs(3 * 24 * 3_600));
    // The engine is gone before it hears of the removal, and back with other rows in the same partitions.
    let before = run.rows.len();
    let shards = run.states().catalog.shards(&table().name).await.expect("shards");
    for shard in &shards {
        let removal = tidegate_core::catalog::Removal {
            table: table().name,
            partition: shard.partition,
            before: None,
            last: tidegate_model::Seq(before as u64),
            at: run.clock.now(),
        };
        run.states().catalog.begin_removal(&removal, &[]).await.expect("a removal");
    }
    let seconds: Vec<i64> = run.rows.values().map(|at| at.0).collect();
    let days: Vec<u16> = seconds.iter().map(|at| partition_day(UnixNanos(*at), run.clock.now())).collect();
    let ids: ArrayRef = Arc::new(UInt64Array::from_iter_values(0..days.len() as u64));
    let at: ArrayRef = Arc::new(TimestampNanosecondArray::from(seconds).with_timezone("UTC"));
    append(&run.states().buffer, &table(), rows(&table(), &days, &[("at", at), ("id", ids)])).await;
    run.flush().await;
    assert_eq!(expire(run.states()).resume().await.expect("finished"), 0);
    let found = run.found().await;
    assert!(found.keys().all(|seq| *seq > before as u64), "{found:?}");
    assert_eq!(found.len(), before);
    assert_eq!(exact(run.states(), &table().name).await, before as u64);
    run.batcher().stop(LIMIT).await;
    run.world.engine.stop().await;
}

#[tokio::test]
async fn the_oldest_partitions_of_a_table_that_is_too_large_go_with_what_belongs_to_them() {
    let world = World::new().await;
    let (states, batcher) = world.open(&world.store, by_hand()).await;
    for day in 0..3_u16 {
        let mut trace = spans(&format!("{day:032x}"), 50);
        let days: ArrayRef = Arc::new(arrow_array::UInt16Array::from(vec![DAY - 2 + day; 50]));
        let mut columns = trace.columns().to_vec();
        columns[0] = days;
        trace = arrow_array::RecordBatch::try_new(trace.schema(), columns).expect("rows");
        append(&states.buffer, &tables::SPANS, trace).await;
    }
    assert_eq!(batcher.flush(&[], LIMIT).await, []);
    let sizes = states.store.partitions(&tables::SPANS.name).await.expect("partitions");
    let newest = sizes.last().expect("partitions").bytes;
    keep(&states, "spans", Retention { max_bytes: Some(newest + sizes[1].bytes), ..Retention::default() }).await;
    let expire = expire(&states);
    let report = expire.run(&all()).await.expect("a run");
    assert_eq!((report.rows_removed, report.steps.len(), report.steps[0].reason), (50, 1, "size"), "{report:?}");
    keep(&states, "spans", Retention { max_bytes: Some(1), ..Retention::default() }).await;
    let report = expire.run(&all()).await.expect("a run");
    assert_eq!((report.rows_removed, report.left), (50, 0), "the newest partition stays: {report:?}");
    assert_eq!(world.count("spans").await, (50, 50));
    assert_eq!(world.number("SELECT uniqExact(_partition) FROM trace_ranges").await, 1);
    assert_eq!(exact(&states, &tables::SPANS.name).await, 100);
    let filter = ManifestFilter {
        table: tables::SPANS.name.clone(),
        shard: None,
        state: Some(ManifestState::Expired),
        limit: 10,
        after: None,
    };
    let expired = states.catalog.manifests(&filter).await.expect("manifests");
    assert_eq!(expired.iter().map(|one| one.sum.rows).collect::<Vec<_>>(), [50, 50]);
    batcher.stop(LIMIT).await;
    world.engine.stop().await;
}

#[tokio::test]
async fn rows_that_others_need_and_rows_that_nobody_counted_stay() {
    let world = World::new().await;
    let (states, batcher) = world.open(&world.store, by_hand()).await;
    append(&states.buffer, &tables::SPANS, spans("0af7", 4)).await;
    assert_eq!(batcher.flush(&[], LIMIT).await, []);
    let expire = expire(&states);
    for table in ["metric_series", "log_templates", "catalog_values"] {
        let refused = expire.targets(Some(table)).await.expect_err("it must stay");
        assert!(matches!(refused, ExpireError::Kept { .. }), "{refused:?}");
    }
    world.store.execute("INSERT INTO tidegate.spans SELECT * FROM tidegate.spans LIMIT 1").await.expect("a stranger");
    keep(&states, "spans", Retention { max_age: Some(1), ..Retention::default() }).await;
    let report = expire.run(&all()).await.expect("a run");
    assert_eq!((report.rows_removed, report.left, report.steps[0].outcome), (0, 1, "postponed"), "{report:?}");
    assert_eq!(world.count("spans").await, (5, 4));
    batcher.stop(LIMIT).await;
    world.engine.stop().await;
}
