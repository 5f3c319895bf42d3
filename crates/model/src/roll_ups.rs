//! Roll-ups by time: what rows of a table come to in each minute or hour, kept by materialized views of ClickHouse.
//!
//! Rules that all of them share:
//! - A row has one rule of merging for each column that is no key, so that it may merge with others of its keys at any
//!   moment, and nothing that is read depends on whether it has.
//! - `_first` and `_last` are the least and the greatest `_seq` of the rows in it: a reader can tell which of them are
//!   above the stored watermark.
//! - A mean is a sum and a count. There is no quantile: none can be merged exactly.
//! - They have the partitions of their table, and their rows go with its rows.

use crate::{TableName, tables};

/// The first letters of the names of all of them.
pub const ROLL_UP_PREFIX: &str = "roll_up_";

/// The length of a roll-up's buckets of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grain {
    /// Sixty seconds.
    Minute,
    /// Sixty minutes.
    Hour,
}

impl Grain {
    /// Returns it in nanoseconds.
    #[must_use]
    pub const fn nanos(self) -> i64 {
        match self {
            Self::Minute => 60_000_000_000,
            Self::Hour => 3_600_000_000_000,
        }
    }

    /// Returns the column with the beginning of a bucket.
    #[must_use]
    pub const fn column(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
        }
    }
}

/// How a column of a roll-up merges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Added.
    Sum,
    /// The least.
    Min,
    /// The greatest.
    Max,
}

impl Rule {
    /// Returns ClickHouse's function.
    #[must_use]
    pub const fn function(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Min => "min",
            Self::Max => "max",
        }
    }
}

/// A column of a roll-up by which rows are told apart.
#[derive(Debug, Clone, Copy)]
pub struct RollUpKey {
    /// Its name.
    pub name: &'static str,
    /// Its type in ClickHouse.
    pub kind: &'static str,
    /// What it is of a row of the table.
    pub of_row: &'static str,
}

/// A column of a roll-up that sums rows up.
#[derive(Debug, Clone, Copy)]
pub struct RollUpSum {
    /// Its name.
    pub name: &'static str,
    /// How it merges.
    pub rule: Rule,
    /// Its type in ClickHouse.
    pub kind: &'static str,
    /// What it is of rows of the table, in SQL.
    pub of_rows: &'static str,
}

/// The roll-ups of one table, finest first: each but the first is made of the one before it.
#[derive(Debug)]
pub struct RollUps {
    /// What they are called after.
    name: &'static str,
    /// The table.
    pub of: fn() -> &'static TableName,
    /// The lengths of their buckets.
    pub grains: &'static [Grain],
    /// What tells rows apart, beside time.
    pub keys: &'static [RollUpKey],
    /// Whether time comes before the keys in the order of rows, or behind the first of them.
    pub time_first: bool,
    /// What is kept of rows; the first is how many there are.
    pub sums: &'static [RollUpSum],
    /// Which rows are in it; empty: all.
    pub condition: &'static str,
}

impl RollUps {
    /// Returns the name of the roll-up with buckets of this length.
    #[must_use]
    pub fn table(&self, grain: Grain) -> String {
        format!("{ROLL_UP_PREFIX}{}_by_{}", self.name, grain.column())
    }

    /// Finds the roll-ups of a table.
    #[must_use]
    pub fn find(table: &TableName) -> Option<&'static Self> {
        ROLL_UPS.iter().find(|roll_ups| (roll_ups.of)() == table)
    }
}

/// All roll-ups.
pub static ROLL_UPS: [RollUps; 3] = [
    RollUps {
        name: "logs",
        of: || &tables::LOGS.name,
        grains: &[Grain::Minute, Grain::Hour],
        keys: &[
            key("service_name", WORD),
            // What a level is called is said by whoever reads: these two are what it is made of.
            key("severity_number", "UInt8"),
            key("severity_text", WORD),
        ],
        time_first: true,
        sums: &[RECORDS],
        condition: "",
    },
    RollUps {
        name: "metrics",
        of: || &tables::METRIC_SAMPLES.name,
        grains: &[Grain::Hour],
        keys: &[key("metric_name", WORD), key("service_name", WORD), key("fingerprint", "UInt64")],
        time_first: false,
        sums: &[
            RECORDS,
            sum("total", Rule::Sum, "Float64", "sum(value)"),
            sum("least", Rule::Min, "Float64", "min(value)"),
            sum("greatest", Rule::Max, "Float64", "max(value)"),
        ],
        condition: "value_type != 'none'",
    },
    RollUps {
        name: "spans",
        of: || &tables::SPANS.name,
        grains: &[Grain::Minute, Grain::Hour],
        keys: &[
            key("service_name", WORD),
            key("name", WORD),
            key("kind", WORD),
            key("status_code", WORD),
            // The greatest power of two that a duration reaches, 0 for none: counts of these are its histogram.
            RollUpKey { name: "duration_from", kind: "Int64", of_row: "roundToExp2(duration_ns)" },
        ],
        time_first: true,
        sums: &[
            RECORDS,
            // One span of a broken clock lasts for centuries: 64 bits would not hold many.
            sum("total", Rule::Sum, "Int128", "sum(toInt128(duration_ns))"),
            sum("least", Rule::Min, "Int64", "min(duration_ns)"),
            sum("greatest", Rule::Max, "Int64", "max(duration_ns)"),
        ],
        condition: "",
    },
];

const WORD: &str = "LowCardinality(String)";
const RECORDS: RollUpSum = sum("records", Rule::Sum, "UInt64", "count()");

const fn key(name: &'static str, kind: &'static str) -> RollUpKey {
    RollUpKey { name, kind, of_row: name }
}

const fn sum(name: &'static str, rule: Rule, kind: &'static str, of_rows: &'static str) -> RollUpSum {
    RollUpSum { name, rule, kind, of_rows }
}
