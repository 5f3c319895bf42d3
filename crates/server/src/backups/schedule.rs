use std::time::Duration;

use serde_json::json;
use tidegate_core::backup::{BackupAsked, BackupError, BackupManifest, next_base, outlived};
use tidegate_core::query::Moment;
use tidegate_model::limits::BACKUP_SCHEDULE_SECONDS;
use tokio::sync::watch;
use tokio::time::sleep;

use super::chain_of;
use super::office::{BackupOffice, drill};
use crate::errors::chain;
use crate::stages::{SchemaState, Stages};

const NANOS_OF_HOUR: i64 = 3_600_000_000_000;

/// Takes backups, removes old ones and restores the newest on trial, by the plan, until the server stops.
pub async fn run_backups(stages: Stages, mut stop: watch::Receiver<bool>) {
    let Some(office) = stages.backups.clone() else { return };
    let all = async {
        // Without its sender the server is ending.
        if stages.schema.clone().wait_for(|state| *state == SchemaState::Current).await.is_err() {
            return;
        }
        match stages.catalog.backup_drills().await {
            Ok(drills) => {
                if let Some(newest) = drills.into_iter().next() {
                    office.note_drill(newest);
                }
            }
            Err(error) => tracing::warn!(error = chain(&error), "the catalog does not tell the last drill"),
        }
        loop {
            look(&stages, &office).await;
            sleep(Duration::from_secs(BACKUP_SCHEDULE_SECONDS)).await;
        }
    };
    tokio::select! {
        () = all => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

async fn look(stages: &Stages, office: &BackupOffice) {
    let plan = office.plan;
    if plan.every_hours == 0 && plan.drill_hours == 0 {
        return;
    }
    match take_due(stages, office).await {
        Ok(()) => office.note_backup(None),
        // Somebody's own is under way; the next look finds it.
        Err(BackupError::Running) => return,
        Err(error) => {
            tracing::error!(error = chain(&error), "a scheduled backup could not be taken; it is tried again");
            stages.metrics.copies.backup(false);
            office.note_backup(Some(chain(&error)));
        }
    }
    if plan.drill_hours > 0
        && let Err(error) = drill_due(stages, office).await
    {
        tracing::error!(error, "a backup could not be restored on trial; it is tried again");
    }
}

async fn take_due(stages: &Stages, office: &BackupOffice) -> Result<(), BackupError> {
    if office.plan.every_hours == 0 {
        return Ok(());
    }
    let all = office.backups.list().await?;
    let newest = all.iter().rev().find(|one| one.is_scheduled);
    if newest.and_then(began).is_some_and(|began| !is_due(stages, began, office.plan.every_hours)) {
        return Ok(());
    }
    let base = next_base(&all, office.plan.chain_max);
    office.backups.take(BackupAsked { name: None, base, is_scheduled: true }).await?;
    stages.metrics.copies.backup(true);
    if office.plan.keep == 0 {
        return Ok(());
    }
    for name in outlived(&office.backups.list().await?, office.plan.keep) {
        office.backups.remove(&name).await?;
        tracing::info!(backup = name, "an old backup is removed");
    }
    Ok(())
}

async fn drill_due(stages: &Stages, office: &BackupOffice) -> Result<(), String> {
    let drills = stages.catalog.backup_drills().await.map_err(|error| chain(&error))?;
    if drills.first().is_some_and(|last| !is_due(stages, last.began_at.0, office.plan.drill_hours)) {
        return Ok(());
    }
    let all = office.backups.list().await.map_err(|error| chain(&error))?;
    let Some(newest) = all.last() else { return Ok(()) };
    let chain_of = chain_of(&all, &newest.name);
    drill(stages, office, (chain_of, "schedule")).await.map(drop).map_err(|error| chain(&error))
}

fn is_due(stages: &Stages, last: i64, hours: u64) -> bool {
    let every = i64::try_from(hours).unwrap_or(i64::MAX).saturating_mul(NANOS_OF_HOUR);
    stages.clock.now().0.saturating_sub(last) >= every
}

fn began(manifest: &BackupManifest) -> Option<i64> {
    serde_json::from_value::<Moment>(json!(manifest.began_at)).ok().map(|moment| moment.0.0)
}
