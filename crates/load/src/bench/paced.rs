use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tidegate_load::{Encoding, Wire, process};
use tidegate_model::Signal;

use super::lab::{self, Lab};
use super::{Line, Shape};

const LATENCY_ROWS_PER_SECOND: u64 = 10_000;
const LATENCY_SECONDS: u64 = 40;
const LATENCY_CONNECTIONS: usize = 16;
const MEMORY_ROWS_PER_SECOND: u64 = 100_000;
const MEMORY_SECONDS: u64 = 20;
const MEMORY_CONNECTIONS: usize = 16;
const LOOK_AT_MEMORY_EVERY: Duration = Duration::from_millis(100);

/// The time from when a request was due to its ack, at 10 k rows/s: a late start counts as latency.
pub(super) async fn latency(lab: &Lab, name: &str, shape: Shape) -> Result<Line> {
    let rows = LATENCY_ROWS_PER_SECOND * lab.amount(LATENCY_SECONDS).max(10);
    let bodies = lab::bodies(shape, rows)?;
    let (_folder, stack) = lab.start(&[]).await?;
    lab::settled(&stack).await?;
    let mut latencies = lab::send_paced(&stack, shape, &bodies, LATENCY_ROWS_PER_SECOND, LATENCY_CONNECTIONS).await?;
    latencies.sort_unstable();
    let at = |thousandth: usize| {
        let index = (latencies.len() * thousandth / 1_000).min(latencies.len() - 1);
        latencies[index].as_secs_f64() * 1e3
    };
    let numbers = vec![
        ("requests", latencies.len() as f64),
        ("p50 ms", at(500)),
        ("p99 ms", at(990)),
        ("p99.9 ms", at(999)),
        ("worst ms", at(1_000)),
    ];
    Ok(Line { kind: "ack latency at 10 k rows/s", name: name.to_owned(), numbers })
}

/// The most memory that the server held at 100 k rows/s.
pub(super) async fn memory(lab: &Lab, name: &str) -> Result<Line> {
    let shape = Shape { signal: Signal::Logs, wire: Wire::Http, rows: 1_000, encoding: Encoding::Plain };
    let rows = MEMORY_ROWS_PER_SECOND * lab.amount(MEMORY_SECONDS).max(5);
    let bodies = lab::bodies(shape, rows)?;
    let (_folder, stack) = lab.start(&[]).await?;
    let pid = stack.serve_pid().context("the server runs")?;
    let (mut most, mut most_anonymous) = (0, 0);
    let before = lab::used(&stack)?;
    let began = Instant::now();
    let sending = lab::send_paced(&stack, shape, &bodies, MEMORY_ROWS_PER_SECOND, MEMORY_CONNECTIONS);
    tokio::pin!(sending);
    loop {
        tokio::select! {
            sent = &mut sending => {
                sent?;
                break;
            }
            () = tokio::time::sleep(LOOK_AT_MEMORY_EVERY) => {
                let (resident, anonymous) = process::resident(pid).context("the server runs")?;
                (most, most_anonymous) = (most.max(resident), most_anonymous.max(anonymous));
            }
        }
    }
    let (took, after) = (began.elapsed(), lab::used(&stack)?);
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let cores = |cpu: Duration| cpu.as_secs_f64() / took.as_secs_f64();
    let numbers = vec![
        ("k rows/s", rows as f64 / took.as_secs_f64() / 1e3),
        ("serve resident MiB", mib(most)),
        ("of it anonymous MiB", mib(most_anonymous)),
        ("serve cores", cores(after.serve - before.serve)),
        ("engine cores", cores(after.engine - before.engine)),
    ];
    Ok(Line { kind: "memory at 100 k rows/s", name: name.to_owned(), numbers })
}
