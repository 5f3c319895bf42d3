//! What must be remembered beside the rows: datasets and their schemas, batches, watermarks, retry keys, counts.
//!
//! Invariants:
//! - A batch is here before its insert begins, so a crash can always repeat the same cut under the same token.
//! - A batch becomes stored, its table's watermark moves and its unique keys are remembered in one transaction.
//! - The drafts of a batch's manifests are published in that transaction too: one of each partition, whatever crashed.
//! - A watermark never goes back.
//! - A commit is synced before it is answered (SQLite's WAL mode with `synchronous = FULL`): the buffer trims
//!   what the catalog says is stored.
//!
//! On disk: one SQLite file, its schema in `migrations/`. A file that a newer program migrated is refused.
//! It never holds rows but refused ones, and never asks ClickHouse anything.
//!
//! | file | holds |
//! |---|---|
//! | `open.rs` | opening the file, migrations |
//! | `batches.rs` | batches, watermarks, unique keys |
//! | `manifests.rs` | what each batch put into each partition |
//! | `policies.rs` | how long rows of datasets are kept, and how many may come |
//! | `removals.rs` | stored rows that go, before ClickHouse knows of it |
//! | `lifecycle.rs` | runs of the lifecycle |
//! | `saved.rs` | saved SQL |
//! | `exports.rs` | exports of tables to files |
//! | `alerts.rs` | alert rules, where their alerts are, silences, what receivers have not taken yet |
//! | `export_events.rs` | what the webhook of exports has not taken yet |
//! | `drills.rs` | backups that were restored on trial |
//! | `targets.rs` | places that exports may go to |
//! | `migration.rs` | moves from older engines: where each is in its life |
//! | `migration_pieces.rs` | what such a move is to take, and has taken |
//! | `states.rs` | what parts of the program know and can do without |
//! | `retries.rs` | retry keys and the ledger's counts |
//! | `datasets.rs` | tables of datasets and the versions of their schemas |
//! | `records.rs` | what is said of a dataset as a whole |
//! | `audit.rs` | what was done to a dataset, and by whom |
//! | `quarantine.rs` | refused rows, until they are mended or discarded |
//! | `canonical.rs` | [`CanonicalSchema`]: a schema in the form in which it is compared |

use sqlx::SqlitePool;
use tidegate_model::{
    BatchId, ColumnSpec, ErrorKind, ManifestState, PartitionDay, RowsSum, SeqRange, TableName, UnixNanos,
};

pub use alerts::{AlertMessage, NewAlertMessage, SavedAlert, SavedRule, SavedSilence};
pub use audit::{AuditEntry, AuditFilter, Audited};
pub use canonical::{CanonicalField, CanonicalSchema};
pub use datasets::{Dataset, SchemaChange, SchemaVersion};
pub use drills::BackupDrill;
pub use export_events::{ExportEvent, NewEvent};
pub use exports::{Export, ExportEnd, ExportFilter, ExportState};
pub use lifecycle::LifecycleRun;
pub use migration::{Migration, MigrationState};
pub use migration_pieces::{MigrationFile, MigrationProgress, TakenPiece};
pub use policies::{Policy, PolicyKind};
pub use quarantine::{HeldRow, Refused, RefusedBy};
pub use records::{DatasetRecord, DatasetStatus, RecordFilter};
pub use removals::{ExpiredRows, Removal, Shard};
pub use targets::{StorageTarget, TargetPlace};

mod alerts;
mod audit;
mod batches;
mod canonical;
mod datasets;
mod drills;
mod export_events;
mod exports;
mod lifecycle;
mod manifests;
mod migration;
mod migration_pieces;
mod open;
mod policies;
mod quarantine;
mod records;
mod removals;
mod retries;
mod saved;
mod states;
mod targets;

#[cfg(test)]
mod tests;

pub use manifests::{ManifestFilter, ManifestPlace, ManifestTotals};

/// Why the catalog failed.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The database failed.
    #[error("{step}")]
    Database {
        /// What was tried.
        step: &'static str,
        /// Why it failed.
        source: sqlx::Error,
    },
    /// The folder was written by a newer Tidegate.
    #[error(
        "the catalog was written by a newer version of Tidegate (its migration {found}, this program knows {known}); start that version or a newer one"
    )]
    Newer {
        /// The newest migration found.
        found: i64,
        /// The newest one known.
        known: i64,
    },
    /// Another writer was faster, or the version does not follow the newest one.
    #[error("version {version} of dataset `{slug}` does not follow its newest version; read it again and retry")]
    StaleDataset {
        /// The dataset.
        slug: String,
        /// The version that was to be added.
        version: u32,
    },
    /// Another writer was faster, or the manifest is not published.
    #[error("the manifest `{manifest}` is not the published one any more; read it again and retry")]
    StaleManifest {
        /// The manifest.
        manifest: String,
    },
    /// No further statement can be saved.
    #[error("{most} statements are saved already; forget one that nobody needs")]
    TooManySaved {
        /// How many there may be.
        most: u32,
    },
    /// No further rule or silence can be kept.
    #[error("{most} {what} are kept already; forget some that nobody needs")]
    TooManyAlerts {
        /// Rules or silences.
        what: &'static str,
        /// How many there may be.
        most: u32,
    },
    /// No further export can be asked for.
    #[error("{most} exports wait already; ask again when some of them are done")]
    TooManyExports {
        /// How many may wait.
        most: u32,
    },
    /// What is stored cannot be read.
    #[error("the catalog holds something unreadable: {what}")]
    Corrupt {
        /// What it is.
        what: String,
    },
}

