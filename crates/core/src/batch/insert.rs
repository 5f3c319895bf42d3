use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rand::Rng;
use tidegate_model::limits::{BATCH_RETRY_MS_MAX, BATCH_RETRY_MS_MIN, BATCH_STUCK_RETRY_MS};
use tidegate_model::{ErrorKind, PartitionDay, RowsSum, TableSpec, chain};
use tokio::time::Instant;

use super::catalogue::{Beside, BesideInsert, count, settle};
use super::encode::{Part, Plan, encode_rows, plan};
use super::mover::Shared;
use super::seal::Sealed;
use super::{BatchError, BatchReport, blocking};
use crate::catalog::Stored;
use crate::rollup::Rollup;
use crate::store::{Gone, Outlet, Promotion, StoreError};

/// Takes one batch from its cut to its watermark; ends only when that is done.
pub(super) async fn store(shared: Arc<Shared>, sealed: Sealed) {
    let mut attempt =
        Attempt { shared: &shared, sealed: &sealed, inserted: HashSet::new(), sums: BTreeMap::new(), beside: None };
    let mut pause = Duration::from_millis(BATCH_RETRY_MS_MIN);
    while let Err(error) = in_a_slot(&shared, &mut attempt).await {
        let wait = if may_pass(&error) { pause } else { Duration::from_millis(BATCH_STUCK_RETRY_MS) };
        tell(&shared, &sealed, &error, wait);
        shared.targets.doubt(&error).await;
        let jitter = rand::rng().random_range(0.5..1.5);
        shared.pausing.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(wait.mul_f64(jitter)).await;
        shared.pausing.fetch_sub(1, Ordering::SeqCst);
        pause = (pause * 2).min(Duration::from_millis(BATCH_RETRY_MS_MAX));
    }
    let beside = shared.states.rollup.as_ref().zip(attempt.beside.take());
    if let Some((rollup, beside)) = &beside {
        // Before the rows leave the hot tail: whoever reads the totals finds them in one of the two.
        settle(rollup, &shared.states, &sealed.cut, beside).await;
    }
    shared.states.buffer.advance(&sealed.cut.table, sealed.cut.range.last);
    if let Some((rollup, beside)) = beside {
        rollup.stored(beside.learned);
    }
    shared.reports.update(&sealed.cut.table, |report| {
        report.batches += 1;
        report.rows += sealed.cut.range.rows();
        report.bytes += sealed.row.bytes;
        report.stuck = None;
    });
}

/// Tries once, beside at most so many others; a batch that pauses holds no slot, however long its table is refused.
async fn in_a_slot(shared: &Shared, attempt: &mut Attempt<'_>) -> Result<(), BatchError> {
    let _slot = shared.slots.acquire().await.expect("nobody closes it");
    attempt.run().await
}

struct Attempt<'a> {
    shared: &'a Shared,
    sealed: &'a Sealed,
    /// Tokens that ClickHouse has taken; a repeat would add nothing, but cost the time.
    inserted: HashSet<String>,
    /// What these inserts put into each partition.
    sums: BTreeMap<PartitionDay, RowsSum>,
    /// What was counted of the batch, once that is done.
    beside: Option<Beside>,
}

