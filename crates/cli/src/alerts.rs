//! `tidegate alerts`: rules with the worst of their alerts, and silences.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use comfy_table::Table;
use reqwest::Method;
use serde_json::{Value, json};
use tidegate_core::world::SystemClock;
use tidegate_model::{Clock, UnixNanos};

use crate::client::{Asker, Client, encoded};
use crate::span;
use crate::table::{self, Column, Rows};

/// What an alert may be, the worst first.
const STATES: [&str; 4] = ["firing", "no_data", "pending", "ok"];

/// What `tidegate alerts` is told.
#[derive(Debug, Args)]
pub(crate) struct AlertsArgs {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    asker: Asker,
    /// Print the server's JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List rules with the worst of their alerts, and alerts that are not fine (the default)
    List,
    /// Tell nobody of some alerts for a while; they are watched all the same
    Silence(SilenceArgs),
    /// List silences that are not over
    Silences,
    /// End a silence
    Unsilence {
        /// Its number
        number: u64,
    },
}

#[derive(Debug, Args)]
struct SilenceArgs {
    /// Labels that must all be there, `alertname=cpu-warning`; with `=~` the value is a regular expression
    #[arg(required = true, value_name = "LABEL=VALUE")]
    matchers: Vec<String>,
    /// How long, from now on
    #[arg(long = "for", value_name = "TIME", value_parser = span::parse, required_unless_present = "to")]
    length: Option<Duration>,
    /// Until this time, such as 2026-01-31T09:00:00Z
    #[arg(long, value_name = "TIME", conflicts_with = "length")]
    to: Option<String>,
    /// Why
    #[arg(long, short, value_name = "TEXT", default_value = "")]
    comment: String,
}

/// Does what the command line says.
pub(crate) async fn run(args: AlertsArgs) -> Result<()> {
    let client = Client::of(args.asker)?;
    match args.command.unwrap_or(Command::List) {
        Command::List => list(&client, args.json).await,
        Command::Silence(asked) => silence(&client, asked, args.json).await,
        Command::Silences => silences(&client, args.json).await,
        Command::Unsilence { number } => {
            let path = format!("/admin/alerts/silences/{}", encoded(&number.to_string()));
            client.send(client.request(Method::DELETE, &path)).await?;
            Ok(())
        }
    }
}

async fn list(client: &Client, is_json: bool) -> Result<()> {
    let mut rules = ask(client, "/admin/alerts/rules").await?["rules"].take();
    let alerts = ask(client, "/admin/alerts").await?["alerts"].take();
    for rule in rules.as_array_mut().context("the server's answer has no rules")? {
        let own: Vec<_> =
            alerts.as_array().into_iter().flatten().filter(|alert| alert["rule"] == rule["name"]).collect();
        let worst = STATES.iter().find(|state| own.iter().any(|alert| alert["state"] == **state));
        rule["state"] = match (rule["paused"] == true, worst) {
            (true, _) => json!("paused"),
            (false, Some(state)) => json!(state),
            (false, None) => json!("ok"),
        };
        rule["alerts"] = json!(own.len());
    }
    if is_json {
        println!("{:#}", json!({ "rules": rules, "alerts": alerts }));
        return Ok(());
    }
    print(&rules, &["name", "severity", "state", "#alerts", "answered_at", "failure"])?;
    if alerts.as_array().is_some_and(|alerts| !alerts.is_empty()) {
        println!();
        print(&alerts, &["rule", "state", "since", "#value", "silenced", "summary"])?;
    }
    Ok(())
}

async fn silence(client: &Client, asked: SilenceArgs, is_json: bool) -> Result<()> {
    let matchers = asked.matchers.iter().map(|text| matcher(text)).collect::<Result<Vec<_>>>()?;
    let end = asked.length.map(|length| {
        let nanos = i64::try_from(length.as_nanos()).unwrap_or(i64::MAX);
        UnixNanos(SystemClock::start().now().0.saturating_add(nanos)).to_string()
    });
    let body = json!({ "matchers": matchers, "to": end.or(asked.to), "comment": asked.comment });
    let request = client.request(Method::POST, "/admin/alerts/silences").header("content-type", "application/json");
    let answer = client.send(request.body(body.to_string())).await?.text().await.context("read the server's answer")?;
    let told: Value = serde_json::from_str(&answer).context("read the server's answer")?;
    if is_json {
        println!("{told:#}");
    } else {
        let made = &told["silence"];
        println!(
            "silence {} until {}; `tidegate alerts unsilence {}` ends it",
            made["number"],
            table::text(&made["to"]),
            made["number"]
        );
    }
    Ok(())
}

async fn silences(client: &Client, is_json: bool) -> Result<()> {
    let mut told = ask(client, "/admin/alerts/silences").await?;
    if is_json {
        println!("{told:#}");
        return Ok(());
    }
    for silence in told["silences"].as_array_mut().into_iter().flatten() {
        let sign = |matcher: &Value| if matcher["is_regex"] == true { "=~" } else { "=" };
        let written = |matcher: &Value| {
            format!("{}{}{}", table::text(&matcher["label"]), sign(matcher), table::text(&matcher["value"]))
        };
        let matchers: Vec<_> = silence["matchers"].as_array().into_iter().flatten().map(written).collect();
        silence["matchers"] = json!(matchers.join(" "));
    }
    print(&told["silences"], &["#number", "matchers", "from", "to", "created_by", "comment"])
}

/// Reads `label=value` or `label=~regex`.
fn matcher(text: &str) -> Result<Value> {
    let Some((label, value)) = text.split_once('=').filter(|(label, _)| !label.is_empty()) else {
        bail!("write it like alertname=cpu-warning or alertname=~cpu-.*, it is `{text}`");
    };
    let (value, is_regex) = value.strip_prefix('~').map_or((value, false), |regex| (regex, true));
    Ok(json!({ "label": label, "value": value, "is_regex": is_regex }))
}

async fn ask(client: &Client, path: &str) -> Result<Value> {
    let text =
        client.send(client.request(Method::GET, path)).await?.text().await.context("read the server's answer")?;
    serde_json::from_str(&text).with_context(|| format!("read the server's answer to {path}"))
}

/// Prints these columns of a list; `#` is before the names of numbers.
fn print(list: &Value, columns: &[&str]) -> Result<()> {
    let meta: Vec<Column> = columns.iter().map(|name| Column::named(name)).collect();
    let rows = list.as_array().context("the server's answer has no list")?;
    let cell = |row: &Value, name: &str| if row[name].is_null() { json!("") } else { row[name].clone() };
    let data = rows.iter().map(|row| meta.iter().map(|column| cell(row, &column.name)).collect()).collect();
    let mut out = std::io::stdout().lock();
    table::write_rows(&Rows { meta, data }, Table::new().width().map(usize::from), &mut out).context("write the table")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matcher_has_a_label_and_a_value_or_a_regular_expression() {
        let told = |text| matcher(text).map(|told| told.to_string()).ok();
        assert_eq!(
            told("alertname=cpu=1"),
            Some(json!({ "label": "alertname", "value": "cpu=1", "is_regex": false }).to_string())
        );
        assert_eq!(told("host=~a.*"), Some(json!({ "label": "host", "value": "a.*", "is_regex": true }).to_string()));
        assert_eq!([told("host"), told("=a")], [None, None]);
    }
}
