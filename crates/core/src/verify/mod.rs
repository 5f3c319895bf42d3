//! Proves the ledger against ClickHouse: every batch that the catalog calls stored is there, each number once.
//!
//! Reads the catalog's batches and manifests, the buffer's counts and the table itself; changes nothing. A batch is
//! recounted by `count()` and `uniqExact(_seq)` over its own range of numbers, and the rows of each published manifest
//! are hashed again, so memory in ClickHouse is bounded by a page of batches, whatever the table's size.
//!
//! | file | holds |
//! |---|---|
//! | `mod.rs` | [`verify`], the report |
//! | `recount.rs` | the SQL, and the comparison of one page of batches |
//! | `rehash.rs` | the rows of manifests, hashed again |

mod recount;
mod rehash;

use std::collections::HashMap;

use serde::Serialize;
use serde_json::Value;
use tidegate_model::{ErrorKind, Seq, TableName, tables};

use crate::buffer::{Buffer, TailStatus};
use crate::catalog::{BatchRow, Catalog, CatalogError};
use crate::store::{Store, StoreError};

pub use rehash::{Altered, sum_stored};

/// Why a verification could not be finished; a difference is not an error, it is in the report.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The catalog failed.
    #[error("read the batches from the catalog")]
    Catalog(#[from] CatalogError),
    /// ClickHouse failed.
    #[error("recount the rows in ClickHouse")]
    Store(#[from] StoreError),
    /// ClickHouse answered with something else than counts.
    #[error("ClickHouse's recount has no number `{0}`")]
    Answer(&'static str),
}

impl VerifyError {
    /// Says what the caller does next.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Catalog(error) => error.kind(),
            Self::Store(error) => error.kind(),
            Self::Answer(_) => ErrorKind::Internal,
        }
    }
}

/// The ledger of one table: `received = stored + hot + rejected + duplicate`, always.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ledger {
    /// The table.
    pub table: TableName,
    /// Rows that producers sent.
    pub received: u64,
    /// Rows in ClickHouse, up to the watermark.
    pub stored: u64,
    /// Rows that are durable in the WAL and not yet stored.
    pub hot: u64,
    /// Rows refused, each with a reason.
    pub rejected: u64,
    /// Rows that came again in a retry.
    pub duplicate: u64,
    /// Of the stored rows those that were removed since: they were past their retention.
    pub expired: u64,
}

impl From<&TailStatus> for Ledger {
    fn from(tail: &TailStatus) -> Self {
        let hot = tail.head.0 - tail.stored.0;
        Self {
            table: tail.table.clone(),
            received: tail.head.0 + tail.rejected + tail.duplicate,
            stored: tail.stored.0,
            hot,
            rejected: tail.rejected,
            duplicate: tail.duplicate,
            expired: 0,
        }
    }
}

/// One batch that ClickHouse does not hold as the catalog says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The batch.
    pub batch: String,
    /// Rows that it was cut with.
    pub rows: u64,
    /// Rows that ClickHouse has in its range.
    pub found: u64,
    /// Different numbers among them: less than `found` means doubled rows.
    pub distinct: u64,
}

/// What was found for one table.
#[derive(Debug, Clone, Serialize)]
pub struct TableReport {
    /// The ledger at the moment of the check.
    pub ledger: Ledger,
    /// Batches recounted.
    pub batches: u64,
    /// Rows in those batches.
    pub rows: u64,
    /// Rows of batches that were counted for the catalogue and not kept.
    pub unkept: u64,
    /// Stored numbers that no batch of the catalog covers.
    pub uncovered: u64,
    /// Batches that are not there once and whole.
    pub differences: Vec<Difference>,
    /// Published manifests whose rows were hashed again.
    pub manifests: u64,
    /// Manifests whose rows are not those that were sent.
    pub altered: Vec<Altered>,
}

impl TableReport {
    /// Says whether everything is there exactly once.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.differences.is_empty() && self.altered.is_empty() && self.uncovered == 0
    }
}

/// Tells the ledger of every table.
pub async fn ledgers(buffer: &Buffer, catalog: &Catalog) -> Result<Vec<Ledger>, CatalogError> {
    let mut ledgers: Vec<_> = buffer.status().iter().map(Ledger::from).collect();
    for (table, expired) in catalog.expired_rows().await? {
        ledgers.iter_mut().filter(|ledger| ledger.table == table).for_each(|ledger| ledger.expired = expired.rows);
    }
    Ok(ledgers)
}

/// Recounts every stored batch of every table but roll-ups, and hashes its rows again; ingest and batches may go on meanwhile.
pub async fn verify(buffer: &Buffer, catalog: &Catalog, store: &Store) -> Result<Vec<TableReport>, VerifyError> {
    let _kept = store.keep_rows().await;
    let mut reports = Vec::new();
    let expired: HashMap<_, _> = catalog.expired_rows().await?.into_iter().collect();
    // Rows of a roll-up lose their numbers when they merge: `docs/decisions/0006` says how they are compared.
    let rolls_up = |table: &TableName| tables::all().iter().any(|spec| spec.roll_up.is_some() && spec.name == *table);
    for tail in buffer.status().into_iter().filter(|tail| !rolls_up(&tail.table)) {
        let mut report = verify_table(&tail, catalog, store).await?;
        report.ledger.expired = expired.get(&tail.table).map_or(0, |expired| expired.rows);
        reports.push(report);
    }
    Ok(reports)
}

async fn verify_table(tail: &TailStatus, catalog: &Catalog, store: &Store) -> Result<TableReport, VerifyError> {
    let ledger = Ledger::from(tail);
    let mut report = TableReport {
        ledger,
        batches: 0,
        rows: 0,
        unkept: 0,
        uncovered: 0,
        differences: Vec::new(),
        manifests: 0,
        altered: Vec::new(),
    };
    let changed = catalog.rows_of_changed_batches(&tail.table).await?;
    let mut before = None;
    loop {
        let page = catalog.batches(&tail.table, recount::BATCHES_PER_PAGE, before).await?;
        let Some(oldest) = page.last() else { break };
        before = Some(oldest.range.first);
        let mut stored: Vec<BatchRow> = page.into_iter().filter(|batch| batch.range.last <= tail.stored).collect();
        stored.reverse();
        if stored.is_empty() {
            continue;
        }
        let (unkept, stored): (Vec<_>, Vec<_>) = stored.into_iter().partition(|batch| batch.partitions == 0);
        report.unkept += unkept.iter().map(|batch| batch.range.rows()).sum::<u64>();
        report.batches += u64::try_from(stored.len()).unwrap_or(u64::MAX);
        report.rows += stored.iter().map(|batch| batch.range.rows()).sum::<u64>();
        report.differences.extend(recount::differences(&stored, &changed, store).await?);
    }
    (report.manifests, report.altered) = rehash::altered(&tail.table, catalog, store).await?;
    report.uncovered = (tail.stored.0 - Seq::ZERO.0).saturating_sub(report.rows + report.unkept);
    Ok(report)
}

/// Reads a number that was asked for as text.
fn number(row: &Value, name: &'static str) -> Result<u64, VerifyError> {
    row.get(name).and_then(Value::as_str).and_then(|text| text.parse().ok()).ok_or(VerifyError::Answer(name))
}
