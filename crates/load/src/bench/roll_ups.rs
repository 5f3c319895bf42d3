//! The counts and sums that roll-ups answer, over millions of rows, each beside the same question to the rows by SQL;
//! loopback only. Both are checked to be the same.

use std::time::Instant;

use anyhow::{Result, ensure};
use bytes::Bytes;
use serde_json::Value;
use tidegate_load::{Encoding, Source, Stack, Wire, now_unix_nanos};
use tidegate_model::Signal;

use super::lab::{self, Lab};
use super::load::percentile;
use super::{Line, Measured, Shape};

const LOGS: Shape = Shape { signal: Signal::Logs, wire: Wire::Http, rows: 8_000, encoding: Encoding::Plain };
const SPANS: Shape = Shape { signal: Signal::Traces, ..LOGS };
const POINTS: Shape = Shape { signal: Signal::Metrics, ..LOGS };
const ROWS: [(Shape, u64); 3] = [(LOGS, 10_000_000), (SPANS, 2_000_000), (POINTS, 2_000_000)];
const CONNECTIONS: usize = 4;
/// Requests that are encoded at a time.
const REQUESTS: u64 = 25;
/// Requests whose rows begin at the same moment: an hour later the next ones do.
const REQUESTS_OF_HOUR: u64 = 50;
const NANOS_OF_HOUR: u64 = 3_600_000_000_000;
const READS: usize = 20;

/// A path, and the SQL that counts the same from rows.
const QUESTIONS: [(&str, &str, &str); 4] = [
    (
        "log-stats",
        "/v1/json/logs/stats",
        "SELECT toString(severity_text) AS level, count() AS n FROM logs GROUP BY level",
    ),
    (
        "log-stats-window",
        "/v1/json/logs/stats?from={from}&to={to}",
        "SELECT toString(severity_text) AS level, count() AS n FROM logs \
         WHERE timestamp >= fromUnixTimestamp64Milli({from}) AND timestamp < fromUnixTimestamp64Milli({to}) GROUP BY level",
    ),
    (
        "metric-hours",
        "/v1/json/metrics/aggregations?aggregation=hour&functions=avg,min,max,count",
        "SELECT toStartOfHour(timestamp) AS hour, avg(value), min(value), max(value), count() AS n FROM metric_samples \
         WHERE value_type != 'none' GROUP BY hour",
    ),
    (
        "red",
        "/v1/json/spans/red",
        "SELECT service_name, name, count() AS n, countIf(status_code = 'ERROR'), avg(duration_ns), max(duration_ns) \
         FROM spans GROUP BY service_name, name",
    ),
];

/// Fills a server, and asks.
pub(super) async fn run(lab: &Lab, name: &str) -> Result<Measured> {
    let (_folder, stack) = lab.start(&[("TIDEGATE_CATALOGUE__ENABLED", "false")]).await?;
    lab::answers(&stack).await?;
    let now = now_unix_nanos();
    for (shape, rows) in ROWS {
        send(&stack, shape, lab.amount(rows) / shape.rows, now).await?;
    }
    lab::stored(&stack).await?;
    lab::settled(&stack).await?;
    let (from, to) = ((now - 3 * NANOS_OF_HOUR) / 1_000_000 + 12_345, now / 1_000_000 - 54_321);
    let mut measured = Measured::default();
    for (question, path, sql) in QUESTIONS {
        let filled = |text: &str| text.replace("{from}", &from.to_string()).replace("{to}", &to.to_string());
        let (path, sql) = (filled(path), filled(sql));
        let told = stack.get(&path).await?;
        ensure!(told["from"] == "roll-up", "{path} is answered from {}", told["from"]);
        let (rolled, of_rows) = (total(&told), stack.query(&sql).await?.iter().map(count).sum::<u64>());
        ensure!(rolled == of_rows, "{path} tells of {rolled} rows, there are {of_rows}");
        let by_roll_up = timed(async || stack.get(&path).await.map(drop)).await?;
        let by_rows = timed(async || stack.query(&sql).await.map(drop)).await?;
        let numbers = vec![
            ("rows", of_rows as f64),
            ("p50 ms", by_roll_up.0),
            ("p95 ms", by_roll_up.1),
            ("of rows p50 ms", by_rows.0),
            ("of rows p95 ms", by_rows.1),
        ];
        measured.lines.push(Line { kind: "roll-ups", name: format!("{name}-{question}"), numbers });
    }
    Ok(measured)
}

/// Sends requests whose rows are of many hours, the newest last.
async fn send(stack: &Stack, shape: Shape, requests: u64, now: u64) -> Result<()> {
    let hours = requests.div_ceil(REQUESTS_OF_HOUR);
    for first in (0..requests).step_by(usize::try_from(REQUESTS)?) {
        let hour = first / REQUESTS_OF_HOUR;
        let source = Source::new(hour + 1, now - (hours - hour) * NANOS_OF_HOUR);
        let numbers = first..(first + REQUESTS).min(requests);
        let rows = numbers.map(|n| source.request(shape.signal, n * shape.rows, shape.rows));
        let bodies: Vec<Bytes> = rows.map(Bytes::from).collect();
        lab::send_all(stack, shape, &bodies, CONNECTIONS).await?;
    }
    Ok(())
}

/// Counts the rows that an answer tells of.
fn total(told: &Value) -> u64 {
    let of_rows = |row: &Value| row["requests"].as_u64().or(row["count"].as_u64()).unwrap_or_default();
    let listed = told["data"].as_array().map(|rows| rows.iter().map(of_rows).sum());
    told["total"].as_u64().or(listed).unwrap_or_default()
}

fn count(row: &Value) -> u64 {
    row["n"].as_u64().or_else(|| row["n"].as_str()?.parse().ok()).unwrap_or_default()
}

/// Asks again and again; returns the median and the 95th of a hundred, in milliseconds.
async fn timed(ask: impl AsyncFn() -> std::io::Result<()>) -> Result<(f64, f64)> {
    let mut times = Vec::with_capacity(READS);
    for _ in 0..READS {
        let began = Instant::now();
        ask().await?;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    Ok((percentile(&times, 500), percentile(&times, 950)))
}
