use std::io::{self, Write};

use anyhow::Context;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::Deserialize;
use serde_json::Value;

/// Rows that a table on a terminal shows; nobody reads more, and a terminal is slow.
const ROWS_SHOWN_MAX: usize = 1_000;

/// ClickHouse's `JSONCompact`.
#[derive(Deserialize)]
struct Answer {
    meta: Vec<Column>,
    data: Vec<Vec<Value>>,
}

#[derive(Deserialize)]
struct Column {
    name: String,
    #[serde(rename = "type")]
    kind: String,
}

impl Column {
    fn is_number(&self) -> bool {
        let kind = self.kind.strip_prefix("Nullable(").unwrap_or(&self.kind);
        ["Int", "UInt", "Float", "Decimal"].iter().any(|number| kind.starts_with(number))
    }
}

/// Writes an answer as an aligned table, and how many rows it has and where they came from.
pub(super) fn write(body: &[u8], freshness: Option<&str>, out: &mut dyn Write) -> anyhow::Result<()> {
    let answer: Answer = serde_json::from_slice(body).context("read the server's answer")?;
    write_rows(&answer, out).context("write the answer")?;
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

fn write_rows(answer: &Answer, out: &mut dyn Write) -> io::Result<()> {
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

/// Returns a value as a reader wants to see it; control characters cannot reach the terminal.
fn text(value: &Value) -> String {
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
