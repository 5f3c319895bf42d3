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

/// What a line must reach, and whether it did.
#[derive(Debug)]
pub(crate) struct Bar {
    /// The line, what it must reach, and what it reached.
    pub(crate) text: String,
    pub(crate) is_met: bool,
}

impl Bar {
    /// Says whether a number is below its limit.
    pub(crate) fn below(name: &str, (what, number): (&str, f64), limit: f64) -> Self {
        Self { text: format!("{name}: {what} < {limit}, it is {}", short(number)), is_met: number < limit }
    }

    /// Says whether a number is at least what it must be.
    pub(crate) fn at_least(name: &str, (what, number): (&str, f64), limit: f64) -> Self {
        Self { text: format!("{name}: {what} >= {limit}, it is {number:.0}"), is_met: number >= limit }
    }

    /// Says whether nothing failed.
    pub(crate) fn no_failures(name: &str, failures: u64, first: Option<&str>) -> Self {
        let told = first.map(|first| format!(", the first: {first}")).unwrap_or_default();
        Self { text: format!("{name}: no failures, there are {failures}{told}"), is_met: failures == 0 }
    }

    fn told(&self) -> String {
        format!("{}: {}", if self.is_met { "pass" } else { "MISS" }, self.text)
    }
}

/// What one measurement gives.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    pub(crate) lines: Vec<Line>,
    pub(crate) bars: Vec<Bar>,
}

impl From<Line> for Measured {
    fn from(line: Line) -> Self {
        Self { lines: vec![line], bars: Vec::new() }
    }
}

/// All lines of a run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    lines: Vec<Line>,
    bars: Vec<Bar>,
    failures: Vec<(String, String)>,
}

impl Report {
    pub(crate) fn extend(&mut self, measured: Measured) {
        let Measured { lines, bars } = measured;
        lines.iter().for_each(|line| eprintln!("  {}", line.text()));
        bars.iter().for_each(|bar| eprintln!("  {}", bar.told()));
        self.lines.extend(lines);
        self.bars.extend(bars);
    }

    pub(crate) fn fail(&mut self, name: &str, error: &anyhow::Error) {
        eprintln!("  failed: {error:#}");
        self.failures.push((name.to_owned(), format!("{error:#}")));
    }

    /// Prints one Markdown table for each kind of line.
    pub(crate) fn print(&self) {
        let mut printed = Vec::new();
        for kind in self.lines.iter().map(|line| line.kind) {
            if !printed.contains(&kind) {
                println!("\n{}", self.table(kind));
                printed.push(kind);
            }
        }
        if !self.bars.is_empty() {
            println!();
        }
        self.bars.iter().for_each(|bar| println!("{}", bar.told()));
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
        let bar = |bar: &Bar| json!({ "bar": bar.text, "met": bar.is_met });
        let bars: Vec<_> = self.bars.iter().map(bar).collect();
        let failure = |(name, error): &(String, String)| json!({ "name": name, "error": error });
        let lines: Vec<_> = self.lines.iter().map(line).collect();
        let failures: Vec<_> = self.failures.iter().map(failure).collect();
        Ok(serde_json::to_string_pretty(&json!({ "lines": lines, "bars": bars, "failures": failures }))?)
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
