//! Exports of a running server.
//!
//! | file | proves |
//! |---|---|
//! | `files.rs` | reads exported files back, and compares them with their manifest |
//! | `snapshot.rs` | hot and stored rows are exported once, while more come; whole, by day, by time |
//! | `kills.rs` | a kill leaves no half export; the schedule; the webhook |

pub(super) mod files;
mod kills;
mod snapshot;

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tidegate_load::Stack;

use crate::READY_WITHIN;

pub(super) const DAY_MS: u64 = 86_400_000;

/// Sends rows of today and of yesterday, in turn.
pub(super) async fn send(stack: &Stack, today_ms: u64, first: u64, rows: u64) -> Result<()> {
    let row = |n: u64| json!({ "at": today_ms - n % 2 * DAY_MS + n, "n": n, "text": format!("row {n}"), "x": 0.5 });
    let rows: Vec<Value> = (first..first + rows).map(row).collect();
    let fields = json!([
        { "name": "at", "type": "timestamp" },
        { "name": "n", "type": "integer" },
        { "name": "text", "type": "string" },
        { "name": "x", "type": "double" },
    ]);
    let request = reqwest::Client::new().post(format!("http://{}/datasets/visits/ingest", stack.http));
    let request = request.header("content-type", "application/json").header("idempotency-key", first.to_string());
    let body = json!({ "schema": { "fields": fields }, "rows": rows });
    let status = request.body(body.to_string()).send().await?.status();
    ensure!(status.is_success(), "{status}");
    Ok(())
}

pub(crate) async fn ask(stack: &Stack, body: &Value) -> Result<Value> {
    let request = reqwest::Client::new().post(format!("http://{}/admin/datasets/visits/exports", stack.http));
    let answer = request.header("content-type", "application/json").body(body.to_string()).send().await?;
    let status = answer.status();
    let text = answer.text().await?;
    ensure!(status == 202, "{status} {text}");
    Ok(serde_json::from_str(&text)?)
}

/// Returns an export when it has ended.
pub(crate) async fn ended(stack: &Stack, id: &str) -> Result<Value> {
    let path = format!("/admin/datasets/visits/exports/{id}");
    let polled = async {
        loop {
            let export = stack.get(&path).await?;
            if !["queued", "running"].iter().any(|state| export["state"] == *state) {
                return Ok(export);
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(READY_WITHIN, polled).await.context("an end of the export")?
}

pub(super) async fn listed(stack: &Stack) -> Result<Vec<Value>> {
    let answer = stack.get("/admin/datasets/visits/exports").await?;
    Ok(answer["exports"].as_array().context("exports")?.clone())
}

/// Runs the program against the stack; returns what it printed.
fn tidegate(stack: &Stack, arguments: &[&str]) -> Result<String> {
    let url = format!("http://{}", stack.http);
    let output = Command::new(env!("CARGO_BIN_EXE_tidegate")).args(arguments).args(["--url", &url]).output()?;
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{arguments:?}: {said}");
    Ok(said)
}
