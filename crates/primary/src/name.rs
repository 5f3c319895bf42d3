use std::fmt;

/// The name of a table, with its schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableName {
    schema: String,
    table: String,
}

/// A text that names no table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no table: write schema.table, such as public.spans")]
pub struct NameError(String);

/// What PostgreSQL keeps of a name.
const BYTES_MAX: usize = 63;

impl TableName {
    /// Reads `schema.table`; without a schema it is `public`. Letters stay as they are.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let (schema, table) = text.split_once('.').unwrap_or(("public", text));
        let is_name = |part: &str| {
            (1..=BYTES_MAX).contains(&part.len())
                && part.chars().all(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '$'))
        };
        if !is_name(schema) || !is_name(table) {
            return Err(NameError(text.to_owned()));
        }
        Ok(Self { schema: schema.to_owned(), table: table.to_owned() })
    }

    /// Returns the schema, quoted.
    #[must_use]
    pub fn schema(&self) -> String {
        quoted(&self.schema)
    }

    /// Returns schema and table, quoted.
    #[must_use]
    pub fn quoted(&self) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(&self.table))
    }

    /// Returns the two parts.
    pub(crate) fn parts(&self) -> (&str, &str) {
        (&self.schema, &self.table)
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.table)
    }
}

/// Quotes a name for PostgreSQL.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_a_schema_and_is_quoted() {
        let check = |text: &str, wanted: &str| {
            assert_eq!(TableName::parse(text).map(|name| name.quoted()), Ok(wanted.to_owned()), "{text}");
        };
        check("public.spans", "\"public\".\"spans\"");
        check("spans", "\"public\".\"spans\"");
        check("Traces.Spans_2", "\"Traces\".\"Spans_2\"");
    }

    #[test]
    fn what_names_no_table_is_refused() {
        for text in ["", ".", "a.", ".b", "a.b.c", "a b", "a;drop", "a\"b", &"x".repeat(64)] {
            assert_eq!(TableName::parse(text), Err(NameError(text.to_owned())), "{text}");
        }
    }
}
