use std::collections::BTreeSet;

use anyhow::{Result, bail};
use serde::Serialize;
use sqlx::Row as _;
use tidegate_model::{FieldType, Scalar};
use tidegate_postgres::Cell;

use super::link::{Link, name};
use super::map::Map;
use super::table::{SourceColumn, Table};
use super::types::taken_as;
use crate::migrate::server;

/// Names that columns of datasets cannot have begin with it.
const OURS: char = '_';

/// The version of a row; the first one of its key has 0.
pub(super) const VERSION: &str = "row_version";

/// Whether the row is deleted from this version on.
pub(super) const DELETED: &str = "row_deleted";

/// Tables of so many bytes are counted, and looked at for values that do not fit; of larger ones a sample is.
const WHOLE_BYTES_MAX: u64 = 1 << 30;

/// Rows that a plan looks at of a larger table, at the most, in percent.
const SAMPLE_PERCENT: u32 = 1;

/// Rows a second that the estimate of time supposes, where nothing was measured.
const ROWS_PER_SECOND: u64 = 100_000;

/// What would be taken.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Plan {
    table: String,
    pub(super) rows: u64,
    /// They were counted, and not estimated.
    is_counted: bool,
    pub(super) bytes: u64,
    blocks: u64,
    partitions: usize,
    key: Vec<String>,
    pub(super) time_column: Option<String>,
    seconds_estimated: u64,
    pub(super) columns: Vec<PlannedColumn>,
    /// Rows that will be refused, by column and reason.
    refused: Vec<String>,
    problems: Vec<String>,
}

/// What becomes of a column.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PlannedColumn {
    column: String,
    /// Its name in the dataset; none: it is left out.
    pub(super) name: Option<String>,
    #[serde(rename = "type")]
    kind: String,
    pub(super) becomes: Option<FieldType>,
    note: Option<String>,
}

impl Plan {
    pub(super) async fn of(
        link: &mut Link,
        table: &Table,
        (map, time): (&Map, Option<&String>),
        target: Option<&server::Table>,
    ) -> Result<Self> {
        let mut problems = Vec::new();
        let columns: Vec<_> = table.columns.iter().map(|column| planned(column, map, target, &mut problems)).collect();
        let mut names = BTreeSet::from([VERSION, DELETED]);
        for own in columns.iter().filter_map(|column| column.name.as_deref()) {
            if !names.insert(own) {
                problems.push(format!("two columns would be called `{own}`: give one another name with --rename"));
            }
        }
        for lacking in map.named().filter(|named| !table.columns.iter().any(|column| column.column == **named)) {
            problems.push(format!("the table has no column `{lacking}`"));
        }
        for key in table.key.iter().filter(|key| map.name_of(key).is_none()) {
            problems.push(format!("`{key}` is of the key, and cannot be left out"));
        }
        let time = time_column(table, (map, target), time, &mut problems);
        let (rows, is_counted, refused) = looked_at(link, table, (map, time)).await?;
        let time_column = time.and_then(|column| map.name_of(&column.column)).map(str::to_owned);
        Ok(Self {
            table: table.name.clone(),
            rows,
            is_counted,
            bytes: table.bytes,
            blocks: table.leaves.iter().map(|leaf| leaf.blocks).sum(),
            partitions: table.leaves.len(),
            key: table.key.clone(),
            time_column,
            seconds_estimated: rows.div_ceil(ROWS_PER_SECOND),
            columns,
            refused,
            problems,
        })
    }

    pub(super) fn print(&self) {
        let word = if self.is_counted { "" } else { "about " };
        println!(
            "{}: {word}{} rows, {} MiB in {} blocks of {} tables; about {} s at {ROWS_PER_SECOND} rows/s",
            self.table,
            self.rows,
            self.bytes >> 20,
            self.blocks,
            self.partitions,
            self.seconds_estimated
        );
        println!("  key: {}; time: {}", self.key.join(", "), self.time_column.as_deref().unwrap_or("none"));
        for column in &self.columns {
            let becomes = column.becomes.map(|kind| kind.to_string());
            let renamed = column.name.as_ref().filter(|own| **own != column.column);
            let renamed = renamed.map(|own| format!(" as `{own}`")).unwrap_or_default();
            let note = column.note.as_ref().map(|note| format!(" ({note})")).unwrap_or_default();
            println!(
                "  {}: {} → {}{renamed}{note}",
                column.column,
                column.kind,
                becomes.as_deref().unwrap_or("nothing")
            );
        }
        self.refused.iter().for_each(|line| println!("  will be refused: {line}"));
        self.problems.iter().for_each(|problem| println!("  does not fit: {problem}"));
    }

    pub(super) fn check(&self) -> Result<()> {
        if self.problems.is_empty() {
            return Ok(());
        }
        bail!("the table cannot be taken as it is; nothing was sent\n  {}", self.problems.join("\n  "))
    }
}

