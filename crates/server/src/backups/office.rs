use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_core::backup::{BackupManifest, Backups};
use tidegate_core::catalog::{AuditEntry, BackupDrill, CatalogError, RecordFilter};
use tokio::sync::{mpsc, oneshot};

use crate::errors::chain;
use crate::stages::Stages;

/// When backups are taken, removed and restored on trial.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BackupPlan {
    /// Every so many hours one is taken; 0: never.
    pub every_hours: u64,
    /// So many of these are kept, and what they refer to; 0: all.
    pub keep: u32,
    /// At most so many refer to each other.
    pub chain_max: u32,
    /// Every so many hours the newest is restored on trial; 0: never.
    pub drill_hours: u64,
}

/// A backup that is to be restored on trial.
#[derive(Debug)]
pub struct DrillAsked {
    /// It, and those that it refers to, the newest first.
    pub chain: Vec<BackupManifest>,
    /// What became of it; an error is told in words.
    pub answer: oneshot::Sender<Result<DrillProof, String>>,
}

/// What a drill proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrillProof {
    /// Stored rows that were recounted.
    pub rows: u64,
    /// How long the tables took to be there again.
    pub restored_in: Duration,
    /// How long recounting and hashing took.
    pub verified_in: Duration,
}

/// Takes backups, and lets them be restored on trial; clones share it.
#[derive(Debug, Clone)]
pub struct BackupOffice {
    pub(super) backups: Backups,
    pub(super) plan: BackupPlan,
    drills: mpsc::Sender<DrillAsked>,
    watch: Arc<Mutex<Watch>>,
}

/// What `/health` and the metrics tell.
#[derive(Debug, Default)]
struct Watch {
    last_drill: Option<BackupDrill>,
    /// Why the last scheduled backup was not taken.
    failure: Option<String>,
}

impl BackupOffice {
    /// Opens it; whoever has the other end of `drills` restores.
    #[must_use]
    pub fn new(backups: Backups, plan: BackupPlan, drills: mpsc::Sender<DrillAsked>) -> Self {
        Self { backups, plan, drills, watch: Arc::default() }
    }

    /// Says whether a person must look: the last drill or the last scheduled backup failed.
    pub(crate) fn is_alarmed(&self) -> bool {
        let watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        watch.failure.is_some() || watch.last_drill.as_ref().is_some_and(|drill| drill.error.is_some())
    }

    /// Returns it as `/health` tells it.
    pub(crate) fn told(&self) -> Value {
        let watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        let is_good = watch.failure.is_none() && watch.last_drill.as_ref().is_none_or(|drill| drill.error.is_none());
        json!({ "good": is_good, "failure": watch.failure, "last_drill": watch.last_drill.as_ref().map(told) })
    }

    /// Remembers how the last scheduled backup ended.
    pub(super) fn note_backup(&self, failure: Option<String>) {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner).failure = failure;
    }

    /// Remembers the last drill.
    pub(super) fn note_drill(&self, drill: BackupDrill) {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner).last_drill = Some(drill);
    }
}

/// Restores a backup on trial, and writes down what became of it.
pub(super) async fn drill(
    stages: &Stages,
    office: &BackupOffice,
    (chain_of, actor): (Vec<BackupManifest>, &str),
) -> Result<BackupDrill, CatalogError> {
    let backup = chain_of.first().map(|newest| newest.name.clone()).unwrap_or_default();
    let began_at = stages.clock.now();
    let (answer, answered) = oneshot::channel();
    let outcome = match office.drills.send(DrillAsked { chain: chain_of, answer }).await {
        Ok(()) => answered.await.unwrap_or_else(|_| Err("the server is stopping".to_owned())),
        Err(_) => Err("the server is stopping".to_owned()),
    };
    let millis = |took: Duration| u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let ended_at = stages.clock.now();
    let drill = match outcome {
        Ok(DrillProof { rows, restored_in, verified_in }) => {
            let (restore_ms, verify_ms) = (millis(restored_in), millis(verified_in));
            BackupDrill { backup, began_at, ended_at, rows, restore_ms, verify_ms, error: None }
        }
        Err(why) => BackupDrill { backup, began_at, ended_at, rows: 0, restore_ms: 0, verify_ms: 0, error: Some(why) },
    };
    match &drill.error {
        None => tracing::info!(backup = drill.backup, rows = drill.rows, "a backup was restored on trial, and is good"),
        Some(why) => tracing::error!(backup = drill.backup, why, "a backup cannot be restored: take another one, now"),
    }
    stages.metrics.copies.backup_drill(&drill);
    office.note_drill(drill.clone());
    stages.catalog.add_backup_drill(&drill).await.inspect_err(|error| {
        tracing::warn!(error = chain(error), "what became of a drill is not written down");
    })?;
    audit(stages, &drill, actor).await;
    Ok(drill)
}

/// Tells every dataset whether its rows came back.
async fn audit(stages: &Stages, drill: &BackupDrill, actor: &str) {
    for record in stages.catalog.records(&RecordFilter::default(), usize::MAX) {
        let entry = AuditEntry {
            slug: record.slug,
            at: drill.ended_at,
            action: "backup.drilled",
            success: drill.error.is_none(),
            actor: actor.to_owned(),
            detail: told(drill),
        };
        if let Err(error) = stages.catalog.add_audit(&entry).await {
            tracing::warn!(error = chain(&error), backup = drill.backup, "a drill is not in the audit log");
        }
    }
}

/// Tells a drill, as answers do.
pub(super) fn told(drill: &BackupDrill) -> Value {
    json!({
        "backup": drill.backup,
        "began_at": drill.began_at.to_string(),
        "ended_at": drill.ended_at.to_string(),
        "good": drill.error.is_none(),
        "rows": drill.rows,
        "restore_ms": drill.restore_ms,
        "verify_ms": drill.verify_ms,
        "error": drill.error,
    })
}