impl Attempt<'_> {
    /// Does what is left to be done; every step may be repeated.
    async fn run(&mut self) -> Result<(), BatchError> {
        let (states, row) = (&self.shared.states, &self.sealed.row);
        // First of all: whatever keeps the batch from being inserted, its cut is known to whoever comes next.
        states.catalog.add_batch(row).await?;
        let target = self.shared.targets.ready(&row.table, &states.catalog, &states.store).await?;

        let started = Instant::now();
        let (cut, id, version) = (self.sealed.cut.clone(), row.id.clone(), target.schema_version);
        let slug = target.slug.clone().unwrap_or_else(|| row.table.to_string());
        let Plan { mut parts, mut partitions, covered, unique_keys } =
            blocking(move || plan(&cut, &id, &target)).await?;
        if self.shared.options.unkept.contains(&row.table) {
            // A batch in no partition is one whose rows were counted and not kept.
            (parts, partitions) = (Vec::new(), Vec::new());
        }
        self.report(|report| report.encoding += started.elapsed());

        states.catalog.draft_manifests(row, (&partitions, &covered), (version, states.clock.now())).await?;
        for part in parts {
            if !self.inserted.contains(&part.token) {
                let (token, partition) = (part.token.clone(), part.partition);
                let sum = self.insert(part).await?;
                self.report(|report| report.inserts += 1);
                self.sums.entry(partition).or_default().merge(&sum);
                self.inserted.insert(token);
            }
        }
        let promotion = self.promotion(slug);
        let shared = self.shared;
        let promoting =
            async { if partitions.is_empty() { Ok(()) } else { shared.promotions.promote(states, &promotion).await } };
        let counting = async {
            match states.rollup.as_ref().filter(|_| Rollup::counts(&row.table)) {
                Some(rollup) => self.insert_beside(rollup).await,
                None => Ok(()),
            }
        };
        let (promoted, counted) = tokio::join!(promoting, counting);
        promoted?;
        counted?;
        let sums: Vec<_> = self.sums.iter().map(|(partition, sum)| (*partition, *sum)).collect();
        let partitions = u32::try_from(partitions.len()).unwrap_or(u32::MAX);
        let stored = Stored { partitions, unique_keys: &unique_keys, sums: &sums };
        states.catalog.store_batch(&row.id, states.clock.now(), &stored).await?;
        Ok(())
    }

    /// Says how far the table is in ClickHouse: told after the rows, so that it never says too much.
    fn promotion(&self, slug: String) -> Promotion {
        let row = &self.sealed.row;
        let latest = self.sums.values().filter_map(|sum| sum.times).map(|(_, last)| last).max();
        Promotion {
            slug,
            table: row.table.clone(),
            watermark: row.range.last,
            latest,
            at: self.shared.states.clock.now(),
        }
    }

    /// Counts the batch's rows, and inserts what came of it.
    async fn insert_beside(&mut self, rollup: &Rollup) -> Result<(), BatchError> {
        let (states, row) = (&self.shared.states, &self.sealed.row);
        let beside = match self.beside.take() {
            Some(beside) => beside,
            None => {
                let started = Instant::now();
                let counted = count(rollup, states, self.sealed.cut.clone(), row.id.clone()).await?;
                self.report(|report| report.counting += started.elapsed());
                counted
            }
        };
        for insert in &beside.inserts {
            self.shared.targets.ready(&insert.spec.name, &states.catalog, &states.store).await?;
        }
        states.buffer.show(&row.table);
        let left = beside.inserts.iter().filter(|insert| !self.inserted.contains(&insert.place()));
        let outcomes = futures_util::future::join_all(left.map(|insert| self.insert_counted(insert))).await;
        self.beside = Some(beside);
        for outcome in outcomes {
            self.inserted.insert(outcome?);
        }
        Ok(())
    }

    async fn insert_counted(&self, insert: &BesideInsert) -> Result<String, BatchError> {
        let rows = insert.rows.clone();
        self.send((&insert.token, insert.spec), move |outlet| encode_rows(&rows, outlet)).await?;
        Ok(insert.place())
    }

    /// Encodes a part's rows while they are sent.
    async fn insert(&self, part: Part) -> Result<RowsSum, BatchError> {
        let (token, spec) = (part.token.clone(), part.spec.clone());
        self.send((&token, &spec), move |outlet| part.encode(outlet)).await
    }

    /// Sends what `encode` makes while it makes it.
    async fn send(
        &self,
        (token, spec): (&str, &TableSpec),
        encode: impl FnOnce(Outlet) -> Result<Result<(Duration, RowsSum), Gone>, BatchError> + Send + 'static,
    ) -> Result<RowsSum, BatchError> {
        let (outlet, rows) = Outlet::open();
        let encoding = blocking(move || {
            let began = Instant::now();
            let encoded = encode(outlet)?;
            Ok::<_, BatchError>(encoded.map(|(waited, sum)| (began.elapsed().saturating_sub(waited), sum)))
        });
        let started = Instant::now();
        let (encoded, outcome) = tokio::join!(encoding, self.shared.states.store.insert(spec, token, rows));
        self.report(|report| report.inserting += started.elapsed());
        // A stream that broke off is why the insert failed, not the other way round.
        let encoded = encoded?;
        outcome?;
        let (spent, sum) =
            encoded.map_err(|Gone| StoreError::CutOff("an insert was answered before its end".to_owned()))?;
        self.report(|report| report.encoding += spent);
        Ok(sum)
    }

    fn report(&self, change: impl FnOnce(&mut BatchReport)) {
        self.shared.reports.update(&self.sealed.row.table, change);
    }
}

/// Says whether the same batch may pass later without anybody's help.
fn may_pass(error: &BatchError) -> bool {
    error.kind().is_retryable() || error.kind() == ErrorKind::NotFound
}

fn tell(shared: &Shared, sealed: &Sealed, error: &BatchError, wait: Duration) {
    let (batch, rows) = (&sealed.row.id, sealed.cut.range.rows());
    let (cause, wait_ms) = (chain(error), wait.as_millis());
    if may_pass(error) {
        tracing::warn!(%batch, rows, cause, wait_ms, "a batch could not be stored, trying again");
    } else {
        tracing::error!(%batch, rows, cause, wait_ms, "a batch is refused and waits in the buffer; mend the cause in ClickHouse, it is tried again until it passes");
    }
    shared.reports.update(&sealed.cut.table, |report| {
        report.failures += 1;
        report.stuck = Some(cause);
    });
}