fn planned(
    column: &SourceColumn,
    map: &Map,
    target: Option<&server::Table>,
    problems: &mut Vec<String>,
) -> PlannedColumn {
    let (told, kind) = (column.column.clone(), column.told.clone());
    let Some(own) = map.name_of(&column.column) else {
        return PlannedColumn { column: told, name: None, kind, becomes: None, note: Some("left out".to_owned()) };
    };
    if own.starts_with(OURS) || own.contains(['"', '\'', '`', '\\']) || own.is_empty() {
        problems.push(format!("a column cannot be called `{own}`: give it another name with --rename '{told}'=…"));
    }
    let becomes = column.becomes(map);
    if let Err(error) = taken_as(&column.offer, becomes) {
        problems.push(format!("`{told}` cannot be {becomes}: {error}"));
    }
    let offer = map.offer(&column.column, &column.offer);
    let there = target.and_then(|table| table.fields.iter().find(|field| field.name == own));
    // A keyword holds any text, and UUIDs come as texts.
    let takes_text =
        |field: &server::Field| field.kind == "keyword" && ["string", "uuid"].contains(&becomes.to_string().as_str());
    if let Some(there) = there.filter(|field| field.kind.parse() != Ok(becomes) && !takes_text(field)) {
        problems.push(format!("`{own}` of the dataset is {}, and `{told}` would be {becomes}", there.kind));
    }
    PlannedColumn { column: told, name: Some(own.to_owned()), kind, becomes: Some(becomes), note: offer.note }
}

/// Returns the source's column with the rows' time: the one that is named, that of the dataset, or the first that every
/// row has. Without any the dataset chooses.
fn time_column<'a>(
    table: &'a Table,
    (map, target): (&'a Map, Option<&server::Table>),
    wanted: Option<&String>,
    problems: &mut Vec<String>,
) -> Option<&'a SourceColumn> {
    let is_time = |column: &SourceColumn| column.is_time() && column.becomes(map) == FieldType::One(Scalar::Timestamp);
    let mut times = table.taken(map).into_iter().filter(|(column, _)| is_time(column));
    if let Some(there) = target.and_then(|table| table.time_column.as_ref()) {
        let found = times.find(|(_, own)| own == there);
        if found.is_none_or(|(column, _)| wanted.is_some_and(|wanted| *wanted != column.column)) {
            problems
                .push(format!("the time of the dataset's rows is `{there}`, and must come from a column with a time"));
        }
        return found.map(|(column, _)| column);
    }
    match wanted {
        Some(wanted) => {
            let found = times.find(|(column, _)| column.column == *wanted);
            if found.is_none() {
                problems.push(format!("`{wanted}` is no column with a time that is taken"));
            }
            found.map(|(column, _)| column)
        }
        None => times.find(|(column, _)| column.is_required).map(|(column, _)| column),
    }
}

/// Counts rows, and those that do not fit.
async fn looked_at(
    link: &mut Link,
    table: &Table,
    (map, time): (&Map, Option<&SourceColumn>),
) -> Result<(u64, bool, Vec<String>)> {
    let is_whole = table.bytes <= WHOLE_BYTES_MAX;
    let mut asked = vec!["count(*)::int8 AS rows".to_owned()];
    let mut told = Vec::new();
    for (column, _) in table.taken(map) {
        let Some((condition, why)) = unfit(column.becomes(map), column.offer.cell, &name(&column.column)) else {
            continue;
        };
        asked.push(format!("(count(*) FILTER (WHERE {condition}))::int8 AS c{}", told.len()));
        told.push(format!("`{}`: {why}", column.column));
    }
    if let Some(time) = time {
        asked.push(format!("(count(*) FILTER (WHERE {} IS NULL))::int8 AS c{}", name(&time.column), told.len()));
        told.push(format!("`{}`: no time, which every row needs", time.column));
    }
    let sample = if is_whole { String::new() } else { format!(" TABLESAMPLE SYSTEM ({SAMPLE_PERCENT})") };
    let rows = link.rows(&format!("SELECT {} FROM {}{sample}", asked.join(", "), table.name)).await?;
    let Some(row) = rows.first() else { return Ok((table.rows_estimated, false, Vec::new())) };
    let number = |column: &str| row.try_get::<i64, _>(column).map(|number| u64::try_from(number).unwrap_or(0));
    let mut refused = Vec::new();
    for (at, why) in told.into_iter().enumerate() {
        let rows = number(&format!("c{at}"))?;
        if rows > 0 {
            let of = if is_whole { String::new() } else { format!(" of the {SAMPLE_PERCENT} % that was looked at") };
            refused.push(format!("{rows} rows{of}, {why}"));
        }
    }
    let rows = if is_whole { number("rows")? } else { table.rows_estimated };
    Ok((rows, is_whole, refused))
}

/// Returns PostgreSQL's condition of values that a dataset cannot hold.
fn unfit(becomes: FieldType, cell: Cell, own: &str) -> Option<(String, &'static str)> {
    let FieldType::One(scalar) = becomes else {
        return Some((format!("array_ndims({own}) > 1"), "lists of lists"));
    };
    Some(match scalar {
        Scalar::Timestamp => (
            format!("NOT isfinite({own}) OR {own} < '1677-09-22' OR {own} > '2262-04-11'"),
            "times that are infinite, before 1677-09-22 or after 2262-04-11",
        ),
        Scalar::Date => (
            format!("NOT isfinite({own}) OR {own} < '1900-01-01' OR {own} > '2299-12-31'"),
            "dates that are infinite, before 1900 or after 2299",
        ),
        Scalar::Decimal { .. } if matches!(cell, Cell::Numeric { .. }) => (format!("{own} = 'NaN'"), "NaN"),
        _ => return None,
    })
}
