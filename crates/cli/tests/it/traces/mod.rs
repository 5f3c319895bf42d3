//! Traces are told as they were sent, whole, whether their spans are hot, stored, or half of each.
//!
//! | file | proves |
//! |---|---|
//! | `large.rs` | a trace of 100,000 spans is told whole; an export that breaks off does not look whole |
//! | `map.rs` | calls between services and exported spans against a plain model |
//! | `small.rs` | tree and critical path, comparisons, what the terminal shows |

mod large;
mod map;
mod small;

use std::collections::BTreeMap;
use std::process::Output;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tidegate_load::Stack;
use tokio::process::Command;

/// 2026-01-31T09:00:00Z, in milliseconds.
const BEGIN: u64 = 1_769_850_000_000;
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// A span as it is sent.
#[derive(Debug, Clone)]
struct Sent {
    trace: String,
    id: u64,
    /// 0: none.
    parent: u64,
    service: &'static str,
    name: String,
    /// Milliseconds behind [`BEGIN`].
    start: u64,
    took: u64,
    failed: bool,
}

impl Sent {
    fn new(id: u64, parent: u64, (service, name): (&'static str, &str), (start, took): (u64, u64)) -> Self {
        Self { trace: TRACE.to_owned(), id, parent, service, name: name.to_owned(), start, took, failed: false }
    }

    fn to_json(&self) -> Value {
        let at = |millis: u64| ((BEGIN + millis) * 1_000_000).to_string();
        json!({
            "traceId": self.trace, "spanId": span_id(self.id),
            "parentSpanId": if self.parent == 0 { String::new() } else { span_id(self.parent) },
            "name": self.name, "kind": 2, "status": { "code": if self.failed { 2 } else { 0 } },
            "startTimeUnixNano": at(self.start), "endTimeUnixNano": at(self.start + self.took),
        })
    }
}

fn span_id(id: u64) -> String {
    format!("{id:016x}")
}

async fn send(stack: &Stack, spans: &[Sent]) -> Result<()> {
    let mut by_service: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for span in spans {
        by_service.entry(span.service).or_default().push(span.to_json());
    }
    let of = |(service, spans): (&str, Vec<Value>)| {
        let name = json!([{ "key": "service.name", "value": { "stringValue": service } }]);
        json!({ "resource": { "attributes": name }, "scopeSpans": [{ "spans": spans }] })
    };
    let body = json!({ "resourceSpans": by_service.into_iter().map(of).collect::<Vec<_>>() });
    let url = format!("http://{}/v1/traces", stack.otlp_http);
    let sent = reqwest::Client::new().post(url).header("content-type", "application/json").body(body.to_string());
    let answer = sent.send().await?;
    let (status, text) = (answer.status(), answer.text().await?);
    ensure!(status == 200 && !text.contains("rejected"), "{status}: {text}");
    Ok(())
}

async fn run(stack: &Stack, arguments: &[&str]) -> Result<Output> {
    let url = format!("http://{}", stack.http);
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    Ok(command.args(arguments).args(["--url", &url]).kill_on_drop(true).output().await?)
}

async fn told(stack: &Stack, arguments: &[&str]) -> Result<String> {
    let output = run(stack, arguments).await?;
    ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// Returns how many spans are in ClickHouse, and how many are hot.
async fn stored_and_hot(stack: &Stack) -> Result<(u64, u64)> {
    let told = stack.get("/ledger").await?;
    let line = told["tables"].as_array().into_iter().flatten().find(|line| line["table"] == "spans");
    let number = |name: &str| line.and_then(|line| line[name].as_u64());
    Ok((number("stored").context("a count")?, number("hot").context("a count")?))
}
