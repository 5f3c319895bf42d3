//! Logs, metrics and events as plain JSON: what goes in comes out, narrowed, counted and summed up as a plain model has
//! it, whether rows are hot, stored or on their way; and readers of what is new are given each row once.
//!
//! | file | proves |
//! |---|---|
//! | `away.rs` | what is answered while ClickHouse is away |
//! | `entries.rs` | entries are rows; refused ones are told; OTLP's events; the scripts of `examples/` |
//! | `reads.rs` | pages, counts and buckets against a model |
//! | `tail.rs` | readers of what is new |
//! | `terminal.rs` | `tidegate logs`, `events`, `metrics`, `tail`, `alerts` |

mod away;
mod entries;
mod reads;
mod tail;
mod terminal;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tidegate_load::Stack;

/// Sends a body; returns status and answer.
async fn send(stack: &Stack, path: &str, body: String, headers: &[(&str, &str)]) -> Result<(u16, Value)> {
    let request = reqwest::Client::new().post(format!("http://{}{path}", stack.http)).body(body);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let answer = request.send().await?;
    let status = answer.status().as_u16();
    let text = answer.text().await?;
    Ok((status, serde_json::from_str(&text).with_context(|| format!("{path}: {status}: {text}"))?))
}

/// Sends entries that must all be taken.
async fn taken(stack: &Stack, kind: &str, entries: &[Value]) -> Result<()> {
    let (status, told) = send(stack, &format!("/v1/json/{kind}"), json!(entries).to_string(), &[]).await?;
    ensure!((status, &told["accepted"]) == (201, &json!(entries.len())), "{status} {told}");
    Ok(())
}

/// Reads all pages of a list.
async fn pages(stack: &Stack, path: &str) -> Result<Vec<Value>> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = stack.get(&format!("{path}{cursor}")).await?;
        all.extend(page["data"].as_array().with_context(|| format!("{path}: {page}"))?.iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(all),
        }
    }
}

/// Returns the ledger's line of a table: received, stored, hot, rejected, duplicate.
async fn ledger(stack: &Stack, table: &str) -> Result<[u64; 5]> {
    let told = stack.get("/ledger").await?;
    let line = told["tables"].as_array().into_iter().flatten().find(|line| line["table"] == table);
    let line = line.with_context(|| format!("no line of {table}: {told}"))?;
    Ok(["received", "stored", "hot", "rejected", "duplicate"].map(|name| line[name].as_u64().unwrap_or(u64::MAX)))
}
