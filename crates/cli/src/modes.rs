//! `tidegate tracing`: where spans of each project are written and read.

use anyhow::{Context, Result};
use clap::{Args, Subcommand, ValueEnum};
use comfy_table::Table;
use serde_json::{Value, json};

use crate::client::{Asker, Client, encoded};
use crate::table::{self, Column, Rows};

const PATH: &str = "/tracing/modes";

/// What `tidegate tracing` is told.
#[derive(Debug, Args)]
pub(crate) struct TracingArgs {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    asker: Asker,
    /// Print the server's JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List where spans of projects are, or switch one of them
    Modes(ModesArgs),
}

#[derive(Debug, Args)]
struct ModesArgs {
    /// The project, a UUID; without a mode after it only its own is told
    project: Option<String>,
    /// Where its spans are to be from now on
    #[arg(requires = "project")]
    mode: Option<Mode>,
    /// Which side answers in mode dual [default: as it is]
    #[arg(long, requires = "mode")]
    reads: Option<Side>,
    /// Switch although spans that only the other side has are out of sight then
    #[arg(long, requires = "mode")]
    force: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Mode {
    /// Written to PostgreSQL and read there
    Postgres,
    /// Written to PostgreSQL, with ClickHouse behind it
    Dual,
    /// Written to ClickHouse and read there
    Clickhouse,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Side {
    Postgres,
    Clickhouse,
}

/// Does what the command line says.
pub(crate) async fn run(args: TracingArgs) -> Result<()> {
    let client = Client::of(args.asker)?;
    let Command::Modes(asked) = args.command;
    let one = asked.project.as_deref().map(|project| format!("{PATH}/{}", encoded(project)));
    let told: Value = match (&one, asked.mode) {
        (Some(path), Some(mode)) => switched(&client, path, (mode, asked.reads, asked.force)).await?,
        (path, _) => client.get(path.as_deref().unwrap_or(PATH), &[]).await?,
    };
    if args.json {
        println!("{told:#}");
        return Ok(());
    }
    if one.is_some() {
        return print(std::slice::from_ref(&told), &["project_id", "mode", "reads", "source"]);
    }
    list(&told)
}

async fn switched(client: &Client, path: &str, (mode, reads, force): (Mode, Option<Side>, bool)) -> Result<Value> {
    let mut body = json!({ "mode": word(mode), "force": force });
    if let Some(side) = reads {
        body["reads"] = json!(word(side));
    }
    client.put(path, &body).await
}

/// Prints what was decided, what holds for all others, and how PostgreSQL is.
fn list(told: &Value) -> Result<()> {
    let mut rows = told["modes"].as_array().context("the server's answer has no modes")?.clone();
    let mut others = told["default"].clone();
    others["project_id"] = json!("all others");
    rows.push(others);
    print(&rows, &["project_id", "mode", "reads", "updated_at", "updated_by"])?;
    let primary = &told["primary"];
    if primary.is_null() {
        println!("there is no PostgreSQL (tracing.postgres_url)");
        return Ok(());
    }
    println!(
        "PostgreSQL: {} at {}, {}; {} changes are not in ClickHouse yet",
        table::text(&primary["table"]),
        table::text(&primary["postgres"]),
        table::text(&primary["state"]),
        primary["lagRows"]
    );
    primary["why"].as_array().into_iter().flatten().for_each(|why| println!("  {}", table::text(why)));
    Ok(())
}

fn print(rows: &[Value], columns: &[&str]) -> Result<()> {
    let meta: Vec<Column> = columns.iter().map(|name| Column::named(name)).collect();
    // Who reads is a choice only where there are two sides.
    let is_known = |row: &Value, name: &str| !row[name].is_null() && (name != "reads" || row["mode"] == "dual");
    let cell = |row: &Value, name: &str| if is_known(row, name) { row[name].clone() } else { json!("") };
    let data = rows.iter().map(|row| meta.iter().map(|column| cell(row, &column.name)).collect()).collect();
    let mut out = std::io::stdout().lock();
    table::write_rows(&Rows { meta, data }, Table::new().width().map(usize::from), &mut out).context("write the table")
}

/// Returns the word that the command line and the API have in common.
fn word(value: impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}
