use tidegate_model::limits::SQL_PARAMETERS_MAX;
use tidegate_model::{ColumnKind, ColumnSpec, TableSpec, UnixNanos};

use crate::query::{QueryError, parameter_text};

/// The values of a statement in the making: what clients sent is bound, never part of the text.
#[derive(Debug, Default)]
pub(in crate::query) struct Bound {
    pub(in crate::query) params: Vec<(String, String)>,
}

impl Bound {
    /// Binds a text; returns what stands for it.
    pub(in crate::query) fn text(&mut self, value: &str) -> Result<String, QueryError> {
        self.bind("String", parameter_text(value))
    }

    /// Binds a moment.
    pub(in crate::query) fn moment(&mut self, value: UnixNanos) -> Result<String, QueryError> {
        Ok(format!("fromUnixTimestamp64Nano({}, 'UTC')", self.bind("Int64", value.0.to_string())?))
    }

    /// Binds a value of another type, as ClickHouse writes it.
    pub(in crate::query) fn bind(&mut self, kind: &str, value: String) -> Result<String, QueryError> {
        if self.params.len() == SQL_PARAMETERS_MAX {
            return Err(QueryError::Parameter(format!(
                "the filters have more than {SQL_PARAMETERS_MAX} values: send fewer, or ask in SQL"
            )));
        }
        let name = format!("p{}", self.params.len());
        let place = format!("{{{name}:{kind}}}");
        self.params.push((name, value));
        Ok(place)
    }
}

/// How the values of a column come from ClickHouse, and what they become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Text; becomes a string.
    Text,
    /// Text that is JSON already: types that are rare, or have parts.
    Json,
    /// Booleans.
    Flag,
    /// Whole numbers.
    Whole,
    /// Doubles; those that JSON does not know become strings.
    Double,
    /// Nanoseconds since 1970; becomes a string.
    Moment,
}

/// Returns the form in which an expression of a type is sent, and what is selected for it.
pub(super) fn selected(expression: &str, kind: &ColumnKind) -> (String, Form) {
    match kind {
        ColumnKind::Nullable(inner) => selected(expression, inner),
        ColumnKind::F64 => (expression.to_owned(), Form::Double),
        ColumnKind::Timestamp => (format!("toUnixTimestamp64Nano({expression})"), Form::Moment),
        ColumnKind::I64 | ColumnKind::U64 => (expression.to_owned(), Form::Whole),
        ColumnKind::Bool => (expression.to_owned(), Form::Flag),
        ColumnKind::Text | ColumnKind::Json => (expression.to_owned(), Form::Text),
        ColumnKind::Uuid | ColumnKind::Date => (format!("toString({expression})"), Form::Text),
        // Without their dictionaries.
        ColumnKind::Keyword => (format!("CAST({expression}, 'Nullable(String)')"), Form::Text),
        ColumnKind::Word => (format!("CAST({expression}, 'String')"), Form::Text),
        _ => (format!("toJSONString({expression})"), Form::Json),
    }
}

/// Quotes the name of a column, which never holds a quote.
pub(super) fn quoted(name: &str) -> String {
    format!("`{name}`")
}

/// Finds a column that clients may name; ours begin with `_`.
pub(super) fn column<'s>(spec: &'s TableSpec, name: &str, place: &str) -> Result<&'s ColumnSpec, QueryError> {
    let found = user_columns(spec).find(|column| column.name == name);
    found.ok_or_else(|| {
        let shown: String = name.chars().take(100).collect();
        let known: Vec<&str> = user_columns(spec).map(|column| column.name.as_str()).take(50).collect();
        QueryError::Parameter(format!("`{place}` names `{shown}`, which is no column: there are {}", known.join(", ")))
    })
}

/// Returns the columns that clients see.
pub(super) fn user_columns(spec: &TableSpec) -> impl Iterator<Item = &ColumnSpec> {
    spec.columns.iter().filter(|column| !column.name.starts_with('_'))
}

/// Returns a column's type without its nulls.
pub(super) fn bare(kind: &ColumnKind) -> &ColumnKind {
    if let ColumnKind::Nullable(inner) = kind { bare(inner) } else { kind }
}
