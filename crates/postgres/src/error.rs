use thiserror::Error;

/// Bytes that are not what PostgreSQL writes.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CopyError {
    /// They do not begin as such bytes do.
    #[error("the bytes do not begin as PostgreSQL's binary COPY does")]
    Header,
    /// A row has more or fewer values than were asked for.
    #[error("row {row} has {found} values where {wanted} were asked for: did the table change meanwhile?")]
    Values {
        /// Its place, from 0.
        row: u64,
        /// Values that it has.
        found: i16,
        /// Values that were asked for.
        wanted: usize,
    },
    /// A value's bytes are not of its type.
    #[error("column `{column}` of row {row}: {why}")]
    Value {
        /// Its row's place, from 0.
        row: u64,
        /// Its column.
        column: String,
        /// What is wrong.
        why: &'static str,
    },
    /// Texts of one column are too long together.
    #[error("column `{column}` has more than 2 GiB in one piece")]
    TooLong {
        /// The column.
        column: String,
    },
    /// They go on behind their end.
    #[error("there are bytes behind the end")]
    Behind,
    /// They end in the middle.
    #[error("the bytes end in the middle, behind {rows} rows")]
    CutOff {
        /// Whole rows.
        rows: u64,
    },
    /// Columns cannot be put together.
    #[error("the columns make no rows: {0}")]
    Rows(String),
}
