//! `tidegate verify` and `tidegate ledger`: what the server counts, and the proof of it.

use anyhow::{Context, Result, bail};
use clap::Args;
use comfy_table::{CellAlignment, Table};
use reqwest::Method;
use serde::Deserialize;

use crate::client::Client;

/// What `tidegate verify` and `tidegate ledger` take.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The server's address
    #[arg(long, env = "TIDEGATE_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
}

#[derive(Deserialize)]
struct Ledgers {
    tables: Vec<Ledger>,
}

#[derive(Deserialize)]
struct Ledger {
    table: String,
    received: u64,
    stored: u64,
    hot: u64,
    rejected: u64,
    duplicate: u64,
    #[serde(default)]
    expired: u64,
}

#[derive(Deserialize)]
struct Verification {
    exact: bool,
    tables: Vec<Report>,
}

#[derive(Deserialize)]
struct Report {
    ledger: Ledger,
    batches: u64,
    rows: u64,
    #[serde(default)]
    unkept: u64,
    uncovered: u64,
    differences: Vec<serde_json::Value>,
    #[serde(default)]
    manifests: u64,
    #[serde(default)]
    altered: Vec<serde_json::Value>,
}

/// Prints the ledger of every table.
pub(crate) async fn ledger(args: VerifyArgs) -> Result<()> {
    let client = Client::new(&args.url)?;
    let answer = client.send(client.request(Method::GET, "/ledger")).await?;
    let ledgers: Ledgers = serde_json::from_str(&answer.text().await?).context("read the ledger")?;
    let mut table = table(&["table", "received", "stored", "hot", "rejected", "duplicate", "expired"]);
    for it in ledgers.tables {
        let counts = [it.received, it.stored, it.hot, it.rejected, it.duplicate, it.expired];
        table.add_row(std::iter::once(it.table).chain(counts.map(|count| count.to_string())));
    }
    println!("{table}");
    Ok(())
}

/// Lets the server recount every stored batch in ClickHouse and hash its rows again; fails when one differs.
pub(crate) async fn verify(args: VerifyArgs) -> Result<()> {
    let client = Client::new(&args.url)?;
    let answer = client.send(client.request(Method::POST, "/verify")).await?;
    let verification: Verification = serde_json::from_str(&answer.text().await?).context("read the verification")?;
    let mut table = table(&["table", "batches", "rows recounted", "manifests hashed", "hot", "outcome"]);
    for report in &verification.tables {
        let outcome = match (report.differences.len(), report.altered.len(), report.uncovered) {
            (0, 0, 0) if report.unkept > 0 => format!("exact; {} rows were counted and not kept", report.unkept),
            (0, 0, 0) => "exact".to_owned(),
            (batches, manifests, rows) => {
                format!("{batches} batches and {manifests} manifests differ, {rows} rows of no batch")
            }
        };
        let counts = [report.batches, report.rows, report.manifests, report.ledger.hot].map(|count| count.to_string());
        table.add_row(std::iter::once(report.ledger.table.clone()).chain(counts).chain([outcome]));
    }
    println!("{table}");
    if verification.exact {
        return Ok(());
    }
    for report in &verification.tables {
        report.differences.iter().chain(&report.altered).for_each(|difference| println!("{difference}"));
    }
    bail!("ClickHouse does not hold what the catalog says; keep the data folder as it is, and see docs/operations.md")
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::UTF8_BORDERS_ONLY).set_header(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
