use std::io::Write as _;

use anyhow::{Context, Result};
use clap::Args;

use super::{ListArgs, Parameter, RecordArgs, TimeArgs, ask, print, rows};
use crate::client::Client;
use crate::table::text;

/// What `tidegate logs` is told.
#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    #[command(flatten)]
    records: RecordArgs,
    #[command(flatten)]
    time: TimeArgs,
    /// How many there are, by level
    #[arg(long)]
    stats: bool,
    #[command(flatten)]
    list: ListArgs,
}

/// What `tidegate events` is told.
#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    #[command(flatten)]
    records: RecordArgs,
    /// Of this kind; several: the option again
    #[arg(long = "type", short = 't', value_name = "TYPE")]
    kinds: Vec<String>,
    #[command(flatten)]
    time: TimeArgs,
    #[command(flatten)]
    list: ListArgs,
}

/// Prints log records.
pub(crate) async fn logs(args: LogsArgs) -> Result<()> {
    let parameters = [args.time.parameters(), args.records.parameters()].concat();
    if args.stats {
        return stats(&args.list, &parameters).await;
    }
    let (found, has_more) = rows(&args.list, "/v1/json/logs", parameters).await?;
    print(&found, &["timestamp", "level", "source", "message", "context"], &args.list, has_more)
}

/// Prints events.
pub(crate) async fn events(args: EventsArgs) -> Result<()> {
    let mut parameters = [args.time.parameters(), args.records.parameters()].concat();
    parameters.extend(args.kinds.iter().map(|kind| ("event_type", kind.clone())));
    let (found, has_more) = rows(&args.list, "/v1/json/events", parameters).await?;
    print(&found, &["timestamp", "event_type", "source", "details", "metadata"], &args.list, has_more)
}

async fn stats(list: &ListArgs, parameters: &[Parameter]) -> Result<()> {
    let told = ask(&Client::of(list.asker.clone())?, "/v1/json/logs/stats", parameters).await?;
    let mut out = std::io::stdout().lock();
    if list.json {
        return writeln!(out, "{told}").context("write the answer");
    }
    let by_level = told["by_level"].as_object().context("the server's answer has no levels")?;
    for (level, count) in by_level {
        writeln!(out, "{:<10}{:>14}", text(&level.as_str().into()), text(count)).context("write the answer")?;
    }
    writeln!(out, "{:<10}{:>14}", "all", text(&told["total"])).context("write the answer")
}
