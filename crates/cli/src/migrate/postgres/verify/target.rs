use std::collections::{BTreeMap, BTreeSet, HashSet};

use arrow_array::RecordBatch;

use anyhow::{Context, Result};
use serde_json::Value;
use tidegate_model::UnixNanos;

use crate::migrate::compare::form::{Form, identifier};
use crate::migrate::compare::text_of;
use crate::migrate::postgres::Moving;
use crate::migrate::postgres::plan::{DELETED, VERSION};
use crate::migrate::server::{Server, Table};

/// Ranges of hashes of keys: of a million rows each has fifteen.
pub(super) const RANGES: usize = 1 << 16;

/// The bits of a hash behind those that tell its range.
const RANGE_SHIFT: u32 = 48;

const NANOS_OF_DAY: i64 = 86_400_000_000_000;

/// How rows of both sides are compared.
#[derive(Debug)]
pub(in crate::migrate::postgres) struct Shape {
    /// The columns that came from the source.
    pub(super) whole: Form,
    pub(super) key: Form,
    /// The target's condition of the latest version of each key.
    pub(super) latest: String,
    /// Rows that are no part of the comparison.
    pub(super) apart: Apart,
}

/// What leaves rows out that only one side is to have, as further conditions of either.
#[derive(Debug, Default)]
pub(super) struct Apart {
    pub(super) source: String,
    pub(super) target: String,
}

/// What one range is on one side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) rows: u64,
    pub(super) hash: u64,
}

/// A row of the target.
#[derive(Debug)]
pub(super) struct Theirs {
    pub(super) key: u64,
    pub(super) hash: u64,
    pub(super) row: Value,
}

impl Shape {
    pub(in crate::migrate::postgres) fn of(table: &Table, moving: &Moving) -> Result<Self> {
        let map = &moving.origin.map;
        let own: BTreeSet<&str> = moving.table.taken(map).into_iter().map(|(_, name)| name).collect();
        let key: BTreeSet<&str> = moving.origin.key.iter().filter_map(|key| map.name_of(key)).collect();
        let only = |names: &BTreeSet<&str>| {
            let fields = table.fields.iter().filter(|field| names.contains(field.name.as_str())).cloned().collect();
            Form::of(&Table { fields, ..table.clone() })
        };
        let (whole, key) = (only(&own)?, only(&key)?);
        let latest = latest(&key);
        Ok(Self { whole, key, latest, apart: Apart::default() })
    }

    /// Returns the hashes of the keys of rows, and the place of each of these rows: those that the target would refuse have none.
    pub(in crate::migrate::postgres) fn keys_of(&self, rows: &RecordBatch) -> Result<(Vec<u64>, Vec<u64>)> {
        let turned = self.whole.turned(rows)?;
        Ok((self.keys(&turned.rows)?, turned.places))
    }

    /// Returns the hashes of the keys of rows that are as the target has them.
    pub(super) fn keys(&self, rows: &RecordBatch) -> Result<Vec<u64>> {
        let names = self.key.columns.iter().map(|(column, _)| rows.schema().index_of(&column.name));
        self.key.hashes(&rows.project(&names.collect::<Result<Vec<_>, _>>()?)?)
    }

    fn from(&self) -> String {
        format!("FROM `{}` WHERE {}{}", self.whole.table, self.latest, self.apart.target)
    }
}

pub(super) const fn range_of(key: u64) -> usize {
    (key >> RANGE_SHIFT) as usize
}

/// Only keys with further versions are looked up, and not all.
fn latest(key: &Form) -> String {
    let names = key.columns.iter().map(|(column, _)| identifier(&column.name)).collect::<Vec<_>>().join(", ");
    let (table, version) = (&key.table, identifier(VERSION));
    format!(
        "NOT ifNull({deleted}, false) AND ((ifNull({version}, 0) = 0 AND ({names}) NOT IN \
             (SELECT {names} FROM `{table}` WHERE {version} > 0)) \
         OR ({version} > 0 AND ({names}, {version}) IN \
             (SELECT {names}, max({version}) FROM `{table}` WHERE {version} > 0 GROUP BY {names})))",
        deleted = identifier(DELETED),
    )
}

/// Asks which versions there are of keys, by their hashes.
pub(in crate::migrate::postgres) async fn versions_of(
    server: &Server,
    shape: &Shape,
    keys: &[u64],
) -> Result<HashSet<(u64, u64)>> {
    if keys.is_empty() {
        return Ok(HashSet::new());
    }
    let wanted = keys.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
    let sql = format!(
        "SELECT toString({hash}) AS _key_hash, toString(ifNull({}, 0)) AS _version FROM `{}` WHERE {hash} IN ({wanted})",
        identifier(VERSION),
        shape.whole.table,
        hash = shape.key.hash(),
    );
    server.rows(&sql).await?.iter().map(|row| Ok((number(row, "_key_hash")?, number(row, "_version")?))).collect()
}

fn number(row: &Value, name: &str) -> Result<u64> {
    text_of(&row[name]).parse().with_context(|| format!("the server's `{name}` cannot be read"))
}

