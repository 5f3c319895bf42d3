//! `tidegate logs`, `events`, `metrics`, `tail`: telemetry of a running server, for a terminal and for programs.
//!
//! They ask `/v1/json/…` with its own filters and show what it answers.
//!
//! | file | does |
//! |---|---|
//! | `records.rs` | log records and events: pages, counts |
//! | `points.rs` | data points, and buckets of time |
//! | `tail.rs` | follows what comes |
//! | `line.rs` | one record as one line |

mod line;
mod points;
mod records;
mod tail;

use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use comfy_table::Table;
use reqwest::Method;
use serde_json::Value;
use tidegate_core::world::SystemClock;
use tidegate_model::Clock;
use tidegate_model::limits::TELEMETRY_ROWS_MAX;

use crate::client::{Asker, Client};
use crate::span;
use crate::table::{self, Column, Rows};

pub(crate) use points::{MetricsArgs, metrics};
pub(crate) use records::{EventsArgs, LogsArgs, events, logs};
pub(crate) use tail::{TailArgs, tail};

/// A parameter of the API.
type Parameter = (&'static str, String);

/// When.
#[derive(Debug, Args)]
pub(crate) struct TimeArgs {
    /// Only of the last so long, such as 15m, 24h or 7d
    #[arg(long, value_name = "TIME", value_parser = span::parse, conflicts_with_all = ["from", "to"])]
    last: Option<Duration>,
    /// Not before this time, such as 2026-01-31T09:00:00Z
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Before this time
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
}

/// Which log records or events.
#[derive(Debug, Args)]
struct RecordArgs {
    /// Words that are all in the message, in any case and order
    text: Vec<String>,
    /// Of this level; several: the option again
    #[arg(long, short, value_name = "LEVEL")]
    level: Vec<String>,
    /// From this service; several: the option again
    #[arg(long, short, value_name = "NAME")]
    source: Vec<String>,
    /// With this attribute; several must all be there
    #[arg(long, short, value_name = "KEY=VALUE")]
    attribute: Vec<String>,
    /// With this attribute of the resource; several must all be there
    #[arg(long, value_name = "KEY=VALUE")]
    resource: Vec<String>,
    /// Of this trace
    #[arg(long, value_name = "ID")]
    trace_id: Option<String>,
    /// From this agent
    #[arg(long, value_name = "ID")]
    agent_id: Option<String>,
    /// Of this session
    #[arg(long, value_name = "ID")]
    session_id: Option<String>,
}

/// How much of a list is shown, and how.
#[derive(Debug, Args)]
struct ListArgs {
    /// At most so many
    #[arg(long, short = 'n', value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// Oldest first
    #[arg(long)]
    oldest_first: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    asker: Asker,
}

impl TimeArgs {
    pub(crate) fn parameters(&self) -> Vec<Parameter> {
        span::parameters(self.last, self.from.as_deref(), self.to.as_deref())
    }

    /// Returns this moment, as the API takes it.
    pub(crate) fn now() -> String {
        SystemClock::start().now().0.to_string()
    }
}

impl RecordArgs {
    fn parameters(&self) -> Vec<Parameter> {
        let text = (!self.text.is_empty()).then(|| ("text", self.text.join(" ")));
        let several = [
            ("level", &self.level),
            ("source", &self.source),
            ("attribute", &self.attribute),
            ("resource", &self.resource),
        ];
        let several = several.into_iter().flat_map(|(name, all)| all.iter().map(move |one| (name, one.clone())));
        let ids = [("trace_id", &self.trace_id), ("agent_id", &self.agent_id), ("session_id", &self.session_id)];
        let ids = ids.into_iter().filter_map(|(name, id)| Some((name, id.clone()?)));
        text.into_iter().chain(several).chain(ids).collect()
    }
}

/// Asks for JSON.
async fn ask(client: &Client, path: &str, parameters: &[Parameter]) -> Result<Value> {
    let answer = client.send(client.request(Method::GET, path).query(parameters)).await?;
    let text = answer.text().await.context("read the server's answer")?;
    serde_json::from_str(&text).with_context(|| format!("read the server's answer to {path}"))
}

/// Asks for pages until there are enough rows; says whether more follow.
async fn rows(list: &ListArgs, path: &str, mut parameters: Vec<Parameter>) -> Result<(Vec<Value>, bool)> {
    let client = Client::of(list.asker.clone())?;
    if list.oldest_first {
        parameters.push(("order", "asc".to_owned()));
    }
    let (mut all, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let lacking = list.limit - all.len() as u64;
        let mut asked = parameters.clone();
        asked.push(("limit", lacking.min(TELEMETRY_ROWS_MAX).to_string()));
        asked.extend(cursor.take().map(|cursor| ("cursor", cursor)));
        let mut page = ask(&client, path, &asked).await?;
        let found = page["data"].as_array_mut().map(std::mem::take).context("the server's answer has no list")?;
        all.extend(found);
        cursor = page["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() || all.len() as u64 >= list.limit {
            return Ok((all, cursor.is_some()));
        }
    }
}

/// Prints rows, one JSON object a line or as a table of these columns; `#` is before the names of numbers.
fn print(rows: &[Value], columns: &[&str], list: &ListArgs, has_more: bool) -> Result<()> {
    let mut out = std::io::stdout().lock();
    if list.json {
        rows.iter().try_for_each(|row| writeln!(out, "{row}")).context("write the answer")?;
        return Ok(());
    }
    let meta: Vec<Column> = columns.iter().map(|name| Column::named(name)).collect();
    let cells = |row: &Value| meta.iter().map(|column| line::cell(&row[column.name.as_str()])).collect();
    let data = rows.iter().map(cells).collect();
    table::write_rows(&Rows { meta, data }, Table::new().width().map(usize::from), &mut out)
        .context("write the table")?;
    let more = if has_more { "; there are more: --limit, --last, or --json for programs" } else { "" };
    writeln!(out, "{} {}{more}", rows.len(), if rows.len() == 1 { "row" } else { "rows" }).context("write the answer")
}
