use std::io::Write as _;

use anyhow::{Context, Result, bail};
use clap::Args;
use comfy_table::Table;
use serde_json::json;

use super::answer::{Edge, ServiceMap};
use super::{ask, read, took};
use crate::client::{Asker, Client};
use crate::table::{self, Column, Rows};
use crate::telemetry::TimeArgs;

const PATH: &str = "/v1/json/services/map";

/// What `tidegate service-map` is told.
#[derive(Debug, Args)]
pub(crate) struct ServiceMapArgs {
    #[command(flatten)]
    time: TimeArgs,
    /// Read this part of the traces, 0.01 to 1
    #[arg(long)]
    rate: Option<String>,
    /// As the server answers it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    asker: Asker,
}

/// Prints which services call which.
pub(crate) async fn service_map(args: ServiceMapArgs) -> Result<()> {
    let mut parameters = args.time.both()?;
    parameters.extend(args.rate.map(|rate| ("rate", rate)));
    let body = ask(&Client::of(args.asker)?, PATH, &parameters).await?;
    let mut out = std::io::stdout().lock();
    if args.json {
        return writeln!(out, "{body}").context("write the answer");
    }
    let map: ServiceMap = read(PATH, &body)?;
    let text = |name: &str| Column { name: name.to_owned(), kind: "String".to_owned() };
    let number = |name: &str| Column { name: name.to_owned(), kind: "UInt64".to_owned() };
    let meta = vec![text("caller"), text("callee"), number("calls"), number("errors"), number("total")];
    let row = |edge: &Edge| {
        let total = took(edge.total_ns);
        vec![json!(edge.caller), json!(edge.callee), json!(edge.calls), json!(edge.errors), json!(total)]
    };
    let data = map.edges.iter().map(row).collect();
    table::write_rows(&Rows { meta, data }, Table::new().width().map(usize::from), &mut out)
        .context("write the table")?;
    if map.without_parent > 0 {
        writeln!(out, "{} without a caller: their parents are not of this time", map.without_parent)
            .context("write the answer")?;
    }
    if map.sampled {
        writeln!(out, "sampled: {} of the traces were read, counts are theirs", map.rate)
            .context("write the answer")?;
    }
    let edges = map.edges.len();
    writeln!(out, "{edges} {}", if edges == 1 { "pair" } else { "pairs" }).context("write the answer")
}

impl TimeArgs {
    /// Returns both ends of a time: what is read of spans must have some.
    pub(super) fn both(&self) -> Result<Vec<(&'static str, String)>> {
        let mut given = self.parameters();
        if !given.iter().any(|(name, _)| *name == "from") {
            bail!("say of which time\n  --last 1h, or --from TIME and --to TIME");
        }
        if !given.iter().any(|(name, _)| *name == "to") {
            given.push(("to", Self::now()));
        }
        Ok(given)
    }
}
