//! Stored rows and hot tail become one answer.
//!
//! Owns: what users' SQL may say, which tables it names, the statement that reads stored and hot rows as one table,
//! and the answer's freshness.
//!
//! Invariants:
//! - An answer is taken from one snapshot of the buffer: rows up to each table's stored watermark from ClickHouse,
//!   rows above it from the hot tail. No row is missing or doubled while a batch moves.
//! - Every row that was acknowledged before the read began is in the answer, whatever the client asks for:
//!   `requireFresh` is always met.
//! - A failure is an error, before the first byte or as the end of the body; it is never an empty or shorter answer.
//!
//! It never writes, and keeps nothing between two reads but what the roll-up keeps.
//!
//! | file | holds |
//! |---|---|
//! | `tokens.rs` | ClickHouse's lexical rules |
//! | `gate.rs` | what users' SQL may not say |
//! | `plan.rs` | one text of SQL: tables, format |
//! | `columns.rs` | which columns it can reach |
//! | `union.rs` | the statement that reads stored and hot rows |
//! | `dataset/` | reads of one dataset without SQL |
//! | `telemetry/` | reads of logs, events and metrics without SQL |
//! | `promql/` | PromQL over the tables of metrics |
//! | `whole.rs` | a whole table, for exports |
//! | `counted.rs` | what hot rows are, for a read of the catalogue |
//! | `totals.rs` | the catalogue in memory, counted up to the newest row |
//! | `hot.rs` | hot rows in the form in which they travel |
//! | `parameter.rs` | texts that are bound |
//! | `watermark.rs` | `min_watermark` |
//! | `run.rs` | one read: snapshot, attempts, answer |
//! | `format.rs` | [`Format`] |
//! | `error.rs` | [`QueryError`] |

mod columns;
mod counted;
mod dataset;
mod error;
mod format;
mod gate;
mod hot;
mod parameter;
pub mod plan;
mod promql;
mod run;
pub mod telemetry;
pub mod tokens;
mod totals;
pub mod union;
mod watermark;
mod whole;

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use tidegate_model::limits::{FRESH_WAIT_MS, QUERY_MEMORY_BYTES, QUERY_RESULT_BYTES, QUERY_RESULT_ROWS, QUERY_SECONDS};
use tidegate_model::{Seq, TableName};

use crate::buffer::Buffer;
use crate::catalog::Catalog;
use crate::rollup::Rollup;
use crate::store::Store;

pub use dataset::{DatasetAnswer, DatasetQuery, Moment};
pub use error::QueryError;
pub use format::Format;
pub use parameter::parameter_text;
pub use promql::{PromqlAnswer, PromqlFailure, PromqlRequest, PromqlSeries, instant as promql_instant};
pub use watermark::min_watermarks;
pub use whole::WholeTable;

/// The parameter of statements of ours that has the newest row which is read from ClickHouse, of their one table.
const STORED_PARAM: &str = "tidegate_stored";

/// Answers reads; clones share its states.
#[derive(Debug, Clone)]
pub struct Query {
    /// Where hot rows are.
    pub buffer: Buffer,
    /// Where stored rows are.
    pub store: Store,
    /// Where datasets are looked up.
    pub catalog: Catalog,
    /// What counts hot rows for the catalogue; `None`: nothing is counted.
    pub rollup: Option<Rollup>,
    /// The limits of every read.
    pub options: QueryOptions,
}

/// The limits of every read; a request may ask for less, never for more.
#[derive(Debug, Clone)]
pub struct QueryOptions {
    /// A read takes at most so long.
    pub timeout: Duration,
    /// It uses at most so much memory in the engine.
    pub memory_bytes: u64,
    /// It answers with at most so many rows; past it it fails.
    pub result_rows: u64,
    /// It answers with at most so many bytes before compression; past it it fails.
    pub result_bytes: u64,
    /// How long `min_watermark` waits for rows that are not acknowledged yet.
    pub fresh_wait: Duration,
}

impl Default for QueryOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(QUERY_SECONDS),
            memory_bytes: QUERY_MEMORY_BYTES,
            result_rows: QUERY_RESULT_ROWS,
            result_bytes: QUERY_RESULT_BYTES,
            fresh_wait: Duration::from_millis(FRESH_WAIT_MS),
        }
    }
}

/// One read.
#[derive(Debug, Clone)]
pub struct ReadRequest {
    /// One statement.
    pub sql: String,
    /// The values of `{name:Type}` in it: name, text.
    pub params: Vec<(String, String)>,
    /// The form of the answer, unless the SQL ends with a FORMAT clause.
    pub format: Format,
    /// Rows that must be in the answer: `logs=123,spans=45`, or one number when the query names one table.
    pub min_watermark: Option<String>,
    /// At most so many rows in the answer.
    pub max_rows: Option<u64>,
    /// At most so long.
    pub timeout: Option<Duration>,
    /// The query's id in logs and in ClickHouse; unique.
    pub query_id: String,
}

/// The answer to a read.
pub struct ReadAnswer {
    /// How fresh it is.
    pub freshness: Freshness,
    /// Its media type.
    pub content_type: &'static str,
    /// Its form.
    pub format: Format,
    /// The bytes, as they come; an error among them ends the answer, which then is not whole.
    pub body: BoxStream<'static, Result<Bytes, QueryError>>,
    /// The query's id.
    pub query_id: String,
}

/// How fresh an answer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freshness {
    /// Where its rows came from.
    pub mode: FreshnessMode,
    /// How long the oldest row has waited that ClickHouse does not have; 0 when there is none.
    pub replica_age_ms: u64,
    /// The newest row in the answer's snapshot, for each table that the query names.
    pub watermarks: Vec<(TableName, Seq)>,
    /// The newest row that was acknowledged when the read began: the same, but for later pages of a list.
    pub latest: Vec<(TableName, Seq)>,
    /// The newest of those rows that were read from ClickHouse; the ones above it came from the hot tail.
    pub stored: Vec<(TableName, Seq)>,
}

/// Where an answer's rows came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FreshnessMode {
    /// All from ClickHouse: nothing was hot.
    ReplicaOnly,
    /// From ClickHouse and from the hot tail.
    ReplicaAndHotBuffer,
    /// From the hot tail alone, because the reader asked for no more.
    HotBufferOnly,
}

impl FreshnessMode {
    /// Returns the mode as the header `x-timestore-freshness-mode` writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReplicaOnly => "replica-only",
            Self::ReplicaAndHotBuffer => "replica+hot-buffer",
            Self::HotBufferOnly => "hot-buffer-only",
        }
    }
}

#[cfg(test)]
mod tests;
