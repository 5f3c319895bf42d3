use crate::Labels;

/// The bits of the value by which a scraper says that a series has ended.
pub const STALE: u64 = 0x7ff0_0000_0000_0002;

/// Says whether a value only tells that its series has ended.
#[must_use]
pub const fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE
}

/// A sample: milliseconds since 1970, and a value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Its time.
    pub time: i64,
    /// Its value.
    pub value: f64,
}

/// Samples of one series, by time, at most one each.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleSeries {
    /// Whose they are.
    pub labels: Labels,
    /// The samples.
    pub points: Vec<Point>,
}

/// What was found for a [`Read`](crate::Read).
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// Its samples.
    Samples(Vec<SampleSeries>),
    /// The value of its function at each step, where there is one.
    Grid(Vec<(Labels, Vec<Option<f64>>)>),
}

/// Moments at which an expression has values, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// The first.
    pub start: i64,
    /// From one to the next; any number above 0 where there is only one.
    pub step: i64,
    /// How many there are, at least one.
    pub steps: usize,
}

impl Grid {
    /// Returns a moment.
    #[must_use]
    pub fn time(&self, at: usize) -> i64 {
        self.start.saturating_add(self.step.saturating_mul(i64::try_from(at).unwrap_or(i64::MAX)))
    }

    /// Returns the last moment.
    #[must_use]
    pub fn last(&self) -> i64 {
        self.time(self.steps - 1)
    }

    /// Lists the moments.
    pub fn times(&self) -> impl Iterator<Item = i64> {
        (0..self.steps).map(|at| self.time(at))
    }
}
