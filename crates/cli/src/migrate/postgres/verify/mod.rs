//! Source and target compared: every row of the source in one snapshot, and the latest version of every key of the target.
//!
//! A row has two hashes, which PostgreSQL's rows get here and ClickHouse computes of its own by the same definition: one of
//! its key, one of all of its columns. The first sorts rows into ranges, and of a range each side has a count and a sum.
//! Of ranges that differ, the rows are compared one by one.
//!
//! | file | holds |
//! |---|---|
//! | `source.rs` | the source's rows, hashed |
//! | `target.rs` | what is asked of the target |
//! | `rows.rs` | rows that differ, by their values |
//! | `json.rs` | JSON that is written otherwise and has the same value |

mod json;
mod rows;
mod source;
mod target;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use reqwest::Method;
use serde::Serialize;
use serde_json::json;
use tidegate_model::limits::DIFFERENCES_LISTED_MAX;
use tidegate_traces::Uuid;

use super::link::name;
use super::report::{Signing, write};
use super::spans::is_spans;
use super::{Moving, follow};
use crate::migrate::Told;
use rows::Difference;
use source::{Tally, Wanted};
use target::{Apart, RANGES, Sum};
pub(super) use target::{Shape, versions_of};

/// The column with the project of a span.
const PROJECT: &str = "project_id";

/// Rows of ranges that differ, which are compared one by one.
const ROWS_COMPARED_MAX: u64 = 200_000;

/// Ranges that differ, of which the rows are compared.
const RANGES_COMPARED_MAX: usize = 2_000;

/// Rows that are compared value by value whatever their hashes say.
const SPOT_CHECKS: u64 = 100;

/// Rows that are under way when they are compared are looked at again: so often, and after so long.
const LOOKS: u32 = 5;
const LOOK_PAUSE: Duration = Duration::from_secs(1);

/// PostgreSQL may go away in the middle: then the snapshot is gone too, and all is read again.
const TRIES: u32 = 4;

/// What a comparison came to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Comparison {
    equal: bool,
    migration: String,
    /// The newest row of the target when it began.
    head: u64,
    /// Blocks that were planned; all of the source was read.
    rows: u64,
    source_rows: u64,
    target_rows: u64,
    /// Rows of the source that a dataset cannot hold.
    rejected: u64,
    /// Changes that are not here yet.
    lag: u64,
    ranges: u64,
    ranges_differ: u64,
    /// Ranges that differ and whose rows were not compared one by one: there were too many.
    ranges_left: u64,
    rows_differ: u64,
    only_source: u64,
    only_target: u64,
    values_differ: u64,
    /// Rows whose JSON is written otherwise and has the same value.
    json_written_otherwise: u64,
    spot_checks: u64,
    spot_checks_differ: u64,
    days: usize,
    days_differ: Vec<String>,
    /// The first of them.
    differences: Vec<Difference>,
    problems: Vec<String>,
    rows_per_second: u64,
}

/// What rows came to that were compared one by one.
#[derive(Debug, Default)]
struct Found {
    differences: BTreeMap<u64, Difference>,
    json_written_otherwise: u64,
    left: u64,
}

/// Compares, tells the server, and ends with an error if anything differs.
pub(crate) async fn run(told: &Told, moving: &mut Moving, (workers, signing): (usize, &Signing)) -> Result<Comparison> {
    let mut tries = 0;
    let comparison = loop {
        tries += 1;
        match compare(told, moving, workers).await {
            Err(error) if tries < TRIES && super::link::is_away(&error) => {
                eprintln!("PostgreSQL went away: comparing from the beginning ({error})");
            }
            outcome => break outcome?,
        }
    };
    let body =
        json!({ "equal": comparison.equal, "head": comparison.head, "rows": comparison.rows, "report": comparison });
    let path = format!("/admin/migrations/{}/validation", moving.migration.id);
    told.server.ask(Method::PUT, &path, Some(&body)).await?;
    write(signing, &comparison)?;
    Ok(comparison)
}

async fn compare(told: &Told, moving: &mut Moving, workers: usize) -> Result<Comparison> {
    let migration = told.server.again(&moving.migration).await?;
    let table = told.server.table(&migration.dataset, &migration.table_name).await?;
    let table = table.with_context(|| format!("the dataset `{}` has no table yet", migration.dataset))?;
    let apart = apart(told, moving).await?;
    let shape = Arc::new(Shape { apart, ..Shape::of(&table, moving)? });
    let began = Instant::now();
    let (there, here) = tokio::join!(
        source::read(moving, &shape, (workers, Wanted::All { spots: SPOT_CHECKS })),
        target::sums(&told.server, &shape)
    );
    let (there, here) = (there?, here?);
    let differ: Vec<usize> = (0..RANGES).filter(|range| there.sums[*range] != here[*range]).collect();
    let read = there.rows + here.iter().map(|sum| sum.rows).sum::<u64>();
    let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
    let mut problems = Vec::new();
    let found = one_by_one(told, moving, &shape, (workers, &differ, &there, &here)).await?;
    let (spot_checks, spots_differ) = rows::spots(&told.server, &shape, &there.kept).await?;
    let (days, days_differ) = target::days(&told.server, &shape, &there.days).await?;
    if migration.seen < migration.rows {
        problems.push(format!("{} of {} blocks are not taken yet", migration.rows - migration.seen, migration.rows));
    }
    let lag = follow::lag(moving).await?;
    if lag.changes > 0 {
        problems.push(format!("{} changes are not here yet, the oldest {} s old", lag.changes, lag.seconds));
    }
    let twice = target::twice(&told.server, &shape).await?;
    if twice > 0 {
        problems.push(format!("{twice} versions of rows are in the target more than once"));
    }
    // Rows that were under way are equal by now, and so is a range that only they made differ.
    let rows_differ = found.differences.len() as u64;
    let count = |test: fn(&Difference) -> bool| found.differences.values().filter(|one| test(one)).count() as u64;
    let is_equal = rows_differ == 0 && found.left == 0 && spots_differ == 0 && problems.is_empty();
    let is_still = lag.changes == 0 && differ.is_empty();
    Ok(Comparison {
        equal: is_equal && (days_differ.is_empty() || !is_still),
        migration: migration.id.clone(),
        head: migration.head,
        rows: migration.rows,
        source_rows: there.rows,
        target_rows: here.iter().map(|sum| sum.rows).sum(),
        rejected: there.rejected,
        lag: lag.changes,
        ranges: RANGES as u64,
        ranges_differ: differ.len() as u64,
        ranges_left: found.left,
        rows_differ,
        only_source: count(Difference::is_only_source),
        only_target: count(Difference::is_only_target),
        values_differ: count(Difference::is_of_values),
        json_written_otherwise: found.json_written_otherwise,
        spot_checks,
        spot_checks_differ: spots_differ,
        days,
        days_differ,
        differences: found.differences.into_values().take(DIFFERENCES_LISTED_MAX).collect(),
        problems,
        rows_per_second: (read / 2).saturating_mul(1_000) / millis,
    })
}

