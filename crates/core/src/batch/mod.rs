//! The hot tail becomes batches, and batches become stored rows.
//!
//! ```text
//!  seal ─▶ catalog: the cut ─▶ insert, a partition at a time ─▶ catalog: stored ─▶ buffer: advance ─▶ trim
//! ```
//!
//! Invariants:
//! - A cut is in the catalog before its first insert; after a crash the same cut goes out under the same tokens.
//! - A table has at most one batch in flight, so its watermark moves without gaps.
//! - What is counted of a batch goes out behind its rows, under its tokens; no reader of the catalogue is answered
//!   between its first part and the watermark.
//! - A watermark moves when every part of its batch is inserted and synced, the catalog's before the buffer's.
//! - Every table has its turn: neither one that always has a batch due nor one that is refused keeps others waiting.
//! - Nothing is dropped: whatever ClickHouse refuses stays in the buffer and is tried again, for as long as it takes.
//!
//! It never changes a row, and never waits for a reader.
//!
//! | file | holds |
//! |---|---|
//! | `mover.rs` | [`Batcher`]: which table is due, how many at once, flush and stop |
//! | `seal.rs` | when a table is due; the cuts that a crash left open |
//! | `insert.rs` | one batch, from its cut to its watermark, tried until it is done |
//! | `catalogue.rs` | what the rows of a batch are, counted beside them |
//! | `encode.rs` | a cut as Arrow streams, one per partition, made while they are sent |
//! | `promote.rs` | how far each table is, told to ClickHouse's own clients |
//! | `targets.rs` | the tables that inserts go to: made, and given the columns they lack |
//! | `trim.rs` | what the buffer forgets, the catalog keeps |
//! | `report.rs` | what is told about the batches of each table |

use tidegate_model::limits::{BATCH_AGE_MS, BATCH_BYTES, BATCH_ROWS, BATCH_TABLES_AT_ONCE, DEDUP_WINDOW_SECONDS};
use tidegate_model::{ErrorKind, TableName};

use crate::buffer::BufferError;
use crate::catalog::CatalogError;
use crate::store::StoreError;

mod catalogue;
mod encode;
mod insert;
mod mover;
mod promote;
mod report;
mod seal;
mod targets;
mod trim;

pub use mover::{Batcher, States};
pub use report::{BatchReport, Left};

/// Settings of the batch mover.
#[derive(Debug, Clone)]
pub struct BatchOptions {
    /// A batch is sealed at so many rows.
    pub rows: u64,
    /// A batch is sealed at so many bytes of hot rows.
    pub bytes: u64,
    /// A batch is sealed when its oldest row has waited so long (milliseconds).
    pub age_ms: u64,
    /// Batches of different tables in flight at once.
    pub tables_at_once: usize,
    /// How long the catalog keeps retry keys for the buffer.
    pub dedup_window_seconds: u64,
    /// Tables whose rows are only counted.
    pub unkept: Vec<TableName>,
}

impl Default for BatchOptions {
    fn default() -> Self {
        Self {
            rows: BATCH_ROWS,
            bytes: BATCH_BYTES,
            age_ms: BATCH_AGE_MS,
            tables_at_once: BATCH_TABLES_AT_ONCE,
            dedup_window_seconds: DEDUP_WINDOW_SECONDS,
            unkept: Vec::new(),
        }
    }
}

/// Why a batch is not stored yet.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// ClickHouse did not take it.
    #[error("insert a batch")]
    Store(#[from] StoreError),
    /// The catalog did not take it.
    #[error("note a batch in the catalog")]
    Catalog(#[from] CatalogError),
    /// Its rows could not be read.
    #[error("read a batch's rows")]
    Buffer(#[from] BufferError),
    /// What ClickHouse tells of series is not what was asked for.
    #[error("look up the series of a batch's points")]
    Series(#[from] serde_json::Error),
    /// Its rows could not be written as Arrow.
    #[error("encode a batch's rows")]
    Encode(#[from] arrow_schema::ArrowError),
    /// Rows of a table that nobody described.
    #[error("the table `{table}` is neither built in nor a dataset's")]
    UnknownTable {
        /// The table.
        table: TableName,
    },
    /// Rows that do not fit their table's description.
    #[error("rows of `{table}` do not fit it: {why}")]
    OtherRows {
        /// The table.
        table: TableName,
        /// What is wrong with them.
        why: String,
    },
}

/// Runs work that blocks.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

impl BatchError {
    /// Says what the caller does next.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Store(error) => error.kind(),
            Self::Catalog(error) => error.kind(),
            Self::Buffer(error) => error.kind(),
            Self::Encode(_) | Self::Series(_) => ErrorKind::Internal,
            Self::UnknownTable { .. } | Self::OtherRows { .. } => ErrorKind::Corrupt,
        }
    }
}
