//! `tidegate trace`, `service-map`, `spans export`: traces of a running server, for a terminal and for programs.
//!
//! | file | does |
//! |---|---|
//! | `answer.rs` | what the server answers |
//! | `waterfall.rs` | a trace as bars over time; its critical path as a list |
//! | `compare.rs` | two traces side by side |
//! | `services.rs` | which services call which |
//! | `export.rs` | spans as lines |

mod answer;
mod compare;
mod export;
mod services;
mod waterfall;

use std::io::{IsTerminal as _, Write as _};

use anyhow::{Context, Result};
use clap::Args;
use comfy_table::Table;
use reqwest::Method;
use serde::de::DeserializeOwned;

use crate::client::{Asker, Client, ClientError, encoded, innermost};
use crate::table::text;

pub(crate) use export::{SpansArgs, spans};
pub(crate) use services::{ServiceMapArgs, service_map};

/// What is drawn where no terminal says how wide it is.
const WIDTH: usize = 120;

/// What `tidegate trace` is told.
#[derive(Debug, Args)]
pub(crate) struct TraceArgs {
    /// The trace's id: 32 digits of 0-9 and a-f
    id: String,
    /// Print only what the trace waited for, with times
    #[arg(long)]
    critical_path: bool,
    /// Compare with this trace, operation by operation
    #[arg(long, value_name = "ID", conflicts_with = "critical_path")]
    compare: Option<String>,
    /// Every span, however many they are
    #[arg(long)]
    all: bool,
    /// As the server answers it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    asker: Asker,
}

/// Prints a trace, or two side by side.
pub(crate) async fn trace(args: TraceArgs) -> Result<()> {
    let client = Client::of(args.asker)?;
    let (path, parameters) = match &args.compare {
        Some(other) => {
            let sides = vec![("left", args.id.clone()), ("right", other.clone())];
            ("/v1/json/traces/compare".to_owned(), sides)
        }
        None => (format!("/v1/json/traces/{}", encoded(&args.id)), Vec::new()),
    };
    let body = ask(&client, &path, &parameters).await?;
    let mut out = std::io::stdout().lock();
    // A person may switch colours off everywhere: https://no-color.org.
    let is_terminal = std::io::stdout().is_terminal();
    let has_colours = is_terminal && std::env::var_os("NO_COLOR").is_none();
    let width = Table::new().width().filter(|_| is_terminal).map_or(WIDTH, usize::from);
    let written = if args.json {
        writeln!(out, "{body}")
    } else if args.compare.is_some() {
        compare::write(&read(&path, &body)?, args.all, &mut out)
    } else if args.critical_path {
        waterfall::write_path(&read(&path, &body)?, args.all, &mut out)
    } else {
        let shown = waterfall::Shown { width, has_colours, all: args.all };
        waterfall::write(&read(&path, &body)?, &shown, &mut out)
    };
    written.context("write the answer")
}

async fn ask(client: &Client, path: &str, parameters: &[(&str, String)]) -> Result<String> {
    let answer = client.send(client.request(Method::GET, path).query(parameters)).await?;
    Ok(answer.text().await.map_err(|error| ClientError::CutOff { cause: innermost(&error) })?)
}

fn read<T: DeserializeOwned>(path: &str, body: &str) -> Result<T> {
    serde_json::from_str(body).with_context(|| format!("read the server's answer to {path}"))
}

/// Returns a text for one line of a terminal.
fn plain(word: &str) -> String {
    text(&serde_json::Value::from(word)).replace(['\n', '\t'], "\u{fffd}")
}

/// Cuts a text to so many characters; says so by its last one.
fn cut(word: &str, chars: usize) -> String {
    if word.chars().count() <= chars {
        return word.to_owned();
    }
    word.chars().take(chars.saturating_sub(1)).chain(['…']).collect()
}

/// Writes nanoseconds in the unit that a person reads.
#[expect(clippy::cast_precision_loss, reason = "four digits are shown")]
fn took(nanos: i64) -> String {
    let (unit, name) = match nanos.unsigned_abs() {
        0..1_000 => return format!("{nanos}ns"),
        1_000..1_000_000 => (1e3, "µs"),
        1_000_000..1_000_000_000 => (1e6, "ms"),
        _ => (1e9, "s"),
    };
    format!("{:.2}{name}", nanos as f64 / unit)
}
