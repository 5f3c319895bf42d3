use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use serde_json::{Map, Value, json};
use tidegate_load::now_unix_nanos;
use tidegate_model::UnixNanos;

use crate::draws::Draws;

/// Rows are of so many quarters of a day: a day's partition has rows that a policy lets go beside rows that it keeps.
const QUARTERS: u64 = 16;
const QUARTER_SECONDS: u64 = 21_600;

/// What a column takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Integer,
    Double,
    Text,
    Flag,
}

/// A column beside `at` and `id`.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) kind: Kind,
    /// What rows have that bring nothing.
    pub(super) default: Option<Value>,
}

/// A row: its columns with a value.
pub(super) type Row = BTreeMap<String, Value>;

/// A dataset as it should be: its columns, and each row that was acknowledged, as often as it was.
#[derive(Debug, Clone, Default)]
pub(super) struct Plain {
    pub(super) columns: BTreeMap<String, Column>,
    pub(super) rows: Vec<Row>,
    /// Rows that were among them, and went for their age.
    pub(super) expired: u64,
    /// Rows that were made, so that each has a number of its own.
    made: u64,
}

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Double => "double",
            Self::Text => "string",
            Self::Flag => "boolean",
        }
    }

    /// Draws a value that such a column takes.
    pub(super) fn value(self, draws: &mut Draws) -> Value {
        match self {
            Self::Integer => json!(draws.below(1_000)),
            // Quarters are exact.
            Self::Double => json!(draws.below(4_000) as f64 / 4.0),
            Self::Text => json!(draws.one_of(&["", "one", "two words", "drei", "it's \"4\""])),
            Self::Flag => json!(draws.one_in(2)),
        }
    }

    /// Returns a value that no such column takes; text takes any.
    fn misfit(self) -> Option<Value> {
        match self {
            Self::Integer | Self::Double => Some(json!("no number")),
            Self::Flag => Some(json!(7)),
            Self::Text => None,
        }
    }
}

impl Plain {
    /// Draws rows; the second list says of each whether it fits.
    pub(super) fn draw_rows(&mut self, draws: &mut Draws) -> (Vec<Value>, Vec<bool>) {
        let count = 1 + draws.below(40);
        (0..count).map(|_| self.draw_row(draws)).unzip()
    }

    fn draw_row(&mut self, draws: &mut Draws) -> (Value, bool) {
        self.made += 1;
        // Some rows are the same but for their time, and some times are the same.
        let mut row = Map::new();
        row.insert("at".into(), json!(time_before(draws.below(QUARTERS) * QUARTER_SECONDS + draws.below(1_000))));
        row.insert("id".into(), json!(format!("row {}", self.made - draws.below(self.made.min(3)))));
        let mut fits = true;
        for (name, column) in &self.columns {
            if draws.one_in(3) {
                continue;
            }
            let misfit = column.kind.misfit().filter(|_| draws.one_in(40));
            fits &= misfit.is_none();
            row.insert(name.clone(), misfit.unwrap_or_else(|| column.kind.value(draws)));
        }
        (Value::Object(row), fits)
    }

