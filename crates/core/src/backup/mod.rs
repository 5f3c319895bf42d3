//! Backups: the log, the catalog and ClickHouse's tables, copied as one moment into a folder; checked and read back.
//!
//! ```text
//!  hold every next cut ─▶ open cuts arrive ─▶ copy the log ─▶ ClickHouse: BACKUP ─▶ copy the catalog ─▶ let go
//!                                                                         sums, sync, manifest, sync, rename ◀─┘
//! ```
//!
//! Invariants:
//! - Every row that was acknowledged before a backup began is in it exactly once: up to the stored watermark in
//!   ClickHouse's part, above it in the log's. No batch is between the two.
//! - A backup has its name only when all of it is on the disk. What a crash leaves is called `NAME.partial`.
//! - A backup that is not whole to the last byte is never restored.
//! - In a bucket a backup is one when its manifest is there: that is sent last, and everything before it was read back.
//! - Nothing is changed in a backup that has its name: later ones only refer to it.
//!
//! It never starts an engine, and never refuses or delays a row: rows wait in the log while cuts are held.
//!
//! On disk (`docs/backup.md`): `manifest.json` and its checksum, `catalog.sqlite`, `wal/`, `sessions/`, `clickhouse/`.
//!
//! | file | holds |
//! |---|---|
//! | `mod.rs` | [`Backups`]: the folder of backups, one backup at a time |
//! | `take.rs` | a backup is taken |
//! | `manifest.rs` | [`BackupManifest`], and names |
//! | `files.rs` | files are listed, hashed, synced, copied |
//! | `plan.rs` | what the schedule takes next, and what it may remove: [`next_base`], [`outlived`] |
//! | `remote.rs` | backups in a bucket: sent, listed, read back: [`fetch_chain`] |
//! | `chain.rs` | [`check_chain`]: a backup and those that it refers to, checked; [`copy_states`] |
//! | `error.rs` | [`BackupError`] |

mod chain;
mod error;
mod files;
mod manifest;
mod plan;
mod remote;
mod take;

#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidegate_model::Clock;
use tokio::sync::Mutex;

use crate::buffer::Buffer;
use crate::catalog::Catalog;
use crate::objects::Bucket;
use crate::store::Store;

pub use chain::{check_chain, copy_states};
pub use error::BackupError;
pub use manifest::{BackupFile, BackupManifest, BackupTable, BaseBackup, clickhouse_place};
pub use plan::{next_base, outlived};
pub use remote::fetch_chain;

/// What backups are taken of.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The rows that ClickHouse does not have.
    pub buffer: Buffer,
    /// What is known of all rows.
    pub catalog: Catalog,
    /// All other rows.
    pub store: Store,
    /// The folder of saved sessions; it need not be there.
    pub sessions: PathBuf,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The version of the program.
    pub program: &'static str,
}

/// What is wanted of a backup.
#[derive(Debug, Clone, Default)]
pub struct BackupAsked {
    /// Its name; `None`: the time.
    pub name: Option<String>,
    /// An earlier one: what that has of ClickHouse is not written again.
    pub base: Option<String>,
    /// Whether the schedule asks, and may remove it later.
    pub is_scheduled: bool,
}

/// The folder of backups; clones share it.
#[derive(Debug, Clone)]
pub struct Backups {
    folder: PathBuf,
    /// Where they go in the end; `None`: they stay in the folder.
    bucket: Option<Bucket>,
    sources: Sources,
    running: Arc<Mutex<()>>,
}

impl Backups {
    /// Takes backups into a folder, which is the engine's disk `backups`.
    #[must_use]
    pub fn new(folder: PathBuf, sources: Sources) -> Self {
        Self { folder, bucket: None, sources, running: Arc::default() }
    }

    /// Lets them go into a bucket; the folder holds each only until it is there, and nothing else.
    #[must_use]
    pub fn sent_to(self, bucket: Bucket) -> Self {
        Self { bucket: Some(bucket), ..self }
    }

    /// Returns the bucket that they are in, if they are in one.
    #[must_use]
    pub const fn bucket(&self) -> Option<&Bucket> {
        self.bucket.as_ref()
    }

    /// Returns the folder that they are in, or are until they are sent.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Takes one.
    ///
    /// Needs a tokio runtime; goes on when nobody waits for it any more.
    pub async fn take(&self, asked: BackupAsked) -> Result<BackupManifest, BackupError> {
        let office = self.clone();
        let taking = tokio::spawn(async move {
            let _one = office.running.try_lock().map_err(|_| BackupError::Running)?;
            take::take((&office.folder, office.bucket.as_ref()), &office.sources, asked).await
        });
        taking.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }

    /// Removes a whole backup; what a crash leaves of it is none.
    pub async fn remove(&self, name: &str) -> Result<(), BackupError> {
        let _one = self.running.try_lock().map_err(|_| BackupError::Running)?;
        if let Some(bucket) = &self.bucket {
            return remote::remove(bucket, name).await;
        }
        manifest::check_name(name)?;
        let (place, gone) = (self.folder.join(name), self.folder.join(manifest::partial(name)));
        let folder = self.folder.clone();
        let removed = blocking(move || {
            fs::rename(&place, &gone)?;
            files::sync_folder(&folder)?;
            fs::remove_dir_all(&gone)
        });
        removed.await.map_err(|error| BackupError::file(format!("remove the backup {name}"), error))
    }

    /// Returns the manifests of all backups in the folder, the oldest first; one that cannot be read is told in the log.
    pub async fn list(&self) -> Result<Vec<BackupManifest>, BackupError> {
        if let Some(bucket) = &self.bucket {
            let mut found = remote::list(bucket).await?;
            sort(&mut found);
            return Ok(found);
        }
        let folder = self.folder.clone();
        blocking(move || {
            let failed = |error| BackupError::file(format!("list {}", folder.display()), error);
            let mut found = Vec::new();
            for entry in fs::read_dir(&folder).map_err(failed)? {
                let place = entry.map_err(failed)?.path();
                if !manifest::is_backup(&place) {
                    continue;
                }
                match manifest::read(&place) {
                    Ok((manifest, _)) => found.push(manifest),
                    Err(error) => tracing::warn!(backup = %place.display(), %error, "a backup cannot be read"),
                }
            }
            sort(&mut found);
            Ok(found)
        })
        .await
    }
}

fn sort(found: &mut [BackupManifest]) {
    found.sort_unstable_by(|a, b| (&a.began_at, &a.name).cmp(&(&b.began_at, &b.name)));
}

/// Runs work that blocks.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}
