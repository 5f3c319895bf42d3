use crate::eval::{last, window};
use crate::{Found, Grid, SampleSeries, Selector};

/// What an expression wants of one of its selectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// Which series.
    pub selector: Selector,
    /// In which form.
    pub want: Want,
    /// The ends of its windows.
    pub grid: Grid,
    /// The length of a window: a sample is in it that is later than its beginning and not later than its end.
    pub range: i64,
}

/// The form in which a selector is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// Every sample of every window, without markers that a series has ended.
    Samples,
    /// The value of a function over each window.
    Grid(GridFunction),
}

/// Functions that are so common that whoever has the samples may compute them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GridFunction {
    /// The newest value, none where it says that the series has ended.
    Last,
    /// Its time in seconds.
    LastTime,
    /// `rate`
    Rate,
    /// `increase`
    Increase,
    /// `delta`
    Delta,
    /// `irate`
    InstantRate,
    /// `idelta`
    InstantDelta,
    /// `changes`
    Changes,
    /// `resets`
    Resets,
}

impl GridFunction {
    /// Computes the function from samples; those of [`GridFunction::Last`] have the markers among them.
    #[must_use]
    pub fn over(self, samples: &[SampleSeries], grid: Grid, range: i64) -> Found {
        let of = |series: &SampleSeries| {
            let values = grid.times().map(|end| {
                let points = window(&series.points, end, range);
                match self {
                    Self::Last => last(points).map(|point| point.value),
                    #[expect(clippy::cast_precision_loss, reason = "milliseconds of any year that matters are exact")]
                    Self::LastTime => last(points).map(|point| point.time as f64 / 1_000.0),
                    function => crate::eval::grid_function(function, points, (end, range)),
                }
            });
            (series.labels.clone(), values.collect())
        };
        Found::Grid(samples.iter().map(of).collect())
    }
}
