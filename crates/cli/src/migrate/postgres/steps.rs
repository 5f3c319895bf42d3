use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::json;
use sqlx::Row as _;

use super::backfill::{self, Pace};
use super::link::Link;
use super::verify::{self, Comparison};
use super::{Moving, Signing, address, capture, follow, is_postgres, place_of};
use crate::migrate::Told;
use crate::migrate::server::Migration;

/// How PostgreSQL is read when reads are switched.
const PACE: Pace = Pace { workers: 2, max_load: u32::MAX };

/// How long changes may take to come to an end before writes are frozen.
const LEVEL_WITHIN: Duration = Duration::from_secs(60);

/// What `tidegate migrate release` is told.
#[derive(Debug, Args)]
pub(crate) struct ReleaseArgs {
    /// The table, as schema.name
    #[arg(long, value_name = "TABLE")]
    table: String,
}

/// What a cut-over is told.
#[derive(Debug)]
pub(crate) struct Cutover<'a> {
    pub(crate) freeze_seconds: u64,
    pub(crate) accept_rejected: u64,
    pub(crate) signing: &'a Signing,
}

/// Takes what is left, freezes, takes what came meanwhile, compares, switches.
pub(crate) async fn cut_over(told: &Told, migration: Migration, cutover: &Cutover<'_>) -> Result<Migration> {
    let mut moving = super::moving(told, migration).await?;
    eprintln!("taking what is left, while writes go on");
    backfill::take(told, &mut moving, PACE).await?;
    follow::level(told, &mut moving, LEVEL_WITHIN).await?;
    eprintln!("freezing writes here; nobody may write to PostgreSQL from now on");
    let began = Instant::now();
    let frozen = told.server.step(&moving.migration, "freeze", json!({ "seconds": cutover.freeze_seconds })).await?;
    match switched(told, &mut moving, cutover).await {
        Ok(switched) => {
            eprintln!("reads are switched; writes were frozen for {} ms", began.elapsed().as_millis());
            Ok(switched)
        }
        Err(error) => {
            let thawed = told.server.step(&frozen, "thaw", json!({})).await;
            let word = if thawed.is_ok() { "writes go on" } else { "the freeze ends by itself" };
            Err(error.context(format!("nothing was switched, {word}")))
        }
    }
}

async fn switched(told: &Told, moving: &mut Moving, cutover: &Cutover<'_>) -> Result<Migration> {
    follow::level(told, moving, LEVEL_WITHIN).await?;
    let comparison: Comparison = verify::run(told, moving, (PACE.workers, cutover.signing)).await?;
    comparison.print(told.json)?;
    comparison.check(cutover.accept_rejected)?;
    let lag = follow::lag(moving).await?;
    if lag.changes > 0 {
        bail!(
            "{} changes came while both were compared: PostgreSQL is still written to\n  stop who writes to it first",
            lag.changes
        );
    }
    told.server.step(&moving.migration, "switch", json!({ "acceptRejected": cutover.accept_rejected })).await
}

/// Removes what was made in PostgreSQL for a table.
pub(crate) async fn release(told: &Told, args: &ReleaseArgs) -> Result<()> {
    let mut link = address(told)?.link();
    let oid = number(&mut link, &args.table).await?;
    let was_there = capture::release(&mut link, oid).await?;
    println!("{}", if was_there { "the trigger and its tables are removed" } else { "there was nothing to remove" });
    Ok(())
}

/// Removes what was made in PostgreSQL for a migration that is over.
pub(crate) async fn release_of(told: &Told, migration: &Migration) -> Result<()> {
    if !is_postgres(migration) {
        return Ok(());
    }
    let origin = place_of(migration)?;
    if origin.boundary.is_none() {
        return Ok(());
    }
    let mut link = address(told)?.link();
    capture::release(&mut link, origin.oid).await.map(drop)
}

async fn number(link: &mut Link, table: &str) -> Result<i64> {
    let rows = link.rows(&format!("SELECT {}::regclass::oid::int8 AS oid", super::link::text(table))).await?;
    Ok(rows.first().context("PostgreSQL has no such table")?.try_get("oid")?)
}
