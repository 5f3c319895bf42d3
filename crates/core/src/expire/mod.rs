//! What is past its retention goes, and what is old moves to the cold volume: partition by partition, in runs of ours.
//!
//! ```text
//!  look (catalog, ClickHouse) ─▶ plan ─▶ hold the table's cuts ─▶ catalog: the manifests have expired
//!                                                              ─▶ ClickHouse: DROP PARTITION, or DELETE ─▶ let go
//! ```
//!
//! ClickHouse's own TTL would remove rows at a moment that nobody else knows: the recount would miss them, and a backup
//! could fall between table and catalog (`docs/lifecycle.md`).
//!
//! Invariants:
//! - A row that is younger than its table's `max_age` never goes for its age.
//! - After a run no stored row is past `max_age` and grace; hot rows go in the first run after they are stored.
//! - The catalog knows of a removal before ClickHouse does, and the removal is finished, whatever crashes between.
//! - No batch is on its way into a partition while it goes, and nobody copies or recounts rows meanwhile.
//! - A partition in which ClickHouse has more rows than the manifests tell of is left alone, and told of.
//!
//! It never touches the log, and never removes rows of tables whose rows others need: series, values, templates.
//!
//! | file | holds |
//! |---|---|
//! | `mod.rs` | [`Expire`]: what is asked, what is told |
//! | `targets.rs` | the tables, and what is kept of each |
//! | `notice.rs` | defaults that nobody decided, and when they begin to hold |
//! | `preview.rs` | what a retention would remove |
//! | `look.rs` | a table's partitions |
//! | `run.rs` | one run over all tables |
//! | `remove.rs` | one removal, from the catalog to ClickHouse |
//! | `left.rs` | what stays of manifests that lose rows |

mod left;
mod look;
mod notice;
mod preview;
mod remove;
mod run;
mod targets;

use std::sync::Arc;

use serde::Serialize;
use tidegate_model::{Clock, ErrorKind, Retention, TableName};

use crate::buffer::Buffer;
use crate::catalog::{Catalog, CatalogError};
use crate::rollup::Rollup;
use crate::store::{Store, StoreError};

pub use look::{Overdue, Partition};
pub use notice::{Pending, TableDefault};
pub use preview::Preview;
pub use targets::{Source, Target};

/// Why a run, or a step of it, was not done.
#[derive(Debug, thiserror::Error)]
pub enum ExpireError {
    /// The catalog failed.
    #[error("ask the catalog")]
    Catalog(#[from] CatalogError),
    /// ClickHouse failed.
    #[error("ask ClickHouse")]
    Store(#[from] StoreError),
    /// ClickHouse answered something else than was asked for.
    #[error("ClickHouse's sums have no number `{0}`")]
    Answer(&'static str),
    /// There is no such table.
    #[error("there is no dataset or built-in table `{0}`")]
    UnknownTable(String),
    /// Its rows must stay.
    #[error("rows of `{table}` cannot expire: {why}")]
    Kept {
        /// The table.
        table: String,
        /// Why.
        why: &'static str,
    },
}

impl ExpireError {
    /// Says what the caller does next.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Catalog(error) => error.kind(),
            Self::Store(error) => error.kind(),
            Self::Answer(_) => ErrorKind::Internal,
            Self::UnknownTable(_) => ErrorKind::NotFound,
            Self::Kept { .. } => ErrorKind::Invalid,
        }
    }
}

/// The states that it works on, and what the settings say.
#[derive(Debug, Clone)]
pub struct Sources {
    /// Where batches are cut.
    pub buffer: Buffer,
    /// What is known of stored rows.
    pub catalog: Catalog,
    /// Where they are.
    pub store: Store,
    /// What holds the catalogue in memory, if anything does.
    pub rollup: Option<Rollup>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What is kept of tables for which nobody decided anything.
    pub defaults: Vec<TableDefault>,
    /// What is kept of datasets for which nobody decided anything.
    pub of_datasets: Retention,
    /// The storage policy that has a cold volume, if there is one.
    pub cold_policy: Option<&'static str>,
}

/// Removes and moves stored rows; clones share it.
#[derive(Debug, Clone)]
pub struct Expire {
    sources: Arc<Sources>,
    /// One run at a time.
    running: Arc<tokio::sync::Mutex<()>>,
}

/// What a run is to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Only for this dataset or built-in table.
    pub slug: Option<String>,
    /// Tell what would be done, and do nothing.
    pub is_dry: bool,
    /// Remove what is past its retention.
    pub retention: bool,
    /// Move what is old to the cold volume.
    pub tiers: bool,
}

/// What one step of a run did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The table in ClickHouse.
    pub table: TableName,
    /// The dataset, or the built-in table.
    pub dataset: String,
    /// The partition's first day.
    pub partition: String,
    /// `drop`, `trim` or `move`.
    pub action: &'static str,
    /// `age` or `size`.
    pub reason: &'static str,
    /// Rows that went, or would go.
    pub rows: u64,
    /// Bytes on disk; of a trimmed partition an estimate by its rows.
    pub bytes: u64,
    /// `done`, `planned`, `postponed` or `failed`.
    pub outcome: &'static str,
    /// Why it is not done.
    pub note: Option<String>,
}

/// What a run did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether nothing was done, only planned.
    pub dry_run: bool,
    /// Tables that were looked at.
    pub tables: u64,
    /// Rows that went, or would go.
    pub rows_removed: u64,
    /// Bytes that they took on disk.
    pub bytes_removed: u64,
    /// Bytes that were moved to the cold volume, or would be.
    pub bytes_moved: u64,
    /// Steps that were not done; each says why.
    pub left: u64,
    /// Steps, the first so many.
    pub steps: Vec<Step>,
}

impl Expire {
    /// Prepares it; nothing is removed before [`Expire::run`].
    #[must_use]
    pub fn new(sources: Sources) -> Self {
        Self { sources: Arc::new(sources), running: Arc::default() }
    }

    /// Says whether there is a cold volume.
    #[must_use]
    pub fn has_cold(&self) -> bool {
        self.sources.cold_policy.is_some()
    }
}