    /// Takes rows that were acknowledged, as far as they fit.
    pub(super) fn take(&mut self, rows: &[Value], fits: &[bool]) {
        for (row, _) in rows.iter().zip(fits).filter(|(_, fits)| **fits) {
            let mut own: Row =
                row.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())).collect();
            for (name, column) in &self.columns {
                if let Some(default) = &column.default {
                    own.entry(name.clone()).or_insert_with(|| default.clone());
                }
            }
            self.rows.push(own);
        }
    }

    /// Adds a column; with `backfill` rows from before have its default, too.
    pub(super) fn add_column(&mut self, name: String, column: Column, backfill: bool) {
        if let Some(default) = column.default.as_ref().filter(|_| backfill) {
            self.rows.iter_mut().for_each(|row| drop(row.insert(name.clone(), default.clone())));
        }
        self.columns.insert(name, column);
    }

    /// Returns the declared schema of all columns.
    pub(super) fn fields(&self) -> Vec<Value> {
        let own = self.columns.iter().map(|(name, column)| json!({ "name": name, "type": column.kind.name() }));
        let fixed = [json!({ "name": "at", "type": "timestamp" }), json!({ "name": "id", "type": "string" })];
        fixed.into_iter().chain(own).collect()
    }

    /// Returns a column of a kind.
    pub(super) fn column_of(&self, draws: &mut Draws, kind: Kind) -> Option<String> {
        let names: Vec<&String> =
            self.columns.iter().filter(|(_, own)| own.kind == kind).map(|(name, _)| name).collect();
        (!names.is_empty()).then(|| (*draws.one_of(&names)).clone())
    }

    /// Draws an age in hours that a policy allows: between two quarters, so that it does not matter how long a run takes.
    pub(super) fn draw_age(draws: &mut Draws) -> u64 {
        (draws.below(QUARTERS) * QUARTER_SECONDS + QUARTER_SECONDS / 2) / 3_600
    }

    /// Removes the rows from before a time.
    pub(super) fn expire(&mut self, before: &str) {
        self.expire_where(|row| time_of(row) < before);
    }

    /// Removes the rows from before a time where a copy, taken while they went, has none of their day: it must have
    /// all or none of them, and each day's others.
    pub(super) fn expire_as_found(&mut self, before: &str, found: &BTreeMap<String, u64>) -> Result<()> {
        let mut days: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for row in &self.rows {
            let (gone, kept) = days.entry(day_of(row).to_owned()).or_default();
            *(if time_of(row) < before { gone } else { kept }) += 1;
        }
        let foreign = found.keys().find(|day| !days.contains_key(*day));
        ensure!(foreign.is_none(), "rows of {foreign:?}, a day without any");
        for (day, (gone, kept)) in &days {
            let count = found.get(day).copied().unwrap_or(0);
            ensure!(
                count == *kept || count == gone + kept,
                "{count} rows of {day}, neither the {kept} that stay nor all {}",
                gone + kept
            );
        }
        let is_gone = |day: &str| found.get(day).copied().unwrap_or(0) == days[day].1;
        self.expire_where(|row| time_of(row) < before && is_gone(day_of(row)));
        Ok(())
    }

    fn expire_where(&mut self, goes: impl Fn(&Row) -> bool) {
        let before = self.rows.len();
        self.rows.retain(|row| !goes(row));
        self.expired += (before - self.rows.len()) as u64;
    }

    /// Becomes what it was; rows that are made later still have numbers of their own.
    pub(super) fn go_back_to(&mut self, earlier: Self) {
        *self = Self { made: self.made, ..earlier };
    }

    /// Returns its rows as they are compared.
    pub(super) fn compared(&self) -> Vec<String> {
        compared(self.rows.iter().cloned())
    }
}

/// Returns a row's time as it is answered; such texts are ordered as the times are.
pub(super) fn time_of(row: &Row) -> &str {
    row.get("at").and_then(Value::as_str).unwrap_or_default()
}

/// Returns the UTC day of a row's time.
pub(super) fn day_of(row: &Row) -> &str {
    time_of(row).get(..10).unwrap_or_default()
}

/// Returns a time so many seconds ago, as it is answered.
pub(super) fn time_before(seconds: u64) -> String {
    let then = now_unix_nanos() / 1_000_000_000 - seconds;
    UnixNanos(i64::try_from(then).unwrap_or(0) * 1_000_000_000).to_string()
}

/// Puts rows in an order of their own; numbers are compared by value, what is absent is not there.
pub(super) fn compared(rows: impl Iterator<Item = Row>) -> Vec<String> {
    let number = |value: Value| value.as_f64().map_or(value, Value::from);
    let mut all: Vec<String> = rows
        .map(|row| {
            let row = row.into_iter().filter(|(_, value)| !value.is_null());
            json!(row.map(|(name, value)| (name, number(value))).collect::<Row>()).to_string()
        })
        .collect();
    all.sort_unstable();
    all
}
