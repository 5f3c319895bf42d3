use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidegate_model::TableName;

/// What became of one table's batches since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BatchReport {
    /// Batches that are stored.
    pub batches: u64,
    /// Their rows.
    pub rows: u64,
    /// Their bytes as hot rows.
    pub bytes: u64,
    /// Inserts that they were split into.
    pub inserts: u64,
    /// Attempts that failed.
    pub failures: u64,
    /// Why the batch in flight is not stored yet.
    pub stuck: Option<String>,
    /// Time spent encoding, retries included; most of it while the rows before are on their way.
    pub encoding: Duration,
    /// Time spent counting rows for the catalogue.
    pub counting: Duration,
    /// Time spent waiting for ClickHouse, retries included.
    pub inserting: Duration,
}

/// Rows that a flush or a stop left in the buffer; they are durable there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// The table.
    pub table: TableName,
    /// How many rows.
    pub rows: u64,
    /// Why, if an insert failed.
    pub reason: Option<String>,
}

#[derive(Debug, Default)]
pub(super) struct Reports {
    tables: Mutex<BTreeMap<TableName, BatchReport>>,
}

impl Reports {
    pub(super) fn update(&self, table: &TableName, change: impl FnOnce(&mut BatchReport)) {
        change(self.lock().entry(table.clone()).or_default());
    }

    pub(super) fn all(&self) -> Vec<(TableName, BatchReport)> {
        self.lock().iter().map(|(table, report)| (table.clone(), report.clone())).collect()
    }

    pub(super) fn stuck(&self, table: &TableName) -> Option<String> {
        self.lock().get(table).and_then(|report| report.stuck.clone())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TableName, BatchReport>> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
