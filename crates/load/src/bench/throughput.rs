use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;
use tidegate_model::Signal;

use super::lab::{self, Lab};
use super::{Line, Shape, parts};

const ROWS: u64 = 600_000;
/// Small requests cost more each; fewer rows take as long.
const ROWS_SMALL: u64 = 200_000;
const CONNECTIONS: usize = 4;

/// Sends as fast as acknowledged, waits until the merges have settled, and divides by the rows.
pub(super) async fn run(lab: &Lab, name: &str, shape: Shape) -> Result<Line> {
    let rows = lab.amount(if shape.rows < 1_000 { ROWS_SMALL } else { ROWS }) / shape.rows * shape.rows;
    let bodies = lab::bodies(shape, rows)?;
    let (_folder, stack) = lab.start(&[]).await?;
    lab::settled(&stack).await?;
    let before = lab::used(&stack)?;
    let began = Instant::now();
    let acked = lab::send_all(&stack, shape, &bodies, CONNECTIONS).await?;
    let load = lab::used(&stack)?.load - before.load;
    lab::stored(&stack).await?;
    let all_in = began.elapsed();
    lab::settled(&stack).await?;
    let after = lab::used(&stack)?;
    let (serve, engine) = (after.serve - before.serve, after.engine - before.engine);
    let millions = rows as f64 / 1e6;
    let a_million = |cpu: Duration| cpu.as_secs_f64() / millions;
    let wire = wire_bytes(&bodies) / rows as f64;
    let stored = parts::stored_bytes(stack.data(), prefix(shape.signal))? / rows as f64;
    let numbers = vec![
        ("k rows", rows as f64 / 1e3),
        ("serve CPU s/M", a_million(serve)),
        ("engine CPU s/M", a_million(engine)),
        ("all in CPU s/M", a_million(serve + engine)),
        ("load CPU s/M", a_million(load)),
        ("acked k rows/s", rows as f64 / acked.as_secs_f64() / 1e3),
        ("stored k rows/s", rows as f64 / all_in.as_secs_f64() / 1e3),
        ("wire B/row", wire),
        ("stored B/row", stored),
        ("ratio", wire / stored),
    ];
    Ok(Line { kind: "throughput", name: name.to_owned(), numbers })
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
