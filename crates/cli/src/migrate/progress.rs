use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Tells how far something is: a bar on a terminal, a line now and then elsewhere.
pub(super) struct Progress {
    what: &'static str,
    unit: &'static str,
    bar: Option<ProgressBar>,
    all: u64,
    /// What was done before.
    before: u64,
    done: u64,
    began: Instant,
    told: Instant,
}

impl Progress {
    pub(super) fn new(what: &'static str, all: u64, before: u64) -> Self {
        Self::of("rows", what, (all, before))
    }

    /// Counts something else than rows.
    pub(super) fn of(unit: &'static str, what: &'static str, (all, before): (u64, u64)) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let template =
                format!("{{msg}} {{wide_bar:.cyan}} {{percent:>3}} %  {{human_pos}} {unit}, {{per_sec}}, {{eta}} left");
            let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = ProgressBar::new(all).with_style(style).with_message(what).with_position(before);
            bar.reset_eta();
            bar
        });
        let now = Instant::now();
        Self { what, unit, bar, all, before, done: before, began: now, told: now }
    }

    pub(super) fn add(&mut self, rows: u64) {
        self.done += rows;
        match &self.bar {
            Some(bar) => bar.set_position(self.done),
            None if self.told.elapsed() >= LINE_EVERY => {
                self.told = Instant::now();
                eprintln!("{}", self.line());
            }
            None => {}
        }
    }

    /// Ends it; returns rows a second.
    pub(super) fn end(self) -> u64 {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        self.rate()
    }

    fn rate(&self) -> u64 {
        let millis = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        (self.done - self.before).saturating_mul(1_000) / millis
    }

    fn line(&self) -> String {
        let (share, rate) = (self.done * 100 / self.all.max(1), self.rate());
        let left = (self.all.saturating_sub(self.done)).checked_div(rate);
        let left = left.map_or_else(|| "unknown".to_owned(), |seconds| format!("{seconds} s"));
        let Self { what, unit, done, all, .. } = self;
        format!("{what}: {share} %, {done} of {all} {unit}, {rate} {unit}/s, {left} left")
    }
}
