use std::io::{IsTerminal, Write};

use anyhow::Context;
use comfy_table::Table;
use serde_json::{Map, Value, json};

use super::ListFormat;
use crate::table::{self, Column, Rows};

/// Named columns and their rows, to be shown in any form.
#[derive(Debug)]
pub(crate) struct Listing {
    /// What it is a list of, for a heading.
    title: &'static str,
    rows: Rows,
}

/// How much of a list is shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Places {
    /// How many there are.
    pub(crate) total: u64,
    /// What they are called, where there are several.
    pub(crate) unit: &'static str,
}

impl Listing {
    /// Makes a list; a name that begins with `#` is that of a column of numbers.
    pub(crate) fn new(title: &'static str, columns: &[&str], data: Vec<Vec<Value>>) -> Self {
        Self { title, rows: Rows { meta: columns.iter().map(|name| Column::named(name)).collect(), data } }
    }

    /// Returns how many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.rows.data.len()
    }

    /// Writes an aligned table under its heading; nothing where there is no row.
    pub(crate) fn write_section(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        if self.len() == 0 {
            return Ok(());
        }
        writeln!(out, "\n{}", self.title)?;
        table::write_rows(&self.rows, Table::new().width().map(usize::from), out).context("write the table")
    }

    /// Returns the rows as JSON objects.
    pub(super) fn objects(&self) -> Vec<Value> {
        let object = |row: &Vec<Value>| {
            let pairs = self.rows.meta.iter().zip(row);
            Value::Object(pairs.map(|(column, value)| (column.name.clone(), value.clone())).collect::<Map<_, _>>())
        };
        self.rows.data.iter().map(object).collect()
    }

    /// Writes the rows with a header, quoted as RFC 4180 says.
    pub(super) fn write_csv(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let header: Vec<String> = self.rows.meta.iter().map(|column| quoted(&column.name)).collect();
        writeln!(out, "{}", header.join(","))?;
        for row in &self.rows.data {
            let cells: Vec<String> = row.iter().map(csv_cell).collect();
            writeln!(out, "{}", cells.join(","))?;
        }
        Ok(())
    }
}

/// Writes one list to standard output, in the form that is asked for.
pub(super) fn print(listing: &Listing, places: Places, format: Option<ListFormat>) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match chosen(format) {
        ListFormat::Table => {
            table::write_rows(&listing.rows, Table::new().width().map(usize::from), &mut out)
                .context("write the table")?;
            let (shown, Places { total, unit }) = (listing.len() as u64, places);
            let rest = if shown < total { "; --limit 0 shows all" } else { "" };
            writeln!(out, "{shown} of {total} {unit}{rest}")?;
        }
        ListFormat::Json => {
            let answer = json!({ "data": listing.objects(), "total": places.total });
            writeln!(out, "{}", serde_json::to_string_pretty(&answer)?)?;
        }
        ListFormat::Csv => listing.write_csv(&mut out)?,
    }
    Ok(())
}

/// Writes what is known of one thing: a heading and several lists, or the server's own answer, or the first list.
pub(super) fn print_one(
    heading: &str,
    sections: &[Listing],
    answer: &Value,
    format: Option<ListFormat>,
) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match chosen(format) {
        ListFormat::Table => {
            writeln!(out, "{heading}")?;
            sections.iter().try_for_each(|section| section.write_section(&mut out))?;
        }
        ListFormat::Json => writeln!(out, "{}", serde_json::to_string_pretty(answer)?)?,
        ListFormat::Csv => sections.iter().take(1).try_for_each(|section| section.write_csv(&mut out))?,
    }
    Ok(())
}

/// Makes a cell of a number.
pub(crate) fn number(value: u64) -> Value {
    Value::from(value)
}

/// Makes a cell of several words.
pub(crate) fn words<'w>(words: impl IntoIterator<Item = &'w str>) -> Value {
    Value::from(words.into_iter().collect::<Vec<_>>().join(", "))
}

/// Writes a number of bytes as a person reads it.
#[expect(clippy::cast_precision_loss, reason = "two digits are shown to a person; JSON and CSV have the number")]
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let (mut size, mut unit) = (bytes as f64, "B");
    for larger in UNITS {
        if size < 1_024.0 {
            break;
        }
        (size, unit) = (size / 1_024.0, larger);
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{size:.1} {unit}") }
}

fn chosen(format: Option<ListFormat>) -> ListFormat {
    let to_terminal = std::io::stdout().is_terminal();
    format.unwrap_or(if to_terminal { ListFormat::Table } else { ListFormat::Csv })
}

fn csv_cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => quoted(text),
        other => quoted(&other.to_string()),
    }
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_the_same_in_every_form() {
        let rows = vec![
            vec![Value::from("a,\"b\""), number(3), words(["x", "y"])],
            vec![Value::from("line\nbreak"), number(0), Value::Null],
        ];
        let listing = Listing::new("Keys", &["key", "#count", "words"], rows);
        let mut csv = Vec::new();
        listing.write_csv(&mut csv).expect("a Vec takes everything");
        assert_eq!(String::from_utf8_lossy(&csv), "key,count,words\n\"a,\"\"b\"\"\",3,\"x, y\"\n\"line\nbreak\",0,\n");
        assert_eq!(listing.objects()[0], json!({ "key": "a,\"b\"", "count": 3, "words": "x, y" }));
    }

    #[test]
    fn bytes_have_the_unit_that_a_person_reads() {
        let told = [0, 1_023, 1_024, 1_536, 5 << 30].map(bytes);
        assert_eq!(told, ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "5.0 GiB"]);
    }
}
