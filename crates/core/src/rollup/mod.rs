//! The catalogue: what rows are, and which attributes they have, counted batch by batch.
//!
//! Owns: which rows of `catalog_signals`, `catalog_attributes` and `catalog_values` a batch of rows makes; which names,
//! keys and values are known; the attributes of series that were seen lately.
//!
//! Invariants:
//! - Every row of a source is counted once in `catalog_signals`, every attribute of it once in `catalog_attributes`.
//! - The numbers depend on the rows alone, never on how they are cut into batches, while no limit is met.
//! - Distinct values are exact: by XXH3-64 of their text, which confuses two of ten million values with a
//!   probability below three in a million.
//! - What is past a limit is counted under [`OVERFLOW`] or in `unlisted`, never left out.
//!
//! It never reads or writes a table: movers bring rows, and take what they make.
//!
//! | file | holds |
//! |---|---|
//! | `reducer.rs` | [`Reducer`]: groups of rows, and their attributes |
//! | `distinct.rs` | distinct values of one attribute |
//! | `records.rs` | log records and spans, read from their columns |
//! | `points.rs` | data points and series, the same |
//! | `columns.rs` | maps and words as rows share them |
//! | `series.rs` | attributes of series, by fingerprint |
//! | `registry.rs` | which names, keys and values are known over all batches |
//! | `hot.rs` | rows that are not stored yet, counted once however often they are asked for |
//! | `observe.rs` | the values of one key, one by one |
//! | `assemble.rs` | the rows of the catalogue |
//! | `totals/` | the catalogue of all hours, in memory |

mod assemble;
mod columns;
mod distinct;
mod hot;
mod observe;
mod points;
mod records;
mod reducer;
mod registry;
mod series;
/// The catalogue of all hours, in memory.
pub mod totals;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;
use serde_json::Value;
use tidegate_model::limits::CATALOG_SERIES_PER_LOOKUP;
use tidegate_model::tables::{
    EVENTS, LOGS, METRIC_EXPONENTIAL_HISTOGRAMS, METRIC_HISTOGRAMS, METRIC_SAMPLES, METRIC_SERIES, METRIC_SUMMARIES,
    SPANS,
};
use tidegate_model::{Seq, SeqRange, TableName, TableSpec};

pub use assemble::{Counted, Part};
pub use hot::Turn;
pub use observe::Observed;
pub use records::signal_of;
pub use reducer::Reducer;
pub use registry::{Learned, OVERFLOW};
pub use series::Descriptions;

use hot::HotCounts;
use registry::Registry;
use series::SeriesKeys;
use totals::Totals;

/// What all batches know of those before them; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Rollup {
    registry: Registry,
    series: Arc<SeriesKeys>,
    hot: HotCounts,
    totals: Option<Totals>,
}

impl Rollup {
    /// Keeps totals in memory, too: only where nobody else writes the catalogue's tables.
    #[must_use]
    pub fn with_totals(self, totals: Totals) -> Self {
        Self { totals: Some(totals), ..self }
    }

    /// Returns the totals in memory.
    #[must_use]
    pub const fn totals(&self) -> Option<&Totals> {
        self.totals.as_ref()
    }

    /// Returns the tables whose rows are counted.
    #[must_use]
    pub fn sources() -> [&'static TableSpec; 8] {
        [
            &LOGS,
            &EVENTS,
            &SPANS,
            &METRIC_SERIES,
            &METRIC_SAMPLES,
            &METRIC_HISTOGRAMS,
            &METRIC_EXPONENTIAL_HISTOGRAMS,
            &METRIC_SUMMARIES,
        ]
    }

    /// Says whether the rows of a table are counted.
    #[must_use]
    pub fn counts(table: &TableName) -> bool {
        Self::sources().iter().any(|spec| spec.name == *table)
    }

    /// Begins to count rows of one table.
    #[must_use]
    pub fn reducer(&self) -> Reducer {
        Reducer::new(self.registry.clone())
    }

    /// Learns the attributes of series from rows of `metric_series`.
    pub fn learn_series(&self, range: SeqRange, rows: &RecordBatch) -> Result<(), ArrowError> {
        self.series.learn_numbered(range, rows)
    }

    /// Returns up to which row of `metric_series` all that were hot when they were asked for were learned.
    #[must_use]
    pub fn series_learned(&self) -> Seq {
        self.series.seen()
    }

    /// Returns what is known of series, and the fingerprints of those that are not known.
    #[must_use]
    pub fn describe(&self, fingerprints: impl Iterator<Item = u64>) -> (Descriptions, Vec<u64>) {
        self.series.describe(fingerprints)
    }

    /// Returns statements whose answers tell of series, so many at once that none is too long.
    pub fn lookups(database: &str, fingerprints: &[u64]) -> impl Iterator<Item = String> {
        fingerprints.chunks(CATALOG_SERIES_PER_LOOKUP).map(|some| series::lookup(database, some))
    }

    /// Adds the rows of such an answer to what is known. A series that is not among them is lost: retention has taken
    /// its row, and its points count without attributes.
    pub fn add_series(&self, found: Vec<Value>, known: &mut Descriptions) -> Result<(), serde_json::Error> {
        self.series.add(found, known)
    }

    /// Returns the rows of the catalogue for a batch that is about to be stored.
    pub fn seal(&self, reducer: &mut Reducer, series: &Descriptions) -> Result<Counted, ArrowError> {
        reducer.finish(series, true)
    }

    /// Returns the rows of the catalogue for rows that are only looked at.
    pub fn look(&self, reducer: &mut Reducer, series: &Descriptions) -> Result<Vec<Part>, ArrowError> {
        Ok(reducer.finish(series, false)?.parts)
    }

    /// Notes that a batch's rows of the catalogue are stored.
    pub fn stored(&self, learned: Learned) {
        self.registry.learn(learned);
    }

    /// Waits for a reader's turn with the counts of hot rows; it must be held before the reader takes its snapshot.
    pub async fn turn(&self) -> Turn {
        self.hot.turn().await
    }
}
