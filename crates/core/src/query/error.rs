use std::time::Duration;

use tidegate_model::{ErrorKind, Seq, TableName};

use crate::buffer::BufferError;
use crate::catalog::CatalogError;
use crate::store::StoreError;

/// Why a query got no answer, or not a whole one.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The SQL is not one that may run here; found before it was sent.
    #[error("{message} (at byte {position} of the query)")]
    Refused {
        /// What is wrong, and how to mend it.
        message: String,
        /// Where in the SQL.
        position: usize,
    },
    /// A parameter of the request is wrong.
    #[error("{0}")]
    Parameter(String),
    /// The engine refused the SQL or gave it up.
    #[error("ClickHouse error {code}: {text}")]
    Engine {
        /// ClickHouse's number for the error.
        code: i32,
        /// Its text, with positions as in the SQL that the user wrote.
        text: String,
        /// What the caller does next.
        kind: ErrorKind,
    },
    /// Rows that the reader insists on were never acknowledged, or not yet.
    #[error(
        "`min_watermark` asks for row {wanted} of `{table}`, the newest acknowledged one is {head}; \
         waited {waited_ms} ms; read again later, or ask for `{table}={head}`"
    )]
    NotYet {
        /// The table.
        table: TableName,
        /// The row asked for.
        wanted: Seq,
        /// The newest row.
        head: Seq,
        /// How long the query waited.
        waited_ms: u64,
    },
    /// A roll-up's batch is on its way, and has been for too long.
    #[error(
        "a batch of `{table}` is on its way into ClickHouse and it is not known yet whether its rows are there; \
         read again in a moment"
    )]
    Moving {
        /// The table.
        table: TableName,
    },
    /// More rows wait for ClickHouse than can travel with a query.
    #[error(
        "more than {0} bytes of rows wait for ClickHouse, too many to travel with a query; \
         name fewer columns or tables, or wait until ClickHouse has caught up"
    )]
    TailTooLarge(u64),
    /// The engine did not answer within the time.
    #[error("no answer within {0:?}; narrow the query, or allow it more time")]
    Timeout(Duration),
    /// The engine cannot be reached.
    #[error("ClickHouse cannot be reached; it may be restarting: read again in a moment")]
    Unreachable(#[source] StoreError),
    /// The engine failed otherwise, or the answer was cut off.
    #[error("the answer was not completed")]
    Store(#[source] StoreError),
    /// Hot rows could not be read.
    #[error("read the hot tail")]
    Buffer(#[from] BufferError),
    /// The datasets could not be read.
    #[error("look up the tables that the query names")]
    Catalog(#[from] CatalogError),
    /// Hot rows could not be put into the form in which they travel.
    #[error("encode the hot rows of `{table}`")]
    Encode {
        /// The table.
        table: TableName,
        /// Why it failed.
        source: arrow_schema::ArrowError,
    },
    /// Hot rows could not be counted for the catalogue.
    #[error("count the hot rows")]
    Count(#[from] arrow_schema::ArrowError),
    /// What ClickHouse tells of series is not what was asked for.
    #[error("look up the series of hot points")]
    Series(#[source] serde_json::Error),
    /// The rows of an answer are not what was asked for.
    #[error("an answer of ClickHouse ends within a row")]
    WithinRow,
    /// The task that counts or encodes hot rows ended early.
    #[error("count or encode the hot rows: the task ended early")]
    Task(#[from] tokio::task::JoinError),
}

impl QueryError {
    /// A failure before the first byte: whatever cut the connection, the read may be tried again.
    pub(super) fn of_store(error: StoreError) -> Self {
        match error {
            error @ (StoreError::Unreachable { .. } | StoreError::CutOff(_)) => Self::Unreachable(error),
            error => Self::Store(error),
        }
    }

    /// Says what the caller does next.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Refused { .. } | Self::Parameter(_) => ErrorKind::Invalid,
            Self::Engine { kind, .. } => *kind,
            Self::NotYet { .. } => ErrorKind::Conflict,
            Self::TailTooLarge(_) => ErrorKind::Overloaded,
            Self::Timeout(_) => ErrorKind::Timeout,
            Self::Unreachable(_) | Self::Moving { .. } => ErrorKind::Unavailable,
            Self::Store(source) => source.kind(),
            Self::Buffer(source) => source.kind(),
            Self::Catalog(source) => source.kind(),
            Self::Encode { .. } | Self::Count(_) | Self::Series(_) | Self::WithinRow | Self::Task(_) => {
                ErrorKind::Internal
            }
        }
    }
}
