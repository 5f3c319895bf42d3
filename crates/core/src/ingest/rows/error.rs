use tidegate_model::limits::{COLUMN_NAME_BYTES_MAX, DATASET_COLUMNS_MAX, REQUEST_CELLS_MAX, SLUG_BYTES_MAX};
use tidegate_model::{ErrorKind, TableName};

use super::breaking::PlanStep;

/// Why a request of rows was refused as a whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowsError {
    /// The slug cannot name a dataset.
    #[error(
        "`{0}` cannot name a dataset: use a to z, 0 to 9, - and _, start with a letter or digit, at most {SLUG_BYTES_MAX} bytes"
    )]
    Slug(String),
    /// The table that the slug leads to is taken.
    #[error("dataset `{slug}` would be stored in table `{table}`, which belongs to {owner}: choose another slug")]
    TableTaken {
        /// The dataset.
        slug: String,
        /// Its table.
        table: TableName,
        /// Whose it is.
        owner: String,
    },
    /// The body is not JSON.
    #[error("not valid JSON at line {line}, column {column}: {problem}")]
    Syntax {
        /// The line, from 1.
        line: usize,
        /// The byte in the line, from 1.
        column: usize,
        /// What is wrong there.
        problem: &'static str,
    },
    /// The body is not a request of rows.
    #[error("{field}: {problem}")]
    Body {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A column's name is not allowed.
    #[error(
        "`{name}` cannot name a column: {COLUMN_NAME_BYTES_MAX} bytes at most, no control characters, no quotes or backslashes, not beginning with _"
    )]
    ColumnName {
        /// The name.
        name: String,
    },
    /// The dataset would have too many columns.
    #[error("the dataset would have more than {DATASET_COLUMNS_MAX} columns")]
    TooManyColumns,
    /// The request has too many rows for its columns.
    #[error("{rows} rows of {columns} columns are more than {REQUEST_CELLS_MAX} values: send fewer rows at once")]
    TooManyCells {
        /// Its rows.
        rows: usize,
        /// The columns of the dataset.
        columns: usize,
    },
    /// The schema is not an addition to the dataset's.
    #[error("the schema of dataset `{slug}` does not allow this, nothing was written: {}", reasons.join("; "))]
    Schema {
        /// The dataset.
        slug: String,
        /// What was taken away or changed.
        reasons: Vec<String>,
        /// How to get the same without that.
        plan: Vec<PlanStep>,
    },
    /// The dataset takes no rows any more.
    #[error("dataset `{0}` is archived and takes no rows; set its status to `active` first")]
    Archived(String),
    /// The dataset's table is closed for a moment, so that it can be cut over from an older engine.
    #[error(
        "table `{label}` of dataset `{slug}` takes no rows while it is cut over from an older engine; nothing was written: send the same again in a moment"
    )]
    Frozen {
        /// The dataset.
        slug: String,
        /// The table.
        label: String,
        /// The migration.
        migration: String,
        /// The freeze ends by itself then.
        ends_in_ms: u64,
    },
    /// Rows of an older engine for a table that takes none.
    #[error(
        "table `{label}` of dataset `{slug}` takes no rows of the migration `{migration}`: it is over, switched, or another table's"
    )]
    NoMigration {
        /// The dataset.
        slug: String,
        /// The table.
        label: String,
        /// The migration.
        migration: String,
    },
    /// The body is not in its format.
    #[error("not a readable {format} body: {problem}")]
    Format {
        /// The format.
        format: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// The Arrow stream cannot be read.
    #[error("not a readable Arrow stream: {0}")]
    Arrow(String),
}

impl RowsError {
    /// Says what the caller does next.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::TableTaken { .. } | Self::Schema { .. } | Self::Archived(_) | Self::NoMigration { .. } => {
                ErrorKind::Conflict
            }
            Self::Frozen { .. } => ErrorKind::Unavailable,
            _ => ErrorKind::Invalid,
        }
    }
}
