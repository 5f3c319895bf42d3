use super::seconds;
use crate::plan::GridFunction;
use crate::{Point, is_stale};

/// What is told of a counter or gauge between the ends of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Rate,
    Increase,
    Delta,
}

/// Computes a function whose values may be computed elsewhere, but for the newest value and its time.
pub(crate) fn grid_function(function: GridFunction, points: &[Point], bounds: (i64, i64)) -> Option<f64> {
    let fresh: Vec<Point>;
    let points = if points.iter().any(|point| is_stale(point.value)) {
        fresh = points.iter().copied().filter(|point| !is_stale(point.value)).collect();
        &fresh[..]
    } else {
        points
    };
    match function {
        GridFunction::Rate => extrapolated(points, bounds, Kind::Rate),
        GridFunction::Increase => extrapolated(points, bounds, Kind::Increase),
        GridFunction::Delta => extrapolated(points, bounds, Kind::Delta),
        GridFunction::InstantRate => instant(points, true),
        GridFunction::InstantDelta => instant(points, false),
        GridFunction::Changes => (!points.is_empty()).then(|| changes(points)),
        GridFunction::Resets => (!points.is_empty()).then(|| resets(points)),
        GridFunction::Last | GridFunction::LastTime => None,
    }
}

/// The difference between a window's ends, as it is guessed from the samples in it: up to its bounds where they are near,
/// half an interval beyond the samples where not, and never below zero for a counter.
pub(super) fn extrapolated(points: &[Point], (end, range): (i64, i64), kind: Kind) -> Option<f64> {
    let ([first, ..], [.., newest]) = (points, points) else { return None };
    if points.len() < 2 {
        return None;
    }
    let mut difference = newest.value - first.value;
    if kind != Kind::Delta {
        let resets = points.windows(2).filter(|pair| pair[1].value < pair[0].value);
        difference += resets.map(|pair| pair[0].value).sum::<f64>();
    }
    let mut to_start = seconds(first.time - (end - range));
    let mut to_end = seconds(end - newest.time);
    let sampled = seconds(newest.time - first.time);
    let between = sampled / super::over_time::count(points.len() - 1);
    if kind != Kind::Delta && difference > 0.0 && first.value >= 0.0 {
        to_start = to_start.min(sampled * (first.value / difference));
    }
    let threshold = between * 1.1;
    for gap in [&mut to_start, &mut to_end] {
        if *gap >= threshold {
            *gap = between / 2.0;
        }
    }
    let factor = (sampled + to_start + to_end) / sampled;
    let factor = if kind == Kind::Rate { factor / seconds(range) } else { factor };
    Some(difference * factor)
}

/// The difference of the last two samples; as a rate a second, and of a counter, where it is asked for so.
pub(super) fn instant(points: &[Point], is_rate: bool) -> Option<f64> {
    let [.., before, newest] = points else { return None };
    let is_reset = is_rate && newest.value < before.value;
    let difference = if is_reset { newest.value } else { newest.value - before.value };
    let between = newest.time - before.time;
    if between == 0 {
        return None;
    }
    Some(if is_rate { difference / seconds(between) } else { difference })
}

pub(super) fn changes(points: &[Point]) -> f64 {
    let is_change = |pair: &&[Point]| {
        let (old, new) = (pair[0].value, pair[1].value);
        #[expect(clippy::float_cmp, reason = "any other value is a change")]
        let differs = old != new;
        differs && !(old.is_nan() && new.is_nan())
    };
    super::over_time::count(points.windows(2).filter(is_change).count())
}

pub(super) fn resets(points: &[Point]) -> f64 {
    super::over_time::count(points.windows(2).filter(|pair| pair[1].value < pair[0].value).count())
}