// A column of the table must not be called as what is asked for: ClickHouse would take the one for the other. Names of a
// dataset's columns do not begin with `_`.

/// Asks for the count and sum of every range.
pub(super) async fn sums(server: &Server, shape: &Shape) -> Result<Vec<Sum>> {
    let sql = format!(
        "SELECT toString(bitShiftRight({}, {RANGE_SHIFT})) AS _range, toString(count()) AS _rows, toString(sum({})) AS _sum {} GROUP BY _range",
        shape.key.hash(),
        shape.whole.hash(),
        shape.from(),
    );
    let mut sums = vec![Sum::default(); RANGES];
    for row in server.rows(&sql).await? {
        let range = usize::try_from(number(&row, "_range")?)?;
        let sum = sums.get_mut(range).context("the server tells of a range that is none")?;
        *sum = Sum { rows: number(&row, "_rows")?, hash: number(&row, "_sum")? };
    }
    Ok(sums)
}

/// Asks for the rows of ranges.
pub(super) async fn of_ranges(
    server: &Server,
    shape: &Shape,
    ranges: impl Iterator<Item = usize>,
) -> Result<Vec<Theirs>> {
    let wanted = ranges.map(|range| range.to_string()).collect::<Vec<_>>().join(", ");
    rows(server, shape, &format!("bitShiftRight({}, {RANGE_SHIFT}) IN ({wanted})", shape.key.hash())).await
}

/// Asks for the rows of keys, by their hashes.
pub(super) async fn of_keys(server: &Server, shape: &Shape, keys: impl Iterator<Item = u64>) -> Result<Vec<Theirs>> {
    let wanted = keys.map(|key| key.to_string()).collect::<Vec<_>>();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    rows(server, shape, &format!("{} IN ({})", shape.key.hash(), wanted.join(", "))).await
}

async fn rows(server: &Server, shape: &Shape, condition: &str) -> Result<Vec<Theirs>> {
    let sql = format!(
        "SELECT toString({}) AS _key_hash, toString({}) AS _row_hash, {} AS _shown {} AND {condition}",
        shape.key.hash(),
        shape.whole.hash(),
        shape.whole.shown(),
        shape.from(),
    );
    let theirs = |row: &Value| {
        let shown = row["_shown"].as_str().context("the server's rows cannot be read")?;
        let row_shown = serde_json::from_str(shown).context("read a row of the server")?;
        Ok(Theirs { key: number(row, "_key_hash")?, hash: number(row, "_row_hash")?, row: row_shown })
    };
    server.rows(&sql).await?.iter().map(theirs).collect()
}

/// Counts versions of rows that are there more than once.
pub(super) async fn twice(server: &Server, shape: &Shape) -> Result<u64> {
    let names = shape.key.columns.iter().map(|(column, _)| identifier(&column.name)).collect::<Vec<_>>().join(", ");
    let sql = format!(
        "SELECT toString(count() - uniqExact(xxh3(formatRow('RowBinary', {names}, ifNull({}, 0))))) AS _twice FROM `{}`",
        identifier(VERSION),
        shape.whole.table
    );
    let rows = server.rows(&sql).await?;
    number(rows.first().context("the server does not count its rows")?, "_twice")
}

/// Compares rows by day; returns how many days there are, and which differ.
pub(super) async fn days(server: &Server, shape: &Shape, there: &BTreeMap<i64, u64>) -> Result<(usize, Vec<String>)> {
    let Some(time) =
        shape.whole.time_column.as_ref().filter(|time| shape.whole.columns.iter().any(|(own, _)| own.name == **time))
    else {
        return Ok((0, Vec::new()));
    };
    let nanos = format!("toUnixTimestamp64Nano({})", identifier(time));
    let sql = format!(
        "SELECT toString(intDiv({nanos} - if({nanos} < 0, {NANOS_OF_DAY} - 1, 0), {NANOS_OF_DAY})) AS _day, \
             toString(count()) AS _rows {} GROUP BY _day",
        shape.from()
    );
    let mut here: BTreeMap<i64, u64> = BTreeMap::new();
    for row in server.rows(&sql).await? {
        here.insert(text_of(&row["_day"]).parse().context("the server's days cannot be read")?, number(&row, "_rows")?);
    }
    let all: BTreeSet<i64> = there.keys().chain(here.keys()).copied().collect();
    let differ = all.iter().filter_map(|day| {
        let (there, here) = (there.get(day).copied().unwrap_or(0), here.get(day).copied().unwrap_or(0));
        let date = UnixNanos(day.saturating_mul(NANOS_OF_DAY)).to_string();
        let date = date.split('T').next().unwrap_or_default().to_owned();
        (there != here).then(|| format!("rows of {date}: {there} there, {here} here"))
    });
    Ok((all.len(), differ.collect()))
}

pub(super) fn day_of(nanos: i64) -> i64 {
    nanos.div_euclid(NANOS_OF_DAY)
}
