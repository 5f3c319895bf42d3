use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use super::Told;
use super::backfill::{files_of, take};
use super::compare::compare;
use super::postgres::{self, Cutover, Signing};
use super::server::Migration;
use super::source::Source;

/// How often it is asked whether the mirror is level.
const LOOK: Duration = Duration::from_millis(200);

/// The dataset's table whose migration is meant.
#[derive(Debug, Clone, Args)]
pub(super) struct Which {
    /// The dataset
    dataset: String,
    /// The table of the dataset, where several are moved
    #[arg(long)]
    table_name: Option<String>,
}

/// What `tidegate migrate mirror` is told.
#[derive(Debug, Args)]
pub(super) struct MirrorArgs {
    #[command(flatten)]
    which: Which,
    /// Stop it; files that are there stay
    #[arg(long)]
    stop: bool,
    /// The older engine loads the files and tells of it, as `tidegate migrate apply` does; reads are not switched before
    #[arg(long, conflicts_with = "stop")]
    applied: bool,
}

/// What `tidegate migrate cutover` is told.
#[derive(Debug, Args)]
pub(super) struct CutoverArgs {
    #[command(flatten)]
    which: Which,
    /// Queries that both engines must answer alike
    #[arg(long, value_name = "FILE")]
    queries: Option<PathBuf>,
    /// The freeze ends by itself after so many seconds, whatever becomes of this command
    #[arg(long, default_value_t = tidegate_model::limits::FREEZE_SECONDS)]
    freeze_seconds: u64,
    /// So many refused rows are known, and may stay behind
    #[arg(long, default_value_t = 0)]
    accept_rejected: u64,
    #[command(flatten)]
    signing: Signing,
}

/// What `tidegate migrate rollback` is told.
#[derive(Debug, Args)]
pub(super) struct RollbackArgs {
    #[command(flatten)]
    which: Which,
    /// Also where rows came since the switch that the older engine does not get
    #[arg(long)]
    force: bool,
}

/// What `tidegate migrate cleanup` is told.
#[derive(Debug, Args)]
pub(super) struct CleanupArgs {
    #[command(flatten)]
    which: Which,
    /// Do it; without this it is only said what would be done
    #[arg(long)]
    yes: bool,
    /// Remove the mirror's files too
    #[arg(long)]
    remove_files: bool,
}

/// Shows migrations.
pub(super) async fn status(told: &Told, dataset: Option<&str>) -> Result<()> {
    if told.json {
        let path = dataset.map_or_else(String::new, |dataset| format!("?dataset={}", crate::client::encoded(dataset)));
        let all = told.server.ask(Method::GET, &format!("/admin/migrations{path}"), None).await?;
        println!("{all:#}");
        return Ok(());
    }
    let all = told.server.migrations(dataset).await?;
    if all.is_empty() {
        println!("nothing was moved here yet");
    }
    all.iter().for_each(show);
    Ok(())
}

fn show(migration: &Migration) {
    let Migration { dataset, table_name, state, id, .. } = migration;
    println!("{dataset}, table {table_name}: {state} (migration {id})");
    if let Ok(source) = serde_json::from_value::<Source>(migration.source.clone()) {
        println!("  from {}", source.shown());
    }
    let asked = if migration.ask.is_empty() { String::new() } else { format!(", at {}", migration.ask) };
    let place = if migration.reads == "source" { format!("the older engine{asked}") } else { "Tidegate".to_owned() };
    let until = migration.frozen_until.as_ref().map(|until| format!(", until {until}")).unwrap_or_default();
    println!("  reads: {place}; writes: {}{until}", migration.writes);
    if postgres::is_postgres(migration) {
        let Migration { seen, rows, accepted, rejected, .. } = migration;
        println!("  {seen} of {rows} blocks are taken; {accepted} rows and changes, {rejected} refused");
    } else {
        println!(
            "  {} of {} rows in {} files are seen, {} taken, {} refused",
            migration.seen, migration.rows, migration.files, migration.accepted, migration.rejected
        );
    }
    if let Some(mirror) = &migration.mirror {
        let applied = if mirror.is_applied { format!(", {} loaded", mirror.applied) } else { String::new() };
        println!(
            "  mirror: rows up to {} are in files{applied}, {} are not, in {}",
            mirror.mirrored, mirror.lag_rows, mirror.folder
        );
        if let Some(why) = &mirror.why {
            println!("  mirror: the last file failed: {why}");
        }
    }
    if let Some(came_to) = &migration.validation {
        let word = if came_to["equal"] == true { "equal" } else { "different" };
        println!("  compared at {}: {word}", came_to["at"].as_str().unwrap_or_default());
    }
    if super::server::is_open(state) && state != "switched" {
        migration.blockers.iter().for_each(|why| println!("  before the switch: {why}"));
    }
}

/// Takes a step that needs nothing else.
pub(super) async fn one(told: &Told, which: &Which, step: &str) -> Result<()> {
    let migration = told.server.migration_of(&which.dataset, which.table_name.as_deref()).await?;
    let migration = told.server.step(&migration, step, json!({})).await?;
    print(told, &migration)
}

/// Gives a migration up.
pub(super) async fn abandon(told: &Told, which: &Which) -> Result<()> {
    let migration = told.server.migration_of(&which.dataset, which.table_name.as_deref()).await?;
    let migration = told.server.step(&migration, "abandon", json!({})).await?;
    postgres::release_of(told, &migration)
        .await
        .context("the migration is abandoned; run `tidegate migrate release` too")?;
    print(told, &migration)
}

