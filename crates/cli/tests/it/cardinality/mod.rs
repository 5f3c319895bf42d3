//! The cardinality API of the real `tidegate serve`.
//!
//! | file | proves |
//! |---|---|
//! | `telemetry.rs` | what is sent, small enough to be counted by hand |
//! | `routes.rs` | every route's answer, the same from hot and from stored rows; windows, pages |
//! | `engine.rs` | batches of requests, templates, the engine's own numbers |
//! | `memory.rs` | what is answered from memory is what the tables say |
//! | `sessions.rs` | sessions: saved, compared, sent out and taken back |
//! | `terminal.rs` | the commands that show the same on a terminal |
//! | `document.rs` | the OpenAPI document describes every route, and every route answers as it says |
//! | `long.rs` | lists of more than a thousand items |
//! | `refusals.rs` | 404 and 400 with a text; no combination of odd parameters is a 500 |
//! | `answers/` | the answers |

mod document;
mod refusals;
mod engine;
mod long;
mod memory;
mod routes;
mod sessions;
mod telemetry;
mod terminal;

use anyhow::{Context, Result};
use serde_json::Value;
use tempfile::TempDir;
use tidegate_load::Stack;

use crate::started;

/// A server and a client that wants the status as well.
pub(super) struct Api {
    pub(super) stack: Stack,
    pub(super) client: reqwest::Client,
    _folders: [TempDir; 2],
}

impl Api {
    /// Starts a server whose rows stay hot, with the telemetry in it.
    pub(super) async fn start() -> Result<Self> {
        let api = Self::empty().await?;
        telemetry::send(&api).await?;
        Ok(api)
    }

    /// Starts a server without telemetry.
    pub(super) async fn empty() -> Result<Self> {
        Self::that_stores_after("600000").await
    }

    /// The same; its rows are stored after so many milliseconds.
    pub(super) async fn that_stores_after(age_ms: &str) -> Result<Self> {
        let backups = tempfile::tempdir()?;
        let (folder, stack) = started(&[
            ("TIDEGATE_BATCH__AGE_MS", age_ms),
            ("TIDEGATE_CATALOGUE__ENABLED", "true"),
            ("TIDEGATE_BACKUP__FOLDER", &backups.path().display().to_string()),
        ])
        .await?;
        Ok(Self { stack, client: reqwest::Client::new(), _folders: [folder, backups] })
    }

    /// Asks for JSON.
    pub(super) async fn get(&self, path: &str) -> Result<(u16, Value)> {
        self.ask(reqwest::Method::GET, path, "").await
    }

    /// Sends a request and reads its answer as JSON; no body is `null`.
    pub(super) async fn ask(&self, method: reqwest::Method, path: &str, body: &str) -> Result<(u16, Value)> {
        let url = format!("http://{}{path}", self.stack.http);
        let request = self.client.request(method, url).header("content-type", "application/json");
        let answer = request.body(body.to_owned()).send().await?;
        let status = answer.status().as_u16();
        let text = answer.text().await?;
        let value = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).context(text)? };
        Ok((status, value))
    }

    /// Asks for what must be there.
    pub(super) async fn good(&self, path: &str) -> Result<Value> {
        let (status, value) = self.get(path).await?;
        anyhow::ensure!(status == 200, "{path}: {status} {value}");
        Ok(value)
    }
}

/// Leaves out which values stand for many: any of them may.
pub(super) fn without_samples(mut value: Value) -> Value {
    match &mut value {
        Value::Object(fields) => {
            fields.retain(|name, value| {
                let is_sample = matches!(name.as_str(), "value_samples" | "sample_values");
                !(is_sample && value.as_array().is_some_and(|samples| samples.len() >= 5))
            });
            fields.values_mut().for_each(|field| *field = without_samples(field.take()));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = without_samples(item.take())),
        _ => {}
    }
    value
}
