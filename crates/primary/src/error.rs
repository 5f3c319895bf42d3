use std::borrow::Cow;

use tidegate_model::ErrorKind;
use tidegate_model::limits::{PRIMARY_READ_BYTES_MAX, PRIMARY_READ_ROWS_MAX, PRIMARY_SECONDS};
use tidegate_traces::Invalid;

use crate::secure::mend;

/// Why PostgreSQL did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum PrimaryError {
    /// It cannot be reached, is starting or stopping, or has no connection left.
    #[error("PostgreSQL, where these spans are, cannot be reached; nothing was acknowledged: try again in a moment")]
    Away(#[source] sqlx::Error),
    /// It does not let us in, or is not the one that was meant.
    #[error("PostgreSQL, where these spans are, cannot be connected to: {mend}; nothing was acknowledged")]
    Barred {
        /// What is to be done.
        mend: &'static str,
        /// What it said.
        source: sqlx::Error,
    },
    /// It took too long.
    #[error("PostgreSQL did not answer within {PRIMARY_SECONDS} s; narrow the window, or read from ClickHouse")]
    Timeout,
    /// What was sent cannot be a row there.
    #[error("PostgreSQL cannot hold what was sent: {0}; nothing was written")]
    Refused(String),
    /// The table is not one for spans, or may not be used.
    #[error("the table {table} of PostgreSQL cannot be used: {why}")]
    Table {
        /// Which.
        table: String,
        /// What is wrong, and how to mend it.
        why: String,
    },
    /// A read would look at too many rows.
    #[error(
        "more than {PRIMARY_READ_ROWS_MAX} rows or {} MiB of PostgreSQL would be looked at; narrow the window or name traces, \
         or read from ClickHouse",
        PRIMARY_READ_BYTES_MAX >> 20
    )]
    TooMuch,
    /// A row there is no span.
    #[error("a row of {table} is no span: {source}")]
    Corrupt {
        /// Of which table.
        table: String,
        /// What of it.
        source: Invalid,
    },
    /// Anything else.
    #[error("PostgreSQL failed")]
    Failed(#[source] sqlx::Error),
}

impl PrimaryError {
    /// Says what the caller does next.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Away(_) | Self::Barred { .. } | Self::Table { .. } => ErrorKind::Unavailable,
            Self::Timeout => ErrorKind::Timeout,
            Self::Refused(_) | Self::TooMuch => ErrorKind::Invalid,
            Self::Corrupt { .. } => ErrorKind::Corrupt,
            Self::Failed(_) => ErrorKind::Internal,
        }
    }

    /// Tells an error of a statement by what PostgreSQL calls it.
    pub(crate) fn of(error: sqlx::Error, table: &str) -> Self {
        if let Some(mend) = mend(&error) {
            return Self::Barred { mend, source: error };
        }
        let Some(told) = error.as_database_error() else {
            return match error {
                sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::Protocol(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed => Self::Away(error),
                other => Self::Failed(other),
            };
        };
        let (code, why) = (told.code().unwrap_or(Cow::Borrowed("")), told.message().to_owned());
        match (code.get(..2).unwrap_or_default(), code.as_ref()) {
            (_, "57014") => Self::Timeout,
            // Connections, its administrator, its resources, conflicts that were tried again, locks, and a server that only
            // answers reads.
            ("08" | "57" | "53" | "40", _) | (_, "55P03" | "25006" | "3D000") => Self::Away(error),
            ("22" | "23" | "54", _) => Self::Refused(why),
            ("42" | "3F", _) => Self::Table { table: table.to_owned(), why },
            _ => Self::Failed(error),
        }
    }

    /// Says whether the same transaction is worth another try at once: it met another one.
    pub(crate) fn is_conflict(error: &sqlx::Error) -> bool {
        error.as_database_error().and_then(|told| told.code()).is_some_and(|code| code.starts_with("40"))
    }
}
