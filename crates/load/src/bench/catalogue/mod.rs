//! Reads of a catalogue that was filled to a stated size, each held against its bar; the real program, over HTTP.
//!
//! A server makes its tables and stops, its engine fills them from numbers and merges them, and the server starts
//! again and takes some rows that stay hot. So what is read is as big as the bar says, and stored and hot rows count.
//!
//! | file | does |
//! |---|---|
//! | `fill.rs` | the statements that fill the tables, and the engine that runs them |
//! | `reads.rs` | which routes are measured, and how |

mod fill;
mod reads;

use anyhow::{Context, Result};
use tidegate_load::{Encoding, Wire};
use tidegate_model::Signal;

use super::lab::{self, Lab};
use super::{Bar, Line, Measured, Shape};

/// Batches that no limit seals while it is measured.
const KEEP_HOT: &[(&str, &str)] = &[
    ("TIDEGATE_CATALOGUE__ENABLED", "true"),
    ("TIDEGATE_TELEMETRY__OWN", "false"),
    ("TIDEGATE_BATCH__AGE_MS", "3600000"),
    ("TIDEGATE_BATCH__ROWS", "1000000"),
];
/// Hot rows of each signal.
const HOT_ROWS: u64 = 1_000;

/// What the catalogue is filled with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    /// 10 M rows of attributes.
    Rows10M,
    /// 100,000 metrics.
    Metrics100K,
    /// 100 M observations of one attribute, 1 M distinct values.
    Observations100M,
}

impl Size {
    pub(super) const ALL: [Self; 3] = [Self::Rows10M, Self::Metrics100K, Self::Observations100M];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Rows10M => "catalogue-list-10m",
            Self::Metrics100K => "catalogue-list-100k-metrics",
            Self::Observations100M => "catalogue-attribute-100m",
        }
    }

    /// What an answer may take, in milliseconds.
    const fn bar_ms(self) -> f64 {
        match self {
            Self::Rows10M | Self::Observations100M => 200.0,
            Self::Metrics100K => 50.0,
        }
    }
}

/// Fills a server's catalogue and measures its answers.
pub(super) async fn run(lab: &Lab, name: &str, size: Size) -> Result<Measured> {
    let (_folder, mut stack) = lab.start(KEEP_HOT).await?;
    lab::answers(&stack).await?;
    let (_, is_good) = stack.stop()?;
    anyhow::ensure!(is_good, "the server did not stop as asked:\n{}", stack.log_tail());
    fill::fill(lab, &stack, size).await.context("fill the catalogue")?;
    stack.start()?;
    stack.ready(lab::READY_WITHIN).await?;
    lab::answers(&stack).await?;
    for signal in Signal::ALL {
        let shape = Shape { signal, wire: Wire::Http, rows: HOT_ROWS, encoding: Encoding::Plain };
        lab::send_all(&stack, shape, &lab::bodies(shape, HOT_ROWS)?, 1).await?;
    }
    lab::settled(&stack).await?;
    let mut measured = Measured::default();
    for read in reads::of(size) {
        let times = reads::measure(lab, &stack, &read, size).await?;
        measured.lines.push(Line { kind: name_of_table(size), name: read.path.to_owned(), numbers: times.numbers() });
        let what = (format!("{} p95 in ms", read.path), times.percentile(950));
        measured.bars.push(Bar::below(name, (&what.0, what.1), size.bar_ms()));
        if times.percentile(950) >= size.bar_ms() {
            reads::tell_statements(&stack, &read).await;
        }
    }
    Ok(measured)
}

const fn name_of_table(size: Size) -> &'static str {
    match size {
        Size::Rows10M => "lists over 10 M catalogue rows",
        Size::Metrics100K => "lists at 100 k metrics",
        Size::Observations100M => "one attribute, 100 M observations",
    }
}
