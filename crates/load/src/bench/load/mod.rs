//! The loads that the requirements state, against the real program with its catalogue on; loopback only.
//!
//! | line | does | bar |
//! |---|---|---|
//! | `load-writes` | 100 data points, 50 spans and 30 log records a second, each a request of its own, for two minutes | no failure |
//! | `load-reads` | 50 reads a second over all of `/api/v1` while the same is written, for a minute | no failure, p95 < 8 ms |
//! | `load-sustained` | 20 times 6,407 signals a second in requests of 1,000, for a minute | the rate, no failure |
//!
//! A latency counts from when a request was due: one that starts late has waited already. Anything but a success is a
//! failure, also a 429. Bodies of the last line are encoded before and sent again and again, each time as a request of
//! its own, so that encoding does not take the processor from what is measured.
//!
//! | file | does |
//! |---|---|
//! | `pace.rs` | work at a steady rate, over several workers |
//! | `writes.rs` | what is sent |
//! | `reads.rs` | what is asked |

mod pace;
mod reads;
mod writes;

use std::time::{Duration, Instant};

use anyhow::Result;
use tidegate_load::Stack;
use tidegate_model::Signal;

use super::lab::{self, Lab, Used};
use super::{Bar, Line, Measured};
pub(super) use pace::percentile;
use pace::{Outcome, Pace, paced};
use reads::Reads;
use writes::Writes;

/// Data points, spans and log records a second.
const STATED: [(Signal, u64); 3] = [(Signal::Metrics, 100), (Signal::Traces, 50), (Signal::Logs, 30)];
/// What the store before this one took at most.
const PREDECESSOR_SIGNALS_PER_SECOND: u64 = 6_407;
const TIMES: u64 = 20;
const SUSTAINED_ROWS: u64 = 1_000;
const READS_PER_SECOND: u64 = 50;
const READ_P95_MS: f64 = 8.0;
/// Rows that are there before anything is asked, so that every name is.
const KNOWN_ROWS: u64 = 4_000;
const KIND: &str = "load";
const CATALOGUE_ON: &[(&str, &str)] = &[("TIDEGATE_CATALOGUE__ENABLED", "true")];

/// A load of the requirements.
#[derive(Debug, Clone, Copy)]
pub(super) enum Load {
    Writes,
    Reads,
    Sustained,
}

impl Load {
    pub(super) const ALL: [Self; 3] = [Self::Writes, Self::Reads, Self::Sustained];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Writes => "load-writes",
            Self::Reads => "load-reads",
            Self::Sustained => "load-sustained",
        }
    }
}

/// Starts a server, puts the load on it, and holds the outcome against the bar.
pub(super) async fn run(lab: &Lab, name: &str, load: Load) -> Result<Measured> {
    let (_folder, stack) = lab.start(CATALOGUE_ON).await?;
    lab::answers(&stack).await?;
    match load {
        Load::Writes => stated_writes(lab, name, &stack).await,
        Load::Reads => reads_while_writing(lab, name, &stack).await,
        Load::Sustained => sustained(lab, name, &stack).await,
    }
}

async fn stated_writes(lab: &Lab, name: &str, stack: &Stack) -> Result<Measured> {
    let writes = stated(stack)?;
    let before = lab::used(stack)?;
    let (outcomes, took) = write(&writes, lab.seconds(120)).await;
    let used = (before, lab::used(stack)?, took);
    let mut measured = Measured::default();
    for (writes, outcome) in writes.iter().zip(&outcomes) {
        measured.lines.push(outcome.line(KIND, format!("{name}-{}", writes.signal), took));
        measured.bars.push(outcome.no_failures(&format!("{name}-{}", writes.signal)));
    }
    measured.lines.push(processors(name, used));
    Ok(measured)
}