impl CatalogError {
    /// Says what the caller does next.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Database { .. } => ErrorKind::Unavailable,
            Self::Newer { .. } => ErrorKind::Invalid,
            Self::StaleDataset { .. } | Self::StaleManifest { .. } => ErrorKind::Conflict,
            Self::TooManySaved { .. } | Self::TooManyExports { .. } | Self::TooManyAlerts { .. } => {
                ErrorKind::Overloaded
            }
            Self::Corrupt { .. } => ErrorKind::Corrupt,
        }
    }

    fn database(step: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::Database { step, source }
    }
}

/// A batch, from its cut on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchRow {
    /// Its id and dedup token.
    pub id: BatchId,
    /// Its table.
    pub table: TableName,
    /// Its rows.
    pub range: SeqRange,
    /// When it was cut.
    pub sealed_at: UnixNanos,
    /// When its last part was inserted and the watermark moved; `None`: not yet.
    pub stored_at: Option<UnixNanos>,
    /// Bytes of its rows in memory.
    pub bytes: u64,
    /// Partitions that it was split into.
    pub partitions: u32,
}

/// What is noted of a batch when the last of it is stored.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stored<'a> {
    /// Partitions that it was split into.
    pub partitions: u32,
    /// The values of its table's unique column.
    pub unique_keys: &'a [u64],
    /// What each partition got, for the manifests.
    pub sums: &'a [(PartitionDay, RowsSum)],
}

/// What one batch put into one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The batch.
    pub batch: BatchId,
    /// The batch's rows, of all partitions.
    pub batch_range: SeqRange,
    /// The partition, which begins with a UTC day: the shard.
    pub partition: PartitionDay,
    /// From 1; another for each time that its rows were changed on purpose.
    pub version: u32,
    /// The table.
    pub table: TableName,
    /// Where it is in its life.
    pub state: ManifestState,
    /// What its rows are; nothing yet in a draft.
    pub sum: RowsSum,
    /// The columns that the checksum covers, beside `_seq`; none where rows merge: then there is no checksum.
    pub columns: Vec<ColumnSpec>,
    /// The version of the dataset's schema; `None` for built-in tables.
    pub schema_version: Option<u32>,
    /// Where ClickHouse keeps the rows.
    pub tier: String,
    /// When it was drafted.
    pub drafted_at: UnixNanos,
    /// When its rows were stored.
    pub published_at: Option<UnixNanos>,
    /// When a later version came.
    pub superseded_at: Option<UnixNanos>,
    /// When its rows were removed.
    pub expired_at: Option<UnixNanos>,
}

impl Manifest {
    /// The tier of rows that were just stored.
    pub const TIER_HOT: &'static str = "hot";
    /// The tier of rows that were moved to the cold volume.
    pub const TIER_COLD: &'static str = "cold";
    /// The tier of rows some of which were moved.
    pub const TIER_MIXED: &'static str = "mixed";

    /// Returns its id, which no other manifest has.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}:{}:{}", self.batch, self.partition, self.version)
    }

    /// Returns the checksum of its rows, if there is one.
    #[must_use]
    pub fn checksum(&self) -> Option<u64> {
        (!self.columns.is_empty() && self.state != ManifestState::Draft).then_some(self.sum.checksum)
    }

    /// Returns its place in a list.
    #[must_use]
    pub const fn place(&self) -> ManifestPlace {
        (self.batch_range.first, self.partition, self.version)
    }
}

/// A statement that somebody saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedSql {
    /// Its name.
    pub id: String,
    /// The SQL.
    pub statement: String,
    /// What people call it.
    pub label: Option<String>,
    /// What a client remembers of its last run, as JSON.
    pub stats: Option<String>,
    /// Who saved it first.
    pub created_by: Option<String>,
    /// When.
    pub created_at: UnixNanos,
    /// When it was changed last.
    pub updated_at: UnixNanos,
}

/// The catalog on SQLite; clones share it.
#[derive(Debug, Clone)]
pub struct Catalog {
    pool: SqlitePool,
    known: datasets::Known,
    records: records::Records,
    migrations: migration::OpenMigrations,
}

fn table_name(text: String) -> Result<TableName, CatalogError> {
    text.parse().map_err(|_| CatalogError::Corrupt { what: format!("a table named `{text}`") })
}