/// Leaves out spans of projects that are in ClickHouse alone by now: PostgreSQL does not know what came since.
async fn apart(told: &Told, moving: &Moving) -> Result<Apart> {
    if !is_spans(&moving.migration.dataset) {
        return Ok(Apart::default());
    }
    let taken = moving.table.taken(&moving.origin.map);
    let Some((column, _)) = taken.into_iter().find(|(_, own)| *own == PROJECT) else { return Ok(Apart::default()) };
    let modes = told.server.ask(Method::GET, "/tracing/modes", None).await?;
    let alone = modes["modes"].as_array().into_iter().flatten().filter(|own| own["mode"] == "clickhouse");
    let ids = alone.map(|own| Uuid::read(own["project_id"].as_str().unwrap_or_default(), PROJECT));
    let ids: Vec<String> = ids.map(|id| Ok(format!("'{}'", id?))).collect::<Result<_, tidegate_traces::Invalid>>()?;
    if ids.is_empty() {
        return Ok(Apart::default());
    }
    let ids = ids.join(", ");
    Ok(Apart {
        source: format!(" AND r.{}::text NOT IN ({ids})", name(&column.column)),
        target: format!(" AND toString(`{PROJECT}`) NOT IN ({ids})"),
    })
}

/// Compares the rows of ranges that differ. What was under way is equal when it is looked at again.
async fn one_by_one(
    told: &Told,
    moving: &mut Moving,
    shape: &Arc<Shape>,
    (workers, differ, there, here): (usize, &[usize], &Tally, &[Sum]),
) -> Result<Found> {
    if differ.is_empty() {
        return Ok(Found::default());
    }
    let (mut ranges, mut rows) = (HashSet::new(), 0);
    for range in differ.iter().take(RANGES_COMPARED_MAX) {
        rows += there.sums[*range].rows + here[*range].rows;
        if rows > ROWS_COMPARED_MAX && !ranges.is_empty() {
            break;
        }
        ranges.insert(*range);
    }
    let left = (differ.len() - ranges.len()) as u64;
    let mut found: Option<Found> = None;
    for look in 1..=LOOKS {
        let tally = source::read(moving, shape, (workers, Wanted::Of(ranges.clone()))).await?;
        let mut now = rows::compare(&told.server, shape, &tally.kept, &ranges).await?;
        now.left = left;
        if let Some(before) = &found {
            now.differences.retain(|key, _| before.differences.contains_key(key));
        }
        let is_over = now.differences.is_empty() || !moving.origin.is_followed();
        found = Some(now);
        if is_over || look == LOOKS {
            break;
        }
        tokio::time::sleep(LOOK_PAUSE).await;
    }
    Ok(found.unwrap_or_default())
}

impl Comparison {
    pub(crate) fn print(&self, json: bool) -> Result<()> {
        if json {
            println!("{}", serde_json::to_string_pretty(self)?);
            return Ok(());
        }
        println!(
            "{} rows there, {} rows here, in {} ranges: {} ranges differ, in {} rows; {} rows/s",
            self.source_rows, self.target_rows, self.ranges, self.ranges_differ, self.rows_differ, self.rows_per_second
        );
        println!(
            "{} rows only there, {} only here, {} with other values; {} rows were refused",
            self.only_source, self.only_target, self.values_differ, self.rejected
        );
        println!(
            "{} rows were compared value by value, {} differ; {} days",
            self.spot_checks, self.spot_checks_differ, self.days
        );
        self.differences.iter().for_each(|difference| println!("  {difference}"));
        self.days_differ.iter().for_each(|line| println!("  differs: {line}"));
        if self.ranges_left > 0 {
            println!("  {} more ranges differ, and their rows were not compared one by one", self.ranges_left);
        }
        self.problems.iter().for_each(|problem| println!("  {problem}"));
        println!("{}", if self.equal { "both are equal" } else { "they differ" });
        Ok(())
    }

    pub(crate) fn check(&self, accept_rejected: u64) -> Result<()> {
        if !self.equal {
            bail!("source and target differ\n  what differs is listed above, and in `tidegate migrate status --json`");
        }
        if self.rejected > accept_rejected {
            bail!(
                "{} rows of the source were refused, and {accept_rejected} may be: see --accept-rejected",
                self.rejected
            );
        }
        Ok(())
    }
}
