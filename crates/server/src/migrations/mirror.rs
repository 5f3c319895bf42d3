use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::{Value, json};
use tidegate_core::catalog::{CatalogError, Dataset, Migration};
use tidegate_core::exports::{ExportError, ExportFolder, contents};
use tidegate_core::query::{QueryError, WholeTable};
use tidegate_model::limits::{MIRROR_LOOK_MS, MIRROR_RETRY_MS, MIRROR_ROWS};
use tidegate_model::{Seq, SeqRange};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::errors::chain;
use crate::stages::{SchemaState, Stages};

/// The version of manifests.
const FORMAT: u32 = 1;

/// Where files for older engines go, and which of them fail; clones are the same.
#[derive(Debug, Clone)]
pub struct Mirrors {
    folder: Arc<PathBuf>,
    troubles: Arc<Mutex<HashMap<String, String>>>,
}

/// Why a file for an older engine was not written.
#[derive(Debug, thiserror::Error)]
enum MirrorError {
    #[error("note how far the mirror is")]
    Catalog(#[from] CatalogError),
    #[error("read the rows")]
    Query(#[from] QueryError),
    #[error("write the files")]
    Files(#[from] ExportError),
    #[error("look into the file: the task ended early")]
    Task(#[from] tokio::task::JoinError),
}

impl Mirrors {
    /// Names the folder below which these files are.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder: Arc::new(folder), troubles: Arc::default() }
    }

    /// Returns the folder of a migration's files.
    pub(super) fn folder_of(&self, migration: &Migration) -> PathBuf {
        self.folder.join(&migration.slug).join(&migration.label).join(&migration.id)
    }

    /// Says why the last file failed, if it did.
    pub(super) fn trouble(&self, id: &str) -> Option<String> {
        self.troubles_locked().get(id).cloned()
    }

    /// Removes a migration's files.
    pub(super) async fn remove(&self, migration: &Migration) -> Result<(), ExportError> {
        ExportFolder::at(&self.folder_of(migration)).remove().await
    }

    fn troubles_locked(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells of every mirror: how far it is behind, and what fails.
pub(crate) fn healths(stages: &Stages) -> Vec<Value> {
    let tails = stages.buffer.status();
    let open = stages.catalog.open_migrations().into_iter().filter(|migration| migration.mirror_from.is_some());
    let told = open.map(|migration| {
        let table = table_name(&migration);
        let head = tails.iter().find(|tail| tail.table.as_str() == table).map(|tail| tail.head).unwrap_or_default();
        json!({
            "migration": migration.id,
            "dataset": migration.slug,
            "tableName": migration.label,
            "lagRows": head.0.saturating_sub(migration.mirrored.0),
            "why": stages.mirrors.trouble(&migration.id),
        })
    });
    told.collect()
}

fn table_name(migration: &Migration) -> String {
    let slug = migration.slug.replace('-', "_");
    if migration.label == Dataset::RECORDS { slug } else { format!("{slug}__{}", migration.label.replace('-', "_")) }
}

/// Writes files for older engines until it is stopped; what is under way then is written after the next start.
pub async fn run_mirrors(stages: Stages, mut stop: watch::Receiver<bool>) {
    tokio::select! {
        () = run(&stages) => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

async fn run(stages: &Stages) {
    // Without its sender the server is ending.
    if stages.schema.clone().wait_for(|state| *state == SchemaState::Current).await.is_err() {
        return;
    }
    loop {
        let mut pause = MIRROR_LOOK_MS;
        for migration in stages.catalog.open_migrations() {
            let outcome = level(stages, &migration).await;
            let mut troubles = stages.mirrors.troubles_locked();
            match outcome {
                Ok(()) => drop(troubles.remove(&migration.id)),
                Err(error) => {
                    let why = chain(&error);
                    tracing::warn!(
                        migration = migration.id,
                        why,
                        "the mirror of a dataset could not be written, trying again"
                    );
                    stages.metrics.mirror_failed();
                    troubles.insert(migration.id.clone(), why);
                    pause = MIRROR_RETRY_MS;
                }
            }
        }
        sleep(Duration::from_millis(pause)).await;
    }
}

/// Writes files until the older engine can have every row that was acknowledged before.
async fn level(stages: &Stages, migration: &Migration) -> Result<(), MirrorError> {
    let Some(dataset) = stages.catalog.dataset(&migration.slug, &migration.label).await? else { return Ok(()) };
    loop {
        // Another step may have been taken meanwhile.
        let open = stages.catalog.open_migration(&migration.slug, &migration.label);
        let Some(open) = open.filter(|open| open.id == migration.id && open.mirror_from.is_some()) else {
            return Ok(());
        };
        let tails = stages.buffer.status();
        let head = tails.iter().find(|tail| tail.table == dataset.spec.name).map(|tail| tail.head).unwrap_or_default();
        // A file that a crash broke off is written again with the same rows, so under the same name.
        let last = open.mirror_end.unwrap_or_else(|| Seq(head.0.min(open.mirrored.0.saturating_add(MIRROR_ROWS))));
        if last <= open.mirrored {
            return Ok(());
        }
        let range = SeqRange { first: Seq(open.mirrored.0 + 1), last };
        note(stages, &open, |migration| migration.mirror_end = Some(last)).await?;
        let has_file = write(stages, &open, &dataset, range).await?;
        note(stages, &open, |migration| {
            if !has_file && migration.applied == open.mirrored {
                // There is nothing to load up to there.
                migration.applied = last;
            }
            // It may have been begun anew meanwhile, behind rows that came later.
            migration.mirrored = migration.mirrored.max(last);
            migration.mirror_end = None;
        })
        .await?;
    }
}

async fn note(stages: &Stages, open: &Migration, change: impl Fn(&mut Migration)) -> Result<(), CatalogError> {
    let update = stages.catalog.update_migration((&open.slug, &open.label), stages.clock.now(), |migration| {
        if migration.id == open.id && migration.mirror_from.is_some() {
            change(migration);
        }
        Ok::<_, CatalogError>(())
    });
    update.await.map(drop)
}

/// Writes the rows with these numbers, but for those that the older engine had first; says whether there were any.
async fn write(stages: &Stages, open: &Migration, dataset: &Dataset, range: SeqRange) -> Result<bool, MirrorError> {
    let name = format!("{:020}-{:020}", range.first.0, range.last.0);
    let folder = ExportFolder::at(&stages.mirrors.folder_of(open).join(&name));
    if folder.manifest().await?.is_some() {
        return Ok(true);
    }
    let whole = WholeTable {
        spec: &dataset.spec,
        time_column: dataset.time_column.as_deref(),
        from: None,
        to: None,
        seqs: Some(range),
        is_own_only: true,
        query_id: format!("mirror-{}", stages.request_id()),
    };
    let answer = stages.query.read_whole(&whole).await?;
    let mut file = folder.begin().await?;
    let mut body = answer.body;
    while let Some(piece) = body.next().await {
        file.write(&piece?).await?;
    }
    let written = file.finish().await?;
    let (path, time_column) = (written.path.clone(), dataset.time_column.clone());
    let found = tokio::task::spawn_blocking(move || contents(&path, time_column.as_deref())).await??;
    if found.rows == 0 {
        // All of them are the older engine's own.
        folder.discard().await?;
        return Ok(false);
    }
    let manifest = json!({
        "format": FORMAT,
        "migration": open.id,
        "dataset": open.slug,
        "table_name": open.label,
        "schema_version": dataset.version,
        "first_seq": range.first,
        "last_seq": range.last,
        "rows": found.rows,
        "files": [{ "name": written.name, "rows": found.rows, "bytes": written.bytes, "sha256": written.sha256 }],
        "written_at": stages.clock.now().to_string(),
    });
    folder.finish(&written, &manifest).await?;
    Ok(true)
}
