//! What must be remembered beside the rows: datasets and their schemas, batches, watermarks, retry keys, counts.
//!
//! Invariants:
//! - A batch is here before its insert begins, so a crash can always repeat the same cut under the same token.
//! - A batch becomes stored, its table's watermark moves and its unique keys are remembered in one transaction.
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
//! | `states.rs` | what parts of the program know and can do without |
//! | `retries.rs` | retry keys and the ledger's counts |
//! | `datasets.rs` | tables of datasets and the versions of their schemas |
//! | `records.rs` | what is said of a dataset as a whole |
//! | `audit.rs` | what was done to a dataset, and by whom |
//! | `quarantine.rs` | refused rows, until they are mended or discarded |
//! | `canonical.rs` | [`CanonicalSchema`]: a schema in the form in which it is compared |

use sqlx::SqlitePool;
use tidegate_model::{BatchId, ErrorKind, SeqRange, TableName, UnixNanos};

pub use audit::{AuditEntry, AuditFilter, Audited};
pub use canonical::{CanonicalField, CanonicalSchema};
pub use datasets::{Dataset, SchemaChange, SchemaVersion};
pub use quarantine::{HeldRow, Refused, RefusedBy};
pub use records::{DatasetRecord, DatasetStatus, RecordFilter};

mod audit;
mod batches;
mod canonical;
mod datasets;
mod open;
mod quarantine;
mod records;
mod retries;
mod states;

#[cfg(test)]
mod tests;

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
            Self::StaleDataset { .. } => ErrorKind::Conflict,
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

/// The catalog on SQLite; clones share it.
#[derive(Debug, Clone)]
pub struct Catalog {
    pool: SqlitePool,
    known: datasets::Known,
    records: records::Records,
}

fn table_name(text: String) -> Result<TableName, CatalogError> {
    text.parse().map_err(|_| CatalogError::Corrupt { what: format!("a table named `{text}`") })
}
