//! Changes of a schema that are refused, and the way around each.

use serde::Serialize;
use tidegate_model::FieldType;

use super::error::RowsError;

/// What a request would do to a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    Removed { column: String, kept: FieldType },
    Retyped { column: String, kept: FieldType, wanted: FieldType },
    Rounded { column: String, value: i64 },
}

/// One step by which the requester gets what it wants without changing what is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanStep {
    /// What is to be done: `keep_column`, `add_column`, `read_both`, `other_table`.
    pub action: &'static str,
    /// The column.
    pub column: String,
    /// How.
    pub detail: String,
}

impl Fate {
    fn reason(&self) -> String {
        match self {
            Self::Removed { column, .. } => format!("`{column}` is missing, columns are never removed"),
            Self::Retyped { column, kept, wanted } => format!("`{column}` is {kept} and cannot become {wanted}"),
            Self::Rounded { column, value } => {
                format!("`{column}` is integer and holds {value}: integers past 2^53 are no doubles exactly")
            }
        }
    }

    fn steps(&self) -> Vec<PlanStep> {
        let step = |action, column: &str, detail| PlanStep { action, column: column.to_owned(), detail };
        let (column, wanted) = match self {
            Self::Removed { column, kept } => {
                let detail =
                    format!("declare `{column}` as {kept} again and leave it out of the rows: they have none of it");
                return vec![step("keep_column", column, detail)];
            }
            Self::Retyped { column, wanted, .. } => (column, wanted.to_string()),
            Self::Rounded { column, .. } => (column, "double".to_owned()),
        };
        let word: String = wanted.chars().take_while(char::is_ascii_alphanumeric).collect();
        let other = format!("{column}_{word}");
        vec![
            step(
                "add_column",
                column,
                format!("declare `{column}` as it is and `{other}` as {wanted}; send the values in `{other}`"),
            ),
            step("read_both", column, format!("read `{other}` of newer rows and `{column}` of those from before")),
            step(
                "other_table",
                column,
                "or send rows of the other schema to another table of the dataset, with `tableName`".to_owned(),
            ),
        ]
    }
}

/// Refuses a request for what it would do to its dataset.
pub(super) fn refusal(slug: &str, fates: &[Fate]) -> RowsError {
    RowsError::Schema {
        slug: slug.to_owned(),
        reasons: fates.iter().map(Fate::reason).collect(),
        plan: fates.iter().flat_map(Fate::steps).collect(),
    }
}
