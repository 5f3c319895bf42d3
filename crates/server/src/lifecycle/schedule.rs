use std::time::Duration;

use tidegate_core::expire::{ExpireError, Wanted};
use tidegate_model::UnixNanos;
use tidegate_model::limits::LIFECYCLE_ALARM_LOOK_MS;
use tokio::sync::watch;
use tokio::time::sleep;

use super::quotas;
use super::runs::run;
use crate::errors::chain;
use crate::stages::{SchemaState, Stages};

/// Runs the lifecycle every so often, and looks for rows that should be gone, until the server stops.
pub async fn run_lifecycle(stages: Stages, mut stop: watch::Receiver<bool>) {
    let all = async { tokio::join!(runs(&stages), looks(&stages), quotas::watch(&stages)) };
    tokio::select! {
        _ = all => {}
        // What a run leaves is finished after the next start.
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

async fn runs(stages: &Stages) {
    if stages.schema.clone().wait_for(|state| *state == SchemaState::Current).await.is_err() {
        return;
    }
    if let Err(error) = stages.catalog.end_broken_runs(stages.clock.now()).await {
        tracing::warn!(error = chain(&error), "runs of the lifecycle that were broken off stay open in the list");
    }
    stages.lifecycle.settle().await;
    give_notice(stages).await;
    let every = stages.lifecycle.every;
    if every.is_zero() {
        return;
    }
    let wanted = Wanted { retention: true, tiers: true, ..Wanted::default() };
    loop {
        if let Err(failure) = run(stages, &wanted, "schedule", "").await {
            tracing::warn!(why = failure.message, "a run of the lifecycle failed, trying again at its next time");
        }
        sleep(every).await;
    }
}

/// Tells which rows will go by a retention that nobody decided.
async fn give_notice(stages: &Stages) {
    let expire = &stages.lifecycle.expire;
    let told = async {
        expire.note_defaults().await?;
        for target in expire.targets(None).await? {
            let Some(pending) = target.pending else { continue };
            let preview = expire.preview(&target, &pending.retention).await?;
            if let Some(oldest) = preview.oldest {
                tracing::warn!(
                    table = %target.spec.name,
                    rows = preview.rows,
                    bytes = preview.bytes,
                    oldest = %oldest,
                    max_age_hours = pending.retention.max_age.map(|age| age / 3_600),
                    from = %pending.from,
                    "rows of this table will go by the default retention, unless something else is decided: docs/lifecycle.md"
                );
            }
        }
        Ok::<_, ExpireError>(())
    };
    if let Err(error) = told.await {
        tracing::warn!(error = chain(&error), "what the default retention will remove could not be told");
    }
}

async fn looks(stages: &Stages) {
    loop {
        look(stages).await;
        sleep(Duration::from_millis(LIFECYCLE_ALARM_LOOK_MS)).await;
    }
}

/// Raises the alarm when a row has been past retention and grace for longer than two runs take to come.
///
/// A row may be so old when it is stored: until the next run that is nobody's fault.
async fn look(stages: &Stages) {
    let (lifecycle, now, moment) = (&stages.lifecycle, stages.clock.now(), stages.clock.monotonic());
    let overdue = match lifecycle.expire.overdue(now).await {
        Ok(overdue) => overdue,
        Err(error) => {
            tracing::warn!(error = chain(&error), "the catalog does not tell which rows are past their retention");
            return;
        }
    };
    let past = |latest: UnixNanos, oldest: UnixNanos| latest.0.abs_diff(oldest.0) / 1_000_000_000;
    let furthest = overdue.iter().map(|one| (one.table.to_string(), past(one.latest, one.oldest)));
    let furthest = furthest.max_by_key(|(_, seconds)| *seconds);
    let mut crossed = None;
    lifecycle.change(|state| {
        state.overdue_since = furthest.as_ref().map(|_| state.overdue_since.unwrap_or(moment));
        let is_late = state.overdue_since.is_some_and(|since| moment.saturating_sub(since) > 2 * lifecycle.every);
        if is_late != state.is_late {
            crossed = Some(is_late);
            state.is_late = is_late;
            state.alarms += u64::from(is_late);
        }
        state.overdue.clone_from(&furthest);
    });
    let (table, past_seconds) = furthest.unwrap_or_default();
    match crossed {
        Some(true) => tracing::error!(
            table,
            past_seconds,
            "rows are past their retention and grace and are still stored; GET /admin/lifecycle/runs says why"
        ),
        Some(false) => tracing::info!("no row is past its retention and grace any more"),
        None => {}
    }
}
