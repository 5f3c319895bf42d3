//! Log templates of the real `tidegate serve`: what a reader sees of them, by the API and by SQL.
//!
//! | file | proves |
//! |---|---|
//! | `merges.rs` | counts are right while templates merge, hot, stored, after an engine's death and restarts |
//! | `masks.rs` | masks and message fields from the settings; what other masks found stays readable |
//! | `events.rs` | new templates and count jumps are those of a plain recount |
//! | `overflow.rs` | an attack of distinct lines ends in a counted overflow |

mod events;
mod masks;
mod merges;
mod overflow;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use tidegate_load::Stack;

use crate::started;

/// 2026-01-31T00:00:00Z, in seconds.
pub(super) const DAY: u64 = 1_769_817_600;
pub(super) const HOUR: u64 = 3_600;

/// A server that mines templates, and a client.
pub(super) struct Server {
    pub(super) stack: Stack,
    client: reqwest::Client,
    _folder: TempDir,
}

impl Server {
    /// Starts a server whose rows stay hot until it stops.
    pub(super) async fn start(settings: &[(&str, &str)]) -> Result<Self> {
        let own = [("TIDEGATE_BATCH__AGE_MS", "600000"), ("TIDEGATE_CATALOGUE__ENABLED", "true")];
        let (folder, stack) = started(&[&own, settings].concat()).await?;
        Ok(Self { stack, client: reqwest::Client::new(), _folder: folder })
    }

    /// Sends log records of one service at one second, the bodies as OTLP JSON values.
    pub(super) async fn send(&self, service: &str, second: u64, bodies: &[Value]) -> Result<()> {
        // Equal bytes would be a retry.
        static SENT: AtomicU64 = AtomicU64::new(0);
        let number = SENT.fetch_add(1, Ordering::Relaxed).to_string();
        let time = (second * 1_000_000_000).to_string();
        let records: Vec<Value> = bodies.iter().map(|body| record(&time, body)).collect();
        let name = json!([{ "key": "service.name", "value": { "stringValue": service } }]);
        let request = json!({ "resourceLogs": [{
            "resource": { "attributes": name }, "schemaUrl": number, "scopeLogs": [{ "logRecords": records }] }] });
        let url = format!("http://{}/v1/logs", self.stack.otlp_http);
        let sent = self.client.post(url).header("content-type", "application/json").body(request.to_string());
        let answer = sent.send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status == 200 && !text.contains("rejected"), "{status} {text}");
        Ok(())
    }

    /// The same for lines of text.
    pub(super) async fn send_lines(&self, service: &str, second: u64, lines: &[String]) -> Result<()> {
        let bodies: Vec<Value> = lines.iter().map(|line| json!({ "stringValue": line })).collect();
        self.send(service, second, &bodies).await
    }

    /// Asks for JSON and tells the status.
    pub(super) async fn get(&self, path: &str) -> Result<(u16, Value)> {
        let answer = self.client.get(format!("http://{}{path}", self.stack.http)).send().await?;
        let status = answer.status().as_u16();
        let text = answer.text().await?;
        Ok((status, serde_json::from_str(&text).context(text)?))
    }

    /// Asks for text.
    pub(super) async fn text(&self, path: &str) -> Result<String> {
        Ok(self
            .client
            .get(format!("http://{}{path}", self.stack.http))
            .send()
            .await?
            .error_for_status()?
            .text()
            .await?)
    }

    /// Asks for what must be there.
    pub(super) async fn good(&self, path: &str) -> Result<Value> {
        let (status, value) = self.get(path).await?;
        ensure!(status == 200, "{path}: {status} {value}");
        Ok(value)
    }

    /// Returns the templates of the API with their counts, by text.
    pub(super) async fn counts(&self) -> Result<BTreeMap<String, u64>> {
        let answer = self.good("/api/v1/logs/patterns?minCount=0&limit=0").await?;
        let patterns = answer["patterns"].as_array().context("patterns")?;
        let count =
            |pattern: &Value| Some((pattern["template"].as_str()?.to_owned(), pattern["total_count"].as_u64()?));
        patterns.iter().map(|pattern| count(pattern).context("a template with its count")).collect()
    }
}

fn record(time: &str, body: &Value) -> Value {
    json!({ "timeUnixNano": time, "severityText": "INFO", "severityNumber": 9, "body": body })
}

/// Returns a query of `docs/templates.md` by its first line, which is a comment.
pub(super) fn documented(title: &str) -> Result<String> {
    let page = include_str!("../../../../../docs/templates.md");
    let begin = format!("```sql\n-- {title}\n");
    let (_, rest) = page.split_once(&begin).with_context(|| format!("docs/templates.md has no query {title:?}"))?;
    let (query, _) = rest.split_once("\n```").context("the query has an end")?;
    Ok(query.trim_end().trim_end_matches(';').to_owned())
}

/// Reads a number that JSON has as one, or as text.
pub(super) fn number(value: &Value) -> Result<u64> {
    let read = value.as_u64().or_else(|| value.as_str()?.parse().ok());
    read.with_context(|| format!("no whole number: {value}"))
}
