//! Searches in ten million log records through the API, warm, each against its bar; loopback only.
//!
//! The records come as OTLP, ten hours of them two hours apart, and a few with a rare word as plain JSON. Each search is
//! another value, asked for once before it is measured.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use serde_json::{Value, json};
use tidegate_load::{Encoding, ID_ATTRIBUTE, Source, Stack, Wire, now_unix_nanos};
use tidegate_model::Signal;

use super::lab::{self, Lab};
use super::load::percentile;
use super::{Bar, Line, Measured, Shape};

const SHAPE: Shape = Shape { signal: Signal::Logs, wire: Wire::Http, rows: 8_000, encoding: Encoding::Plain };
const SOURCES: u64 = 10;
const ROWS_OF_SOURCE: u64 = 1_000_000;
/// Requests that are encoded at a time.
const REQUESTS: u64 = 25;
const CONNECTIONS: usize = 4;
const NANOS_BETWEEN: u64 = 7_200_000_000_000;
const WORDS: u64 = 20;
const READS: usize = 100;

/// Fills a server, and searches.
pub(super) async fn run(lab: &Lab, name: &str) -> Result<Measured> {
    let (_folder, stack) = lab.start(&[]).await?;
    lab::answers(&stack).await?;
    let now = now_unix_nanos();
    let rows = lab.amount(ROWS_OF_SOURCE) / SHAPE.rows * SHAPE.rows;
    // Seeds far apart: a trace of one source is none of another's, as it would be a record in every hour.
    let source = |n: u64| Source::new((n + 1) << 8, now - (SOURCES - n) * NANOS_BETWEEN);
    let sources: Vec<Source> = (0..SOURCES).map(source).collect();
    let before = lab::used(&stack)?;
    for (at, source) in sources.iter().enumerate() {
        send(&stack, source, rows).await?;
        rare_words(&stack, now - (SOURCES - at as u64) * NANOS_BETWEEN, at as u64).await?;
    }
    lab::stored(&stack).await?;
    lab::settled(&stack).await?;
    let after = lab::used(&stack)?;
    let millions = (SOURCES * rows) as f64 / 1e6;
    let cpu = [after.serve - before.serve, after.engine - before.engine].map(|cpu| cpu.as_secs_f64() / millions);
    let mut measured = Measured::default();
    for (search, limit_ms, asked) in searches(&stack, &sources, (now, rows)).await? {
        let mut times = Vec::with_capacity(asked.len());
        for path in &asked {
            found(&stack, path).await?;
        }
        for path in &asked {
            let began = Instant::now();
            found(&stack, path).await?;
            times.push(began.elapsed());
        }
        times.sort_unstable();
        let p95 = percentile(&times, 950);
        let numbers = vec![("M rows", millions), ("p50 ms", percentile(&times, 500)), ("p95 ms", p95)];
        measured.lines.push(Line { kind: "log search", name: format!("{name}-{search}"), numbers });
        measured.bars.push(Bar::below(name, (&format!("{search} p95 in ms"), p95), limit_ms));
    }
    let numbers = vec![("serve CPU s/M", cpu[0]), ("engine CPU s/M", cpu[1])];
    measured.lines.push(Line { kind: "log search, rows taken", name: name.to_owned(), numbers });
    Ok(measured)
}

async fn send(stack: &Stack, source: &Source, rows: u64) -> Result<()> {
    let requests = rows / SHAPE.rows;
    for first in (0..requests).step_by(usize::try_from(REQUESTS)?) {
        let numbers = first..(first + REQUESTS).min(requests);
        let bodies: Vec<Bytes> =
            numbers.map(|n| Bytes::from(source.request(Signal::Logs, n * SHAPE.rows, SHAPE.rows))).collect();
        lab::send_all(stack, SHAPE, &bodies, CONNECTIONS).await?;
    }
    Ok(())
}

/// Two records for some words that no other record has.
async fn rare_words(stack: &Stack, base: u64, at: u64) -> Result<()> {
    let millis = base / 1_000_000;
    let entry = |n: u64| {
        let word = (n / 2) * SOURCES + at;
        json!({ "timestamp": millis + n, "level": "error", "source": "rare", "message": format!("quota of needle{word}x was exceeded") })
    };
    let entries: Vec<Value> = (0..2 * WORDS / SOURCES).map(entry).collect();
    let url = format!("http://{}/v1/json/logs", stack.http);
    let answer = reqwest::Client::new().post(url).body(json!(entries).to_string()).send().await?;
    ensure!(answer.status() == 201, "{}", answer.status());
    Ok(())
}

type Search = (&'static str, f64, Vec<String>);

/// Returns each search: its name, its bar in milliseconds, and what is asked for.
async fn searches(stack: &Stack, sources: &[Source], (now, rows): (u64, u64)) -> Result<Vec<Search>> {
    let traces = format!("SELECT trace_id FROM logs WHERE trace_id != '' AND _seq % 9973 = 7 LIMIT {READS}");
    let traces = stack.query(&traces).await?;
    let traces: Vec<String> = traces.iter().filter_map(|row| row["trace_id"].as_str()).map(str::to_owned).collect();
    ensure!(!traces.is_empty(), "no record has a trace");
    let services = stack
        .query("SELECT DISTINCT toString(service_name) AS name FROM logs WHERE service_name LIKE 'checkout-%'")
        .await?;
    let services: Vec<&str> = services.iter().filter_map(|row| row["name"].as_str()).collect();
    let hour = |n: usize| {
        let from = now - (1 + n as u64 % SOURCES) * NANOS_BETWEEN;
        let (from, to) = (from / 1_000_000, from / 1_000_000 + 3_600_000);
        format!("source={}&from={from}&to={to}", services[n % services.len()])
    };
    let id = |n: usize| {
        let row = (n as u64).wrapping_mul(7_919_993) % rows;
        format!("attribute={ID_ATTRIBUTE}%3D{}", sources[n % sources.len()].row_id(row))
    };
    let path = |query: String| format!("/v1/json/logs?limit=100&{query}");
    Ok(vec![
        ("trace", 30.0, traces.iter().map(|trace| path(format!("trace_id={trace}"))).collect()),
        ("service-hour", 50.0, (0..READS).map(|n| path(hour(n))).collect()),
        ("word", 150.0, (0..WORDS).map(|n| path(format!("text=NEEDLE{n}x"))).collect()),
        ("attribute", 150.0, (0..READS).map(|n| path(id(n))).collect()),
    ])
}

/// Asks once; every search finds something.
async fn found(stack: &Stack, path: &str) -> Result<()> {
    let page = stack.get(path).await?;
    let rows = page["data"].as_array().with_context(|| format!("{path}: {page}"))?;
    ensure!(!rows.is_empty(), "{path} finds nothing");
    Ok(())
}