async fn reads_while_writing(lab: &Lab, name: &str, stack: &Stack) -> Result<Measured> {
    let known = Writes::prepare(stack, Signal::ALL.map(|signal| (signal, 1, KNOWN_ROWS)), 1)?;
    for writes in &known {
        writes.send(0, 0).await?;
    }
    let reads = Reads::prepare(stack).await?;
    let writes = stated(stack)?;
    let seconds = lab.seconds(60);
    let before = lab::used(stack)?;
    let pace = Pace { per_second: READS_PER_SECOND, seconds, workers: reads::WORKERS };
    let ((written, took), read) =
        tokio::join!(write(&writes, seconds), paced(pace, async |_, number| reads.ask(number).await));
    let used = (before, lab::used(stack)?, took);
    let mut measured = Measured::default();
    measured.lines.push(read.line(KIND, name.to_owned(), took));
    measured.bars.push(read.no_failures(name));
    measured.bars.push(Bar::below(name, ("p95 in ms", read.percentile(950)), READ_P95_MS));
    for (writes, outcome) in writes.iter().zip(&written) {
        measured.lines.push(outcome.line(KIND, format!("{name}-beside-{}", writes.signal), took));
        measured.bars.push(outcome.no_failures(&format!("{name}-beside-{}", writes.signal)));
    }
    measured.lines.push(processors(name, used));
    measured.lines.extend(reads.lines("reads by route, from when they are sent"));
    Ok(measured)
}

async fn sustained(lab: &Lab, name: &str, stack: &Stack) -> Result<Measured> {
    let wanted = PREDECESSOR_SIGNALS_PER_SECOND * TIMES;
    let stated: u64 = STATED.iter().map(|(_, rows)| rows).sum();
    // Rounded up to whole requests, so what is sent is never less than what is wanted.
    let per_second = |rows: u64| (wanted * rows).div_ceil(stated * SUSTAINED_ROWS);
    let writes = Writes::prepare(
        stack,
        STATED.map(|(signal, rows)| (signal, per_second(rows), SUSTAINED_ROWS)),
        writes::BODIES_KEPT,
    )?;
    lab::settled(stack).await?;
    let before = lab::used(stack)?;
    let (outcomes, took) = write(&writes, lab.seconds(60)).await;
    let used = (before, lab::used(stack)?, took);
    let began = Instant::now();
    lab::stored(stack).await?;
    let drained = began.elapsed();
    let mut measured = Measured::default();
    let mut acked = 0;
    for (writes, outcome) in writes.iter().zip(&outcomes) {
        acked += outcome.took.len() as u64 * SUSTAINED_ROWS;
        measured.lines.push(outcome.line(KIND, format!("{name}-{}", writes.signal), took));
        measured.bars.push(outcome.no_failures(&format!("{name}-{}", writes.signal)));
    }
    let rate = acked as f64 / took.as_secs_f64();
    measured.bars.push(Bar::at_least(name, ("acknowledged signals a second", rate), wanted as f64));
    let mut line = processors(name, used);
    line.numbers.extend([("signals/s", rate), ("all stored after s", drained.as_secs_f64())]);
    measured.lines.push(line);
    Ok(measured)
}

/// Each data point, span and log record is a request of its own.
fn stated(stack: &Stack) -> Result<[Writes<'_>; 3]> {
    Writes::prepare(stack, STATED.map(|(signal, rows)| (signal, rows, 1)), writes::BODIES_KEPT)
}

/// Writes all signals side by side; returns what became of each, and how long all took.
async fn write(writes: &[Writes<'_>; 3], seconds: u64) -> ([Outcome; 3], Duration) {
    let began = Instant::now();
    let one = async |writes: &Writes<'_>| {
        let pace = Pace { per_second: writes.per_second, seconds, workers: writes::WORKERS };
        paced(pace, async |worker, number| writes.send(worker, number).await).await
    };
    let (a, b, c) = tokio::join!(one(&writes[0]), one(&writes[1]), one(&writes[2]));
    ([a, b, c], began.elapsed())
}

fn processors(name: &str, (before, after, took): (Used, Used, Duration)) -> Line {
    let cores = |cpu: Duration| cpu.as_secs_f64() / took.as_secs_f64();
    let numbers = vec![
        ("serve cores", cores(after.serve - before.serve)),
        ("engine cores", cores(after.engine - before.engine)),
        ("load cores", cores(after.load - before.load)),
    ];
    Line { kind: "processors under load", name: name.to_owned(), numbers }
}
