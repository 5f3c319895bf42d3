use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;
use tidegate_model::Signal;

use super::lab::{self, Lab};
use super::{Line, Shape, parts};

/// What two cores take for hours, with room to merge: memory and files of the log are used again, none is new.
const ROWS_PER_SECOND: u64 = 50_000;
const WARM_ROWS: u64 = 300_000;
const ROWS: u64 = 900_000;
const BURST_ROWS: u64 = 300_000;
const CONNECTIONS: usize = 4;

/// Warms up, sends at a steady rate, waits until the merges have settled, and divides by the rows; then sends a burst
/// as fast as it is acknowledged.
pub(super) async fn run(lab: &Lab, name: &str, shape: Shape) -> Result<Line> {
    let [warm, rows, burst] = [WARM_ROWS, ROWS, BURST_ROWS].map(|rows| (lab.amount(rows) / shape.rows).max(1));
    let bodies = lab::bodies(shape, (warm + rows + burst) * shape.rows)?;
    let (warm, rest) = bodies.split_at(index(warm));
    let (bodies, burst) = rest.split_at(index(rows));
    let rows = rows * shape.rows;
    let (_folder, stack) = lab.start(&[]).await?;
    lab::send_paced(&stack, shape, warm, ROWS_PER_SECOND, CONNECTIONS).await?;
    lab::stored(&stack).await?;
    lab::settled(&stack).await?;
    let stored_before = parts::stored_bytes(stack.data(), prefix(shape.signal))?;

    let before = lab::used(&stack)?;
    lab::send_paced(&stack, shape, bodies, ROWS_PER_SECOND, CONNECTIONS).await?;
    let load = lab::used(&stack)?.load - before.load;
    lab::stored(&stack).await?;
    lab::settled(&stack).await?;
    let after = lab::used(&stack)?;
    let stored = parts::stored_bytes(stack.data(), prefix(shape.signal))?;

    let began = Instant::now();
    lab::send_all(&stack, shape, burst, CONNECTIONS).await?;
    let acked = began.elapsed();
    lab::stored(&stack).await?;
    let all_in = began.elapsed();

    let (serve, engine) = (after.serve - before.serve, after.engine - before.engine);
    let millions = rows as f64 / 1e6;
    let a_million = |cpu: Duration| cpu.as_secs_f64() / millions;
    let wire = wire_bytes(bodies) / rows as f64;
    let stored = (stored - stored_before) / rows as f64;
    let burst_rows = burst.len() as f64 * shape.rows as f64;
    let numbers = vec![
        ("k rows", rows as f64 / 1e3),
        ("serve CPU s/M", a_million(serve)),
        ("engine CPU s/M", a_million(engine)),
        ("all in CPU s/M", a_million(serve + engine)),
        ("load CPU s/M", a_million(load)),
        ("burst acked k rows/s", burst_rows / acked.as_secs_f64() / 1e3),
        ("burst stored k rows/s", burst_rows / all_in.as_secs_f64() / 1e3),
        ("wire B/row", wire),
        ("stored B/row", stored),
        ("ratio", wire / stored),
    ];
    Ok(Line { kind: "throughput", name: name.to_owned(), numbers })
}

fn index(requests: u64) -> usize {
    usize::try_from(requests).expect("a bench's requests fit in memory")
}

fn wire_bytes(bodies: &[Bytes]) -> f64 {
    bodies.iter().map(|body| body.len() as f64).sum()
}

fn prefix(signal: Signal) -> &'static str {
    match signal {
        Signal::Logs => "logs",
        Signal::Traces => "spans",
        Signal::Metrics => "metric_",
    }
}
