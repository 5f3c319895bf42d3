use super::{Evaluation, Value, VectorSeries, over_time, rates, regression};
use crate::plan::{Over, Samples, Source, Windowed};
use crate::{Found, Grid, Point, PromqlError, SampleSeries, is_stale};

/// Returns the points of a window, open at its beginning.
pub(crate) fn window(points: &[Point], end: i64, range: i64) -> &[Point] {
    let begin = end.saturating_sub(range);
    let first = points.partition_point(|point| point.time <= begin);
    let behind = points.partition_point(|point| point.time <= end);
    &points[first..behind.max(first)]
}

/// Returns the newest point, unless it says that the series has ended.
pub(crate) fn last(points: &[Point]) -> Option<Point> {
    points.last().copied().filter(|point| !is_stale(point.value))
}

/// A window on its way through a function.
pub(super) struct Window<'p> {
    pub(super) points: &'p [Point],
    pub(super) end: i64,
    pub(super) range: i64,
    /// The moment of evaluation, which an offset does not move.
    pub(super) moment: i64,
}

impl Evaluation<'_> {
    pub(super) fn over(&self, over: &Over, grid: Grid) -> Result<Vec<VectorSeries>, PromqlError> {
        let parameters = over.parameters.iter().map(|node| self.scalar(node, grid)).collect::<Result<Vec<_>, _>>()?;
        if over.function == Windowed::HoltWinters {
            regression::check_factors(&parameters)?;
        }
        let shift = over.source.shift;
        let of = |series: &SampleSeries| {
            let values = grid.times().enumerate().map(|(at, moment)| {
                let (end, range) = (shift.end(moment), over.source.range);
                let moment = if shift.at.is_some() { self.start } else { moment };
                let window = Window { points: window(&series.points, end, range), end, range, moment };
                let parameters: Vec<f64> = parameters.iter().map(|values| values[at]).collect();
                value(over.function, &window, &parameters)
            });
            let is_named = matches!(over.function, Windowed::Last | Windowed::First);
            let labels = if is_named { series.labels.clone() } else { series.labels.unnamed() };
            VectorSeries { labels, values: values.collect() }
        };
        let series: Vec<_> = match &over.source.samples {
            Samples::Read(read) => self.samples(*read)?.iter().map(of).collect(),
            Samples::Subquery(..) => self.subquery(&over.source)?.iter().map(of).collect(),
        };
        Ok(series.into_iter().filter(|series| series.values.iter().any(Option::is_some)).collect())
    }

    /// Returns samples as they are, at the first step.
    pub(super) fn matrix(&self, source: &Source, grid: Grid) -> Result<Vec<SampleSeries>, PromqlError> {
        let (end, range) = (source.shift.end(grid.start), source.range);
        let subquery = match &source.samples {
            Samples::Read(_) => None,
            Samples::Subquery(..) => Some(self.subquery(source)?),
        };
        let all = match (&subquery, &source.samples) {
            (Some(all), _) => &all[..],
            (None, Samples::Read(read)) => self.samples(*read)?,
            (None, Samples::Subquery(..)) => &[],
        };
        let cut = all.iter().map(|series| SampleSeries {
            labels: series.labels.clone(),
            points: window(&series.points, end, range).to_vec(),
        });
        Ok(cut.filter(|series| !series.points.is_empty()).collect())
    }

    fn samples(&self, read: usize) -> Result<&[SampleSeries], PromqlError> {
        match self.found.get(read) {
            Some(Found::Samples(samples)) => Ok(samples),
            _ => Err(PromqlError::Execution("what was read is not what was asked for".to_owned())),
        }
    }

    fn subquery(&self, source: &Source) -> Result<Vec<SampleSeries>, PromqlError> {
        let Samples::Subquery(node, grid) = &source.samples else { return Ok(Vec::new()) };
        let point = |(at, value): (usize, f64)| Point { time: grid.time(at), value };
        Ok(match self.value(node, *grid)? {
            Value::Scalar(values) => {
                let points = values.into_iter().enumerate().map(point).collect();
                vec![SampleSeries { labels: crate::Labels::default(), points }]
            }
            value => super::vector(value)?
                .into_iter()
                .map(|series| {
                    let there = series.values.into_iter().enumerate().filter_map(|(at, value)| Some((at, value?)));
                    SampleSeries { labels: series.labels, points: there.map(point).collect() }
                })
                .collect(),
        })
    }
}

fn value(function: Windowed, window: &Window<'_>, parameters: &[f64]) -> Option<f64> {
    let (points, bounds) = (window.points, (window.end, window.range));
    if points.is_empty() {
        return None;
    }
    let values = || points.iter().map(|point| point.value);
    let parameter = |at: usize| parameters.get(at).copied().unwrap_or(f64::NAN);
    match function {
        Windowed::Rate => rates::extrapolated(points, bounds, rates::Kind::Rate),
        Windowed::Increase => rates::extrapolated(points, bounds, rates::Kind::Increase),
        Windowed::Delta => rates::extrapolated(points, bounds, rates::Kind::Delta),
        Windowed::InstantRate => rates::instant(points, true),
        Windowed::InstantDelta => rates::instant(points, false),
        Windowed::Changes => Some(rates::changes(points)),
        Windowed::Resets => Some(rates::resets(points)),
        Windowed::Avg => Some(over_time::mean(values())),
        Windowed::Min => over_time::extreme(values(), |new, old| new < old),
        Windowed::Max => over_time::extreme(values(), |new, old| new > old),
        Windowed::Sum => Some(over_time::sum(values())),
        Windowed::Count => Some(over_time::count(points.len())),
        Windowed::Quantile => Some(over_time::quantile(parameter(0), values().collect())),
        Windowed::Stddev => Some(over_time::variance(values()).sqrt()),
        Windowed::Stdvar => Some(over_time::variance(values())),
        Windowed::Mad => {
            let median = over_time::quantile(0.5, values().collect());
            Some(over_time::quantile(0.5, values().map(|value| (value - median).abs()).collect()))
        }
        Windowed::First => points.first().map(|point| point.value),
        Windowed::Last => points.last().map(|point| point.value),
        Windowed::Present => Some(1.0),
        Windowed::Derivative => regression::derivative(points),
        Windowed::PredictLinear => regression::predicted(points, window.moment, parameter(0)),
        Windowed::HoltWinters => regression::smoothed(points, parameter(0), parameter(1)),
    }
}
