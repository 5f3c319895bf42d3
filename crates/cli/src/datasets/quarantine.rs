use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Caller, of_dataset};

/// Rows that are asked for and sent again at once.
const PAGE_ROWS: usize = 1_000;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List refused rows, the oldest first
    List(ListArgs),
    /// Send refused rows again, mended or as they are
    Replay(ReplayArgs),
    /// Let refused rows go for good
    Discard {
        /// The dataset
        slug: String,
        /// The rows' numbers
        #[arg(required = true)]
        ids: Vec<i64>,
    },
}

/// What `tidegate datasets quarantine list` is told.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// The dataset
    slug: String,
    /// Only this table
    #[arg(long)]
    table: Option<String>,
    /// Where the list before ended
    #[arg(long)]
    cursor: Option<String>,
    /// At most so many
    #[arg(long, short = 'n', default_value_t = 50)]
    limit: u32,
    /// Print a line of JSON per row, with `id` and `row`: mend `row` there, and give the file to `replay --file`
    #[arg(long)]
    lines: bool,
}

/// What `tidegate datasets quarantine replay` is told.
#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// The dataset
    slug: String,
    /// Numbers of rows that are sent as they are
    ids: Vec<i64>,
    /// Every row, as it is
    #[arg(long, conflicts_with_all = ["ids", "file"])]
    all: bool,
    /// Mended rows: a line of JSON each, `{"id":1,"row":{…}}`
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// What became of rows.
#[derive(Default)]
struct Outcome {
    taken: usize,
    refused: Vec<Value>,
    missing: Vec<Value>,
}

pub(super) async fn run(caller: &Caller, command: Command) -> Result<()> {
    match command {
        Command::List(args) => list(caller, &args).await,
        Command::Replay(args) => replay(caller, &args).await,
        Command::Discard { slug, ids } => {
            for id in &ids {
                let path = of_dataset("/datasets", &slug, &format!("/quarantine/{id}"));
                caller.ask(Method::DELETE, &path, &[], None).await?;
            }
            println!("{} discarded", ids.len());
            Ok(())
        }
    }
}

async fn list(caller: &Caller, args: &ListArgs) -> Result<()> {
    let given = [("tableName", &args.table), ("cursor", &args.cursor)];
    let given = given.into_iter().filter_map(|(name, value)| Some((name, value.clone()?)));
    let parameters: Vec<_> = given.chain([("limit", args.limit.to_string())]).collect();
    let answer =
        caller.ask(Method::GET, &of_dataset("/datasets", &args.slug, "/quarantine"), &parameters, None).await?;
    if args.lines {
        for row in answer["rows"].as_array().into_iter().flatten() {
            println!("{}", json!({ "id": row["id"], "row": row["row"], "why": row["detail"] }));
        }
        return Ok(());
    }
    caller.print(&answer, "rows", &["id", "tableName", "reason", "detail", "row"]);
    Ok(())
}

async fn replay(caller: &Caller, args: &ReplayArgs) -> Result<()> {
    let mut outcome = Outcome::default();
    if args.all {
        replay_all(caller, &args.slug, &mut outcome).await?;
    } else {
        let mut rows: Vec<Value> = Vec::new();
        if let Some(file) = &args.file {
            let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
            for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
                let row: Value = serde_json::from_str(line).with_context(|| format!("read line {} as JSON", at + 1))?;
                rows.push(json!({ "id": row["id"], "row": row["row"] }));
            }
        }
        if rows.is_empty() && args.ids.is_empty() {
            bail!("no row is named\n  name numbers, --file or --all; `quarantine list` shows what there is");
        }
        for rows in rows.chunks(PAGE_ROWS) {
            send(caller, &args.slug, &json!({ "rows": rows }), &mut outcome).await?;
        }
        for ids in args.ids.chunks(PAGE_ROWS) {
            send(caller, &args.slug, &json!({ "ids": ids }), &mut outcome).await?;
        }
    }
    println!("{} taken, {} refused again, {} not there", outcome.taken, outcome.refused.len(), outcome.missing.len());
    for refused in outcome.refused.iter().take(10) {
        println!("  row {}: {}", refused["id"], refused["detail"].as_str().unwrap_or_default());
    }
    if !outcome.refused.is_empty() {
        bail!("some rows are still refused\n  `quarantine list --lines` writes them to be mended");
    }
    Ok(())
}

async fn replay_all(caller: &Caller, slug: &str, outcome: &mut Outcome) -> Result<()> {
    let path = of_dataset("/datasets", slug, "/quarantine");
    let mut cursor = "0".to_owned();
    loop {
        let parameters = [("cursor", cursor.clone()), ("limit", PAGE_ROWS.to_string())];
        let answer = caller.ask(Method::GET, &path, &parameters, None).await?;
        let ids: Vec<_> = answer["rows"].as_array().into_iter().flatten().map(|row| row["id"].clone()).collect();
        if !ids.is_empty() {
            send(caller, slug, &json!({ "ids": ids }), outcome).await?;
        }
        match answer["nextCursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => return Ok(()),
        }
    }
}

async fn send(caller: &Caller, slug: &str, body: &Value, outcome: &mut Outcome) -> Result<()> {
    let path = of_dataset("/datasets", slug, "/quarantine/replay");
    let answer = caller.ask(Method::POST, &path, &[], Some(body)).await?;
    let list = |name: &str| answer[name].as_array().cloned().unwrap_or_default();
    outcome.taken += list("taken").len();
    outcome.refused.extend(list("refused"));
    outcome.missing.extend(list("missing"));
    Ok(())
}
