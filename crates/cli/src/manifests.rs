//! `tidegate manifests`: what each batch put into each partition of a dataset.

use std::io::Write;

use anyhow::Result;
use clap::Args;
use comfy_table::Table;
use serde::Deserialize;
use serde_json::Value;

use crate::client::{Client, encoded};
use crate::table::{self, Column, Rows};

/// What `tidegate manifests` takes.
#[derive(Debug, Args)]
pub(crate) struct ManifestsArgs {
    /// A dataset, or a built-in table
    dataset: String,
    /// Only this UTC day, such as 2026-01-31
    #[arg(long)]
    shard: Option<String>,
    /// Only those in this state: draft, published, superseded, expired
    #[arg(long)]
    state: Option<String>,
    /// At most so many, the newest first
    #[arg(long, default_value_t = 100)]
    limit: u32,
    /// Print the server's answer as it is
    #[arg(long)]
    json: bool,
    /// The server's address
    #[arg(long, env = "TIDEGATE_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
}

#[derive(Deserialize)]
struct Answer {
    manifests: Vec<Value>,
    published: Published,
}

#[derive(Deserialize)]
struct Published {
    manifests: u64,
    partitions: u64,
    rows: u64,
    bytes: u64,
}

/// The columns of the table: the answer's name, and whether it is a number.
const SHOWN: [(&str, bool); 11] = [
    ("shard", false),
    ("state", false),
    ("version", true),
    ("first_seq", true),
    ("last_seq", true),
    ("rows", true),
    ("bytes", true),
    ("first_time", false),
    ("last_time", false),
    ("checksum", false),
    ("tier", false),
];

/// Prints the manifests of a dataset.
pub(crate) async fn run(args: ManifestsArgs) -> Result<()> {
    let client = Client::new(&args.url)?;
    let mut parameters = vec![("limit", args.limit.to_string())];
    parameters.extend(args.shard.map(|shard| ("shard", shard)));
    parameters.extend(args.state.map(|state| ("state", state)));
    let path = format!("/datasets/{}/manifests", encoded(&args.dataset));
    let whole: Value = client.get(&path, &parameters).await?;
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{whole:#}")?;
        return Ok(());
    }
    let answer: Answer = serde_json::from_value(whole)?;
    let kind = |is_number| if is_number { "UInt64" } else { "String" }.to_owned();
    let meta = SHOWN.iter().map(|(name, is_number)| Column { name: (*name).to_owned(), kind: kind(*is_number) });
    let shown = |manifest: &Value| SHOWN.iter().map(|(name, _)| manifest[*name].clone()).collect();
    let rows = Rows { meta: meta.collect(), data: answer.manifests.iter().map(shown).collect() };
    table::write_rows(&rows, Table::new().width().map(usize::from), &mut out)?;
    let Published { manifests, partitions, rows, bytes } = answer.published;
    writeln!(out, "{manifests} published manifests of {partitions} partitions: {rows} rows, {bytes} bytes")?;
    Ok(())
}
