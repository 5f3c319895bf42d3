use anyhow::Result;
use comfy_table::{CellAlignment, Table};
use serde_json::{Map, Value, json};

/// One measured line: its name, and its numbers under their column names.
#[derive(Debug)]
pub(crate) struct Line {
    /// Lines of one kind share a table.
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    pub(crate) numbers: Vec<(&'static str, f64)>,
}

/// All lines of a run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    lines: Vec<Line>,
    failures: Vec<(String, String)>,
}

impl Report {
    pub(crate) fn extend(&mut self, lines: Vec<Line>) {
        for line in &lines {
            eprintln!("  {}", line.text());
        }
        self.lines.extend(lines);
    }

    pub(crate) fn fail(&mut self, name: &str, error: &anyhow::Error) {
        eprintln!("  failed: {error:#}");
        self.failures.push((name.to_owned(), format!("{error:#}")));
    }

    /// Prints one Markdown table for each kind of line.
    pub(crate) fn print(&self) {
        let mut kinds: Vec<_> = self.lines.iter().map(|line| line.kind).collect();
        kinds.dedup();
        for kind in kinds {
            println!("\n{}", self.table(kind));
        }
        for (name, error) in &self.failures {
            println!("\n{name} failed: {error}");
        }
    }

    pub(crate) fn json(&self) -> Result<String> {
        let line = |line: &Line| {
            let numbers: Map<_, _> =
                line.numbers.iter().map(|(name, n)| ((*name).to_owned(), Value::from(*n))).collect();
            json!({ "kind": line.kind, "name": line.name, "numbers": numbers })
        };
        let failure = |(name, error): &(String, String)| json!({ "name": name, "error": error });
        let lines: Vec<_> = self.lines.iter().map(line).collect();
        let failures: Vec<_> = self.failures.iter().map(failure).collect();
        Ok(serde_json::to_string_pretty(&json!({ "lines": lines, "failures": failures }))?)
    }

    fn table(&self, kind: &str) -> Table {
        let mut table = Table::new();
        table.load_style(comfy_table::presets::ASCII_MARKDOWN);
        for line in self.lines.iter().filter(|line| line.kind == kind) {
            table.set_header([kind].into_iter().chain(line.numbers.iter().map(|(name, _)| *name)));
            table.add_row([line.name.clone()].into_iter().chain(line.numbers.iter().map(|(_, number)| short(*number))));
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }
}

impl Line {
    fn text(&self) -> String {
        let numbers = self.numbers.iter().map(|(name, number)| format!("{name} {}", short(*number)));
        format!("{}: {}", self.name, numbers.collect::<Vec<_>>().join(", "))
    }
}

/// Three digits that matter.
fn short(number: f64) -> String {
    match number.abs() {
        n if n >= 10_000.0 => format!("{:.0} k", number / 1_000.0),
        n if n >= 100.0 => format!("{number:.0}"),
        n if n >= 10.0 => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}
