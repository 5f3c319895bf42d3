use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidegate_model::limits::{BATCH_LOOK_MS, BATCH_SAVE_MS};
use tidegate_model::{Clock, Seq, TableName, UnixNanos};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};

use super::insert::store;
use super::promote::Promotions;
use super::report::Reports;
use super::seal::{Sealed, is_due, reseal, seal};
use super::targets::Targets;
use super::trim::{SavedCounts, trim};
use super::{BatchError, BatchOptions, BatchReport, Left};
use crate::buffer::{Buffer, TailStatus};
use crate::catalog::Catalog;
use crate::rollup::Rollup;
use crate::store::Store;

/// The states that the mover moves between.
#[derive(Debug, Clone)]
pub struct States {
    /// Where rows wait.
    pub buffer: Buffer,
    /// Where batches are noted.
    pub catalog: Catalog,
    /// Where rows go.
    pub store: Store,
    /// What all batches know of those before them; `None`: nothing is counted for the catalogue.
    pub rollup: Option<Rollup>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// The running mover; clones share it.
#[derive(Debug, Clone)]
pub struct Batcher {
    shared: Arc<Shared>,
    task: Arc<tokio::sync::Mutex<Option<JoinHandle<()>>>>,
}

/// What the mover's tasks share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) states: States,
    pub(super) options: BatchOptions,
    pub(super) targets: Targets,
    pub(super) promotions: Promotions,
    pub(super) reports: Reports,
    /// One for each batch that may be encoded and inserted at once.
    pub(super) slots: Semaphore,
    /// Batches that wait after a failure; they take nobody's place meanwhile.
    pub(super) pausing: AtomicUsize,
    /// Tables that a flush wants stored up to a row, whatever their age.
    wanted: Mutex<HashMap<TableName, Seq>>,
    wake: Notify,
    /// Counts batches that ended.
    progress: watch::Sender<u64>,
    stop: watch::Sender<bool>,
}

impl Batcher {
    /// Repeats the cuts that a crash left open, then moves batches until it is stopped; needs a tokio runtime.
    pub async fn start(states: States, options: BatchOptions) -> Result<Self, BatchError> {
        let open = reseal(&states.buffer, &states.catalog, states.clock.now()).await?;
        if !open.is_empty() {
            tracing::info!(batches = open.len(), "unfinished batches are inserted again under their tokens");
        }
        let shared = Arc::new(Shared {
            states,
            slots: Semaphore::new(options.tables_at_once.max(1)),
            pausing: AtomicUsize::new(0),
            options,
            targets: Targets::default(),
            promotions: Promotions::default(),
            reports: Reports::default(),
            wanted: Mutex::default(),
            wake: Notify::new(),
            progress: watch::Sender::new(0),
            stop: watch::Sender::new(false),
        });
        let mover = Mover {
            shared: Arc::clone(&shared),
            open: open.into(),
            jobs: JoinSet::new(),
            busy: HashSet::new(),
            turns: HashMap::new(),
            saved: SavedCounts::default(),
        };
        let task = Arc::new(tokio::sync::Mutex::new(Some(tokio::spawn(mover.run()))));
        Ok(Self { shared, task })
    }

    /// Stores what these tables hold now (all, when none is named), for at most so long; returns what is left of it.
    pub async fn flush(&self, tables: &[TableName], limit: Duration) -> Vec<Left> {
        let wanted: HashMap<TableName, Seq> = self.tails(tables).map(|tail| (tail.table, tail.head)).collect();
        {
            let mut all = self.shared.wanted();
            for (table, head) in &wanted {
                let seq = all.entry(table.clone()).or_default();
                *seq = (*seq).max(*head);
            }
        }
        self.shared.wake.notify_one();
        let mut progress = self.shared.progress.subscribe();
        let is_done = |_: &u64| self.left(&wanted).is_empty();
        // Past the limit, and when the mover has stopped, the answer is what is left.
        let _ = timeout(limit, progress.wait_for(is_done)).await;
        self.left(&wanted)
    }

    /// Flushes for at most so long, then ends the mover; returns what stays in the buffer, durable.
    pub async fn stop(&self, limit: Duration) -> Vec<Left> {
        let left = self.flush(&[], limit).await;
        self.shared.stop.send_replace(true);
        if let Some(task) = self.task.lock().await.take() {
            let _ = task.await;
        }
        left
    }

    /// Tells what became of the batches of each table since the start.
    #[must_use]
    pub fn reports(&self) -> Vec<(TableName, BatchReport)> {
        self.shared.reports.all()
    }

    fn tails(&self, tables: &[TableName]) -> impl Iterator<Item = TailStatus> {
        let all = self.shared.states.buffer.status().into_iter();
        all.filter(move |tail| tables.is_empty() || tables.contains(&tail.table))
    }

