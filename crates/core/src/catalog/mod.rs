//! Datasets, schemas, batches, watermarks, retry keys. (Signatures agreed between the stages; bodies by the catalog's author.)

use std::collections::HashMap;
use std::path::Path;

use tidegate_model::{BatchId, ErrorKind, Seq, SeqRange, TableName, TableSpec, UnixNanos};

use crate::buffer::StoredRetry;

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
}

impl CatalogError {
    /// Says what the caller does next.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Database { .. } => ErrorKind::Unavailable,
            Self::Newer { .. } => ErrorKind::Invalid,
        }
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

/// A dataset: a team's own table.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// Its name in paths: `[a-z0-9][a-z0-9-_]*`.
    pub slug: String,
    /// The version of its schema, from 1.
    pub version: u32,
    /// Its table and columns.
    pub spec: TableSpec,
    /// The column with a row's time, if it has one.
    pub time_column: Option<String>,
}

/// The catalog on SQLite; clones share it.
#[derive(Debug, Clone)]
pub struct Catalog {}

#[allow(unused_variables)]
impl Catalog {
    /// Opens the file, made when absent; migrates it.
    pub async fn open(path: &Path) -> Result<Self, CatalogError> {
        unimplemented!()
    }
    /// Opens a catalog that ends with the process.
    pub async fn in_memory() -> Result<Self, CatalogError> {
        unimplemented!()
    }
    /// Writes a cut, before its insert.
    pub async fn add_batch(&self, batch: &BatchRow) -> Result<(), CatalogError> {
        unimplemented!()
    }
    /// Marks a batch as stored, moves the table's watermark to its end, and remembers the unique keys of its rows; all or nothing.
    pub async fn store_batch(
        &self,
        id: &BatchId,
        at: UnixNanos,
        partitions: u32,
        unique_keys: &[u64],
    ) -> Result<(), CatalogError> {
        unimplemented!()
    }
    /// Returns the batches that were cut and not stored, by table and range.
    pub async fn open_batches(&self) -> Result<Vec<BatchRow>, CatalogError> {
        unimplemented!()
    }
    /// Returns the newest batches of a table (for `verify` and lists), newest first.
    pub async fn batches(
        &self,
        table: &TableName,
        limit: u32,
        before: Option<Seq>,
    ) -> Result<Vec<BatchRow>, CatalogError> {
        unimplemented!()
    }
    /// Returns the stored watermark of every table.
    pub async fn watermarks(&self) -> Result<HashMap<TableName, Seq>, CatalogError> {
        unimplemented!()
    }
    /// Returns all remembered unique keys of a table.
    pub async fn unique_keys(&self, table: &TableName) -> Result<Vec<u64>, CatalogError> {
        unimplemented!()
    }
    /// Keeps retry keys and forgets those from before `expired`.
    pub async fn keep_retries(&self, retries: &[StoredRetry], expired: UnixNanos) -> Result<(), CatalogError> {
        unimplemented!()
    }
    /// Returns the retry keys from `since` on.
    pub async fn retries(&self, since: UnixNanos) -> Result<Vec<StoredRetry>, CatalogError> {
        unimplemented!()
    }
    /// Saves the counts of rejected and duplicate rows of each table.
    pub async fn save_counts(&self, counts: &[(TableName, u64, u64)]) -> Result<(), CatalogError> {
        unimplemented!()
    }
    /// Returns the counts last saved: table, rejected, duplicate.
    pub async fn counts(&self) -> Result<Vec<(TableName, u64, u64)>, CatalogError> {
        unimplemented!()
    }
    /// Finds a dataset.
    pub async fn dataset(&self, slug: &str) -> Result<Option<Dataset>, CatalogError> {
        unimplemented!()
    }
    /// Lists all datasets.
    pub async fn datasets(&self) -> Result<Vec<Dataset>, CatalogError> {
        unimplemented!()
    }
    /// Adds a dataset, or the next version of its schema; fails if another writer was faster.
    pub async fn put_dataset(&self, dataset: &Dataset, at: UnixNanos) -> Result<(), CatalogError> {
        unimplemented!()
    }
}
