use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_core::catalog::Migration;
use tidegate_model::limits::{PRIMARY_LEVEL_LOOK_MS, PRIMARY_LEVEL_MS, PRIMARY_LOOK_MS};
use tidegate_primary::{Capture, Lag, Primary, PrimaryError};
use tidegate_traces::DATASET;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep};

use super::choice::TracingMode;
use crate::errors::chain;
use crate::stages::Stages;

/// ClickHouse is told to be behind past this age of the oldest change (seconds).
const LATE_SECONDS: u64 = 60;

/// How far ClickHouse is behind PostgreSQL, and who brings what is missing.
#[derive(Debug, Default)]
pub struct Follow {
    seen: Mutex<Seen>,
    written: Notify,
    failures: AtomicU64,
}

/// What was seen at the last look.
#[derive(Debug, Clone, Default)]
struct Seen {
    /// The migration that what captures changes belongs to, and whether all rows from before it are here.
    capture: Option<(Capture, bool)>,
    lag: Option<Lag>,
    /// Why PostgreSQL did not answer.
    away: Option<String>,
    /// Why changes are not brought.
    trouble: Option<String>,
}

impl Follow {
    /// Waits until something was written to PostgreSQL that is to be in ClickHouse too.
    pub async fn written(&self) {
        self.written.notified().await;
    }

    /// Notes that changes could not be brought.
    pub fn failed(&self, why: String) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.seen().trouble = Some(why);
    }

    /// Notes that changes are brought.
    pub fn works(&self) {
        self.seen().trouble = None;
    }

    pub(super) fn wake(&self) {
        self.written.notify_one();
    }

    /// Returns what counts and ages are: changes, seconds, failures.
    pub(crate) fn counts(&self) -> (u64, u64, u64) {
        let lag = self.seen().lag.unwrap_or_default();
        (lag.rows, lag.seconds, self.failures.load(Ordering::Relaxed))
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits until ClickHouse has all that PostgreSQL had committed when it was asked; says whether it has.
///
/// A change is removed from PostgreSQL when its row is in the log here, which is when the next answer has it.
pub(super) async fn is_level(stages: &Stages, primary: &Primary) -> bool {
    match levels(stages, primary).await {
        Ok(is_level) => is_level,
        Err(error) => {
            tracing::debug!(error = chain(&error), "postgresql does not tell how far clickhouse is behind");
            false
        }
    }
}

async fn levels(stages: &Stages, primary: &Primary) -> Result<bool, PrimaryError> {
    let Some(capture) = primary.capture().await? else { return Ok(false) };
    // What is told of another migration says nothing of this one.
    let seen = stages.tracing.follow.seen().capture.clone();
    let is_whole = seen.is_some_and(|(seen, is_whole)| is_whole && seen == capture);
    Ok(is_whole && is_drained(stages, primary, &capture).await?)
}

/// Waits for a moment until the changes are brought that are committed by now; says whether they are.
pub(super) async fn is_drained(stages: &Stages, primary: &Primary, capture: &Capture) -> Result<bool, PrimaryError> {
    let until = Instant::now() + Duration::from_millis(PRIMARY_LEVEL_MS);
    let Some(newest) = primary.newest_change(capture).await? else { return Ok(true) };
    stages.tracing.follow.wake();
    while Instant::now() < until {
        sleep(Duration::from_millis(PRIMARY_LEVEL_LOOK_MS)).await;
        if !primary.is_behind(capture, newest).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Looks every now and then how far ClickHouse is behind, until the server stops.
pub async fn watch_primary(stages: Stages, mut stop: watch::Receiver<bool>) {
    let Some(primary) = stages.tracing.primary().cloned() else { return };
    loop {
        look(&stages, &primary).await;
        tokio::select! {
            () = sleep(Duration::from_millis(PRIMARY_LOOK_MS)) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

async fn look(stages: &Stages, primary: &Primary) {
    let looked = async {
        let Some(capture) = primary.capture().await? else { return Ok(None) };
        let lag = primary.lag(&capture).await?;
        Ok::<_, PrimaryError>(Some((capture, lag)))
    };
    match looked.await {
        Ok(None) => {
            let mut seen = stages.tracing.follow.seen();
            (seen.capture, seen.lag, seen.away) = (None, None, None);
        }
        Ok(Some((capture, lag))) => {
            let migration = migration_of(stages, &capture);
            let is_whole = match &migration {
                Some(migration) => left(stages, migration).await.is_ok_and(|left| left == 0),
                None => false,
            };
            let mut seen = stages.tracing.follow.seen();
            (seen.capture, seen.lag, seen.away) = (Some((capture, is_whole)), Some(lag), None);
        }
        // How far it was behind stays what was known last.
        Err(error) => stages.tracing.follow.seen().away = Some(chain(&error)),
    }
}

/// Finds the migration into the dataset of spans that takes what is captured.
pub(super) fn migration_of(stages: &Stages, capture: &Capture) -> Option<Migration> {
    let open = stages.catalog.open_migrations().into_iter();
    open.filter(|migration| migration.slug == DATASET)
        .find(|migration| Some(&migration.id) == capture.migration.as_ref())
}

/// Counts what of the rows from before is not here yet; of a migration that was not planned that is not known.
pub(super) async fn left(stages: &Stages, migration: &Migration) -> Result<u64, tidegate_core::catalog::CatalogError> {
    let progress = stages.catalog.migration_progress(&migration.id).await?;
    Ok(if progress.files == 0 { u64::MAX } else { progress.rows.saturating_sub(progress.seen) })
}

/// Tells how PostgreSQL and the way from there are; `null`: there is none.
pub(crate) fn told(stages: &Stages) -> Value {
    let Some(primary) = stages.tracing.primary() else { return Value::Null };
    let seen = stages.tracing.follow.seen().clone();
    let (lag_rows, lag_seconds, failures) = stages.tracing.follow.counts();
    let is_dual = stages.tracing.choices.has(TracingMode::Dual);
    let mut why: Vec<String> = seen.away.iter().map(|why| format!("PostgreSQL does not answer: {why}")).collect();
    if is_dual && seen.away.is_none() && seen.capture.is_none() {
        why.push("changes are not captured, and do not come to ClickHouse".to_owned());
    }
    why.extend(seen.trouble.filter(|_| seen.capture.is_some()).map(|why| format!("changes are not brought: {why}")));
    if lag_seconds > LATE_SECONDS {
        why.push(format!("the oldest of {lag_rows} changes waits for {lag_seconds} s"));
    }
    json!({
        "state": if why.is_empty() { "ok" } else { "degraded" },
        "why": why,
        "postgres": primary.shown(),
        "table": primary.table().to_string(),
        "migration": seen.capture.as_ref().and_then(|(capture, _)| capture.migration.clone()),
        "isWhole": seen.capture.is_some_and(|(_, is_whole)| is_whole),
        "lagRows": lag_rows,
        "lagSeconds": lag_seconds,
        "failures": failures,
    })
}
