use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tidegate_load::Stack;

use super::super::lab::Lab;
use super::super::load::percentile;
use super::Size;
use super::fill::{DISTINCT, HIGH_KEYS, METRICS};

const WARM_READS: usize = 3;
/// By then the server has the catalogue in memory.
const WARM: Duration = Duration::from_secs(3);
const READS: u64 = 40;
/// How often it is looked which statements run.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Reads during which it is looked.
const LOOKED_AT: usize = 5;
/// Statements that are told, and the letters of each.
const STATEMENTS_TOLD: usize = 3;
const STATEMENT_CHARS: usize = 600;
/// Of the hot rows: each of the generator's four metrics has an attribute with 250 values.
const HOT_HIGH_KEYS: u64 = 4;

/// A route, and what must be in its answer.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) path: &'static str,
    /// A JSON pointer and the value there.
    expected: Option<(&'static str, Value)>,
}

/// Times of one route, sorted.
pub(super) struct Times(Vec<Duration>);

/// Returns the routes that are measured.
pub(super) fn of(size: Size) -> Vec<Read> {
    let plain = |path| Read { path, expected: None };
    let with = |path, pointer, value: Value| Read { path, expected: Some((pointer, value)) };
    match size {
        Size::Rows10M => vec![
            with("/api/v1/cardinality/high?signal_type=metric", "/total", json!(HIGH_KEYS + HOT_HIGH_KEYS)),
            plain("/api/v1/cardinality/high"),
            plain("/v2/cardinality?min_cardinality=100"),
        ],
        // The generator's own metrics are hot.
        Size::Metrics100K => vec![
            plain("/api/v1/metrics"),
            with("/api/v1/metrics?to=2026-02-01", "/total", json!(METRICS)),
            plain("/api/v1/spans"),
            plain("/api/v1/span-patterns"),
            plain("/api/v1/logs"),
            plain("/api/v1/logs/by-service"),
            plain("/api/v1/logs/patterns"),
            plain("/api/v1/services"),
            plain("/api/v1/attributes"),
            plain("/api/v1/cardinality/high"),
            plain("/api/v1/cardinality/complexity"),
            plain("/v2/metrics"),
            plain("/v2/cardinality"),
            plain("/v2/logs/patterns"),
        ],
        Size::Observations100M => vec![
            with("/api/v1/attributes/customer.id", "/data/estimated_cardinality", json!(DISTINCT)),
            with("/v2/cardinality/customer.id", "/estimated_cardinality", json!(DISTINCT)),
            plain("/v2/cardinality/customer.id?period=1h&from=2026-01-31T05:00:00Z&to=2026-01-31T07:00:00Z"),
        ],
    }
}

/// Asks a route again and again, one request at a time.
pub(super) async fn measure(lab: &Lab, stack: &Stack, read: &Read, size: Size) -> Result<Times> {
    let began = Instant::now();
    let mut asked = 0;
    while asked < WARM_READS || began.elapsed() < WARM {
        ask(stack, read).await.with_context(|| format!("{size:?}"))?;
        asked += 1;
    }
    let mut times = Vec::new();
    for _ in 0..lab.amount(READS).max(10) {
        let began = Instant::now();
        ask(stack, read).await?;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    Ok(Times(times))
}

impl Times {
    pub(super) fn percentile(&self, thousandth: usize) -> f64 {
        percentile(&self.0, thousandth)
    }

    pub(super) fn numbers(&self) -> Vec<(&'static str, f64)> {
        let [p50, p95, worst] = [500, 950, 1_000].map(|thousandth| self.percentile(thousandth));
        vec![("reads", self.0.len() as f64), ("p50 ms", p50), ("p95 ms", p95), ("worst ms", worst)]
    }
}

/// Says which statements of a slow route ran longest: they are seen in the engine's list while they run.
pub(super) async fn tell_statements(stack: &Stack, read: &Read) {
    let mut seen: Vec<(f64, String)> = Vec::new();
    for _ in 0..LOOKED_AT {
        let asking = ask(stack, read);
        tokio::pin!(asking);
        loop {
            tokio::select! {
                _ = &mut asking => break,
                () = tokio::time::sleep(LOOK_EVERY) => look(stack, &mut seen).await,
            }
        }
    }
    seen.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (seconds, statement) in seen.iter().take(STATEMENTS_TOLD) {
        let shown: String = statement.chars().take(STATEMENT_CHARS).collect();
        eprintln!("  ran {:.0} ms or longer: {shown}", seconds * 1e3);
    }
}

async fn look(stack: &Stack, seen: &mut Vec<(f64, String)>) {
    let sql =
        "SELECT elapsed, query FROM system.processes WHERE query NOT LIKE '%system.processes%' FORMAT JSONCompact";
    // A look that fails only makes the list shorter.
    let Ok(text) = stack.clickhouse(sql).await else { return };
    let Ok(answer) = serde_json::from_str::<Value>(&text) else { return };
    for row in answer["data"].as_array().into_iter().flatten() {
        let (Some(elapsed), Some(query)) = (row[0].as_f64(), row[1].as_str()) else { continue };
        match seen.iter_mut().find(|(_, known)| known == query) {
            Some(known) => known.0 = known.0.max(elapsed),
            None => seen.push((elapsed, query.to_owned())),
        }
    }
}

async fn ask(stack: &Stack, read: &Read) -> Result<()> {
    let answer = stack.get(read.path).await?;
    ensure!(answer.get("error").is_none(), "{}: {answer}", read.path);
    if let Some((pointer, value)) = &read.expected {
        let found = answer.pointer(pointer);
        ensure!(found == Some(value), "{}: {pointer} should be {value}, it is {found:?}", read.path);
    }
    Ok(())
}