    fn left(&self, wanted: &HashMap<TableName, Seq>) -> Vec<Left> {
        let behind = self.tails(&[]).filter_map(|tail| {
            let rows = wanted.get(&tail.table)?.0.saturating_sub(tail.stored.0);
            let reason = || self.shared.reports.stuck(&tail.table);
            (rows > 0).then(|| Left { rows, reason: reason(), table: tail.table.clone() })
        });
        behind.collect()
    }
}

impl Shared {
    fn wanted(&self) -> MutexGuard<'_, HashMap<TableName, Seq>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_wanted(&self, tail: &TailStatus) -> bool {
        self.wanted().get(&tail.table).is_some_and(|seq| *seq > tail.sealed)
    }
}

struct Mover {
    shared: Arc<Shared>,
    /// Cuts from before the start; a table's own come before its next.
    open: VecDeque<Sealed>,
    jobs: JoinSet<TableName>,
    /// Tables with a batch in flight.
    busy: HashSet<TableName>,
    /// When each table had its last turn, counted in batches.
    turns: HashMap<TableName, usize>,
    saved: SavedCounts,
}

impl Mover {
    async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let mut stop = shared.stop.subscribe();
        let mut saved_at = Instant::now();
        loop {
            let waiting = self.start_due();
            let look_again = async {
                if waiting {
                    sleep(Duration::from_millis(BATCH_LOOK_MS)).await;
                } else {
                    shared.states.buffer.grown().await;
                }
            };
            tokio::select! {
                () = look_again => {}
                () = shared.wake.notified() => {}
                () = sleep(Duration::from_millis(BATCH_SAVE_MS)) => {}
                Some(ended) = self.jobs.join_next() => self.ended(ended).await,
                () = stopped(&mut stop) => break,
            }
            if saved_at.elapsed() >= Duration::from_millis(BATCH_SAVE_MS) {
                self.save_counts().await;
                saved_at = Instant::now();
            }
        }
        // A batch that is broken off here is repeated at the next start, under its tokens.
        self.jobs.shutdown().await;
        self.save_counts().await;
    }

    /// Starts every batch that is due and has room; says whether unsealed rows wait for their time.
    fn start_due(&mut self) -> bool {
        let shared = Arc::clone(&self.shared);
        while self.has_room() {
            let Some(at) = self.open.iter().position(|sealed| !self.busy.contains(&sealed.cut.table)) else { break };
            let sealed = self.open.remove(at);
            sealed.into_iter().for_each(|sealed| self.start(sealed));
        }
        let mut tails = shared.states.buffer.status();
        tails.retain(|tail| tail.head != tail.sealed && !self.busy.contains(&tail.table));
        let waiting = !tails.is_empty();
        // In turn: tables that always have a batch due must not keep another's rows, and with them the log, for ever.
        tails.sort_by_key(|tail| self.turns.get(&tail.table).copied());
        for tail in tails {
            let has_open = self.open.iter().any(|sealed| sealed.cut.table == tail.table);
            let due = is_due(&tail, &shared.options) || shared.is_wanted(&tail);
            if !due || has_open || !self.has_room() {
                continue;
            }
            let sealed = seal(&shared.states.buffer, &tail, &shared.options, shared.states.clock.now());
            sealed.into_iter().for_each(|sealed| self.start(sealed));
        }
        waiting
    }

    fn has_room(&self) -> bool {
        let at_work = self.jobs.len().saturating_sub(self.shared.pausing.load(Ordering::SeqCst));
        at_work < self.shared.options.tables_at_once.max(1)
    }

    fn start(&mut self, sealed: Sealed) {
        let (shared, table) = (Arc::clone(&self.shared), sealed.cut.table.clone());
        self.busy.insert(table.clone());
        let turn = self.turns.values().max().map_or(1, |last| last + 1);
        self.turns.insert(table.clone(), turn);
        self.jobs.spawn(async move {
            store(shared, sealed).await;
            table
        });
    }

    async fn ended(&mut self, ended: Result<TableName, tokio::task::JoinError>) {
        match ended {
            Ok(table) => self.busy.remove(&table),
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => return,
        };
        self.shared.progress.send_modify(|batches| *batches += 1);
        let (states, now) = (&self.shared.states, self.shared.states.clock.now());
        let window = i64::try_from(self.shared.options.dedup_window_seconds).unwrap_or(i64::MAX);
        let expired = UnixNanos(now.0.saturating_sub(window.saturating_mul(1_000_000_000)));
        if let Err(error) = trim(&states.buffer, &states.catalog, expired).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the log could not be trimmed, trying after the next batch"
            );
        }
    }

    async fn save_counts(&mut self) {
        let states = &self.shared.states;
        if let Err(error) = self.saved.save(&states.buffer, &states.catalog).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "the ledger's counts could not be saved");
        }
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // The sender lives in what we share; without it nobody could want a batch either.
    let _ = stop.wait_for(|stop| *stop).await;
}