/// Begins the mirror, or ends it.
pub(super) async fn mirror(told: &Told, args: &MirrorArgs) -> Result<()> {
    let migration = told.server.migration_of(&args.which.dataset, args.which.table_name.as_deref()).await?;
    let step = if args.stop { "unmirror" } else { "mirror" };
    let migration = told.server.step(&migration, step, json!({ "isApplied": args.applied })).await?;
    print(told, &migration)
}

/// Freezes, takes what is left, compares, switches. Whatever fails on the way ends the freeze: nothing is switched then.
pub(super) async fn cut_over(told: &Told, args: &CutoverArgs) -> Result<()> {
    let migration = told.server.migration_of(&args.which.dataset, args.which.table_name.as_deref()).await?;
    if postgres::is_postgres(&migration) {
        let CutoverArgs { freeze_seconds, accept_rejected, signing, .. } = args;
        let cutover = Cutover { freeze_seconds: *freeze_seconds, accept_rejected: *accept_rejected, signing };
        let switched = postgres::cut_over(told, migration, &cutover).await?;
        return print(told, &switched);
    }
    // What takes long is done while writes go on: the freeze is for the rest.
    say(told, "taking what is left, while writes go on");
    let files = files_of(told, &migration).await?;
    take(&told.server, &migration, &files).await?;
    say(told, "freezing writes");
    let began = Instant::now();
    let migration = told.server.step(&migration, "freeze", json!({ "seconds": args.freeze_seconds })).await?;
    match frozen(told, args, &migration).await {
        Ok(switched) => {
            say(told, &format!("reads are switched; writes were frozen for {} ms", began.elapsed().as_millis()));
            print(told, &switched)
        }
        Err(error) => {
            let thawed = told.server.step(&migration, "thaw", json!({})).await;
            let word = if thawed.is_ok() { "writes go on" } else { "the freeze ends by itself" };
            Err(error.context(format!("nothing was switched, {word}")))
        }
    }
}

async fn frozen(told: &Told, args: &CutoverArgs, migration: &Migration) -> Result<Migration> {
    let files = files_of(told, migration).await?;
    let report = take(&told.server, migration, &files).await?;
    say(told, &format!("{} rows came meanwhile; comparing", report.sent));
    let comparison = compare(told, migration, &files, args.queries.as_ref()).await?;
    comparison.print(told.json)?;
    comparison.check()?;
    level(told, migration, args.freeze_seconds).await?;
    told.server.step(migration, "switch", json!({ "acceptRejected": args.accept_rejected })).await
}

/// Waits until the older engine can have every row.
async fn level(told: &Told, migration: &Migration, seconds: u64) -> Result<()> {
    let began = Instant::now();
    loop {
        let now = told.server.again(migration).await?;
        let Some(mirror) = &now.mirror else { return Ok(()) };
        let unapplied = if mirror.is_applied { mirror.mirrored.saturating_sub(mirror.applied) } else { 0 };
        if mirror.lag_rows == 0 && unapplied == 0 {
            return Ok(());
        }
        if began.elapsed() > Duration::from_secs(seconds) {
            let why = mirror.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            let lag = mirror.lag_rows;
            bail!(
                "the mirror still lacks {lag} rows{why}, and {unapplied} of its rows are not loaded: run `tidegate migrate apply`"
            );
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Gives reads back, and lets writes go on when the older engine can have what came here.
pub(super) async fn roll_back(told: &Told, args: &RollbackArgs) -> Result<()> {
    let migration = told.server.migration_of(&args.which.dataset, args.which.table_name.as_deref()).await?;
    let migration = if migration.state == "switched" {
        told.server.step(&migration, "rollback", json!({ "force": args.force })).await?
    } else {
        migration
    };
    if migration.state == "frozen" {
        say(told, "reads are given back; writes are frozen until the mirror is level");
        level(told, &migration, tidegate_model::limits::FREEZE_SECONDS).await?;
        let migration = told.server.step(&migration, "thaw", json!({})).await?;
        return print(told, &migration);
    }
    print(told, &migration)
}

/// Ends a migration.
pub(super) async fn clean_up(told: &Told, args: &CleanupArgs) -> Result<()> {
    let migration = told.server.migration_of(&args.which.dataset, args.which.table_name.as_deref()).await?;
    let folder = migration.mirror.as_ref().map(|mirror| mirror.folder.clone());
    if !args.yes {
        println!("this would end the migration {} of {}: no roll-back after it", migration.id, migration.dataset);
        if let Some(folder) = folder {
            let fate = if args.remove_files { "remove" } else { "keep" };
            println!("it would stop the mirror, and {fate} its files in {folder}");
        }
        bail!("nothing was done\n  add --yes");
    }
    postgres::release_of(told, &migration).await?;
    let ended = told.server.step(&migration, "finish", json!({ "removeFiles": args.remove_files })).await?;
    print(told, &ended)
}

fn print(told: &Told, migration: &Migration) -> Result<()> {
    if told.json {
        let told: Value = json!({ "id": migration.id, "dataset": migration.dataset, "state": migration.state, "reads": migration.reads });
        println!("{}", serde_json::to_string_pretty(&told).context("write the answer")?);
    } else {
        show(migration);
    }
    Ok(())
}

/// Says what is done; where the report is JSON, beside it.
fn say(told: &Told, text: &str) {
    if told.json {
        eprintln!("{text}");
    } else {
        println!("{text}");
    }
}
