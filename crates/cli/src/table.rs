//! Rows as a table on a terminal.

use std::io::{self, Write};

use anyhow::Context;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::Deserialize;
use serde_json::Value;

/// Rows that a table on a terminal shows; nobody reads more, and a terminal is slow.
const ROWS_SHOWN_MAX: usize = 1_000;

/// A column narrower than this, with longer values in it, is letters one below the other.
const COLUMN_CHARS_MIN: usize = 10;

/// What a border and its blanks take of each column.
const BORDER_CHARS: usize = 3;

/// What `DESCRIBE` says of every column, whether or not it has any.
const DESCRIPTION: [&str; 3] = ["name", "type", "default_type"];

/// Rows under named columns: ClickHouse's `JSONCompact`, and what the lists of the catalogue are made into.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Rows {
    pub(crate) meta: Vec<Column>,
    pub(crate) data: Vec<Vec<Value>>,
}

/// A column, with its type as ClickHouse names it.
#[derive(Debug, Deserialize)]
pub(crate) struct Column {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
}

impl Column {
    /// Names a column; `#` is before the name of one of numbers.
    pub(crate) fn named(name: &str) -> Self {
        let (name, kind) = name.strip_prefix('#').map_or((name, "String"), |name| (name, "Float64"));
        Self { name: name.to_owned(), kind: kind.to_owned() }
    }

    fn is_number(&self) -> bool {
        let kind = self.kind.strip_prefix("Nullable(").unwrap_or(&self.kind);
        ["Int", "UInt", "Float", "Decimal"].iter().any(|number| kind.starts_with(number))
    }
}

/// Writes an answer as an aligned table, and how many rows it has and where they came from.
pub(crate) fn write(body: &[u8], freshness: Option<&str>, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut answer: Rows = serde_json::from_slice(body).context("read the server's answer")?;
    if answer.meta.iter().map(|column| column.name.as_str()).take(DESCRIPTION.len()).eq(DESCRIPTION) {
        answer.drop_empty_columns();
    }
    write_rows(&answer, Table::new().width().map(usize::from), out).context("write the answer")?;
    let rows = answer.data.len();
    let unit = if rows == 1 { "row" } else { "rows" };
    let shown = if rows > ROWS_SHOWN_MAX {
        format!(", the first {ROWS_SHOWN_MAX} shown; --format csv writes all")
    } else {
        String::new()
    };
    let source = freshness.map(|mode| format!(" ({mode})")).unwrap_or_default();
    writeln!(out, "{rows} {unit}{shown}{source}").context("write the answer")
}

impl Rows {
    fn drop_empty_columns(&mut self) {
        let is_empty = |at: usize| self.data.iter().all(|row| row.get(at).is_some_and(|value| value == ""));
        for at in (0..self.meta.len()).rev().filter(|at| is_empty(*at)).collect::<Vec<_>>() {
            self.meta.remove(at);
            self.data.iter_mut().for_each(|row| drop(row.remove(at)));
        }
    }

    /// Returns the least width at which a table of these rows can be read.
    fn chars_min(&self) -> usize {
        let longest = |at: usize, name: &str| {
            let cells = self.data.iter().take(ROWS_SHOWN_MAX).filter_map(|row| row.get(at));
            cells.map(|value| text(value).chars().count()).max().unwrap_or(0).max(name.chars().count())
        };
        let columns = self.meta.iter().enumerate();
        columns.map(|(at, column)| longest(at, &column.name).min(COLUMN_CHARS_MIN) + BORDER_CHARS).sum()
    }
}

/// Writes a table, or one value a line where the table's columns would be too narrow to be read.
pub(crate) fn write_rows(answer: &Rows, width: Option<usize>, out: &mut dyn Write) -> io::Result<()> {
    if width.is_some_and(|width| answer.chars_min() > width) {
        return write_values(answer, out);
    }
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(answer.meta.iter().map(|column| column.name.as_str()));
    for (at, column) in answer.meta.iter().enumerate() {
        if let (true, Some(shown)) = (column.is_number(), table.column_mut(at)) {
            shown.set_cell_alignment(CellAlignment::Right);
        }
    }
    for row in answer.data.iter().take(ROWS_SHOWN_MAX) {
        table.add_row(row.iter().map(text));
    }
    writeln!(out, "{table}")
}

fn write_values(answer: &Rows, out: &mut dyn Write) -> io::Result<()> {
    let longest = answer.meta.iter().map(|column| column.name.chars().count()).max().unwrap_or(0);
    for (row, values) in answer.data.iter().take(ROWS_SHOWN_MAX).enumerate() {
        writeln!(out, "── row {} ──", row + 1)?;
        for (column, value) in answer.meta.iter().zip(values) {
            writeln!(out, "{}", format!("{:<longest$}  {}", column.name, text(value)).trim_end())?;
        }
    }
    Ok(())
}

/// Returns a value as a reader wants to see it; control characters cannot reach the terminal.
pub(crate) fn text(value: &Value) -> String {
    let plain = match value {
        Value::Null => "NULL".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    plain.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(body: &str, table: &Expect) {
        let mut out = Vec::new();
        write(body.as_bytes(), Some("replica-only"), &mut out).expect("the answer is well formed");
        table.assert_eq(&String::from_utf8(out).expect("a table is text"));
    }

    #[test]
    fn rows_too_wide_for_the_terminal_are_written_a_value_a_line() {
        let body = r#"{"meta":[{"name":"service","type":"String"},{"name":"body","type":"String"},
            {"name":"n","type":"UInt8"}], "data":[["shop","paid for three items","1"],["till","",null]]}"#;
        let answer: Rows = serde_json::from_str(body).expect("an answer");
        assert_eq!(answer.chars_min(), 7 + 10 + 4 + 3 * BORDER_CHARS);
        let mut out = Vec::new();
        write_rows(&answer, Some(29), &mut out).expect("a Vec takes everything");
        expect![[r#"
            ── row 1 ──
            service  shop
            body     paid for three items
            n        1
            ── row 2 ──
            service  till
            body
            n        NULL
        "#]]
        .assert_eq(&String::from_utf8(out).expect("text"));
    }

    #[test]
    fn a_description_leaves_out_what_no_column_has() {
        check(
            r#"{"meta":[{"name":"name","type":"String"},{"name":"type","type":"String"},
                {"name":"default_type","type":"String"},{"name":"comment","type":"String"}],
                "data":[["a","UInt8","",""],["b","String","","why"]]}"#,
            &expect![[r#"
                ┌─────────────────────────┐
                │ name   type     comment │
                ╞═════════════════════════╡
                │ a      UInt8            │
                │ b      String   why     │
                └─────────────────────────┘
                2 rows (replica-only)
            "#]],
        );
    }

    #[test]
    fn numbers_stand_to_the_right_and_nothing_reaches_the_terminal_raw() {
        check(
            r#"{"meta":[{"name":"service","type":"String"},{"name":"rows","type":"UInt64"}],
                "data":[["shop","12"],["a\u001b[31m","7"],[null,"1"]],"rows":3}"#,
            &expect![[r#"
                ┌────────────────┐
                │ service   rows │
                ╞════════════════╡
                │ shop        12 │
                │ a�[31m       7 │
                │ NULL         1 │
                └────────────────┘
                3 rows (replica-only)
            "#]],
        );
    }
}
