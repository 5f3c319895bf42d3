use std::cell::RefCell;
use std::time::Duration;

use anyhow::{Result, anyhow};
use tokio::time::{Instant, sleep_until};

use super::super::lab::futures_join;
use super::super::{Bar, Line};

/// How long after its time a load may still be under way; what is not begun by then has failed.
const LATE_SECONDS: u64 = 20;

/// How often, how long, and by how many at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub(super) per_second: u64,
    pub(super) seconds: u64,
    pub(super) workers: usize,
}

/// What became of paced work.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// How long each took that did not fail, from when it was due; sorted.
    pub(super) took: Vec<Duration>,
    failures: u64,
    first_failure: Option<String>,
}

/// Does the work at a steady rate: each at its due time, or as soon after as a worker is free. A failure is counted,
/// and the next one is due.
pub(super) async fn paced(pace: Pace, work: impl AsyncFn(usize, u64) -> Result<()>) -> Outcome {
    let began = Instant::now();
    let end = began + Duration::from_secs(pace.seconds + LATE_SECONDS);
    let outcome = RefCell::new(Outcome::default());
    let worker = async |worker: usize| -> Result<()> {
        for number in (worker as u64..pace.per_second * pace.seconds).step_by(pace.workers) {
            let due = began + Duration::from_secs_f64(number as f64 / pace.per_second as f64);
            sleep_until(due).await;
            let is_late = Instant::now() > end;
            let done = if is_late {
                Err(anyhow!("it was not even begun {LATE_SECONDS} s after the end"))
            } else {
                work(worker, number).await
            };
            let mut outcome = outcome.borrow_mut();
            match done {
                Ok(()) => outcome.took.push(due.elapsed()),
                Err(error) => {
                    outcome.failures += 1;
                    outcome.first_failure.get_or_insert_with(|| format!("{error:#}"));
                }
            }
        }
        Ok(())
    };
    // A worker's failures are counted, so none of them ends early.
    let _ = futures_join((0..pace.workers).map(worker)).await;
    let mut outcome = outcome.into_inner();
    outcome.took.sort_unstable();
    outcome
}

impl Outcome {
    /// Returns the latency, in milliseconds, that so many of a thousand had at most.
    pub(super) fn percentile(&self, thousandth: usize) -> f64 {
        percentile(&self.took, thousandth)
    }

    /// Returns the bar of work that must not fail.
    pub(super) fn no_failures(&self, name: &str) -> Bar {
        Bar::no_failures(name, self.failures, self.first_failure.as_deref())
    }

    /// Returns the line of a table.
    pub(super) fn line(&self, kind: &'static str, name: String, took: Duration) -> Line {
        let numbers = vec![
            ("requests", self.took.len() as f64 + self.failures as f64),
            ("failures", self.failures as f64),
            ("a second", self.took.len() as f64 / took.as_secs_f64()),
            ("p50 ms", self.percentile(500)),
            ("p95 ms", self.percentile(950)),
            ("p99 ms", self.percentile(990)),
            ("worst ms", self.percentile(1_000)),
        ];
        Line { kind, name, numbers }
    }
}

/// Returns a percentile of sorted times, in milliseconds; of none it is no number.
pub(in crate::bench) fn percentile(sorted: &[Duration], thousandth: usize) -> f64 {
    let index = (sorted.len() * thousandth / 1_000).min(sorted.len().saturating_sub(1));
    sorted.get(index).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
}
