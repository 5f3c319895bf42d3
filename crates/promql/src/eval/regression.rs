use super::seconds;
use crate::{Point, PromqlError};

/// The slope a second of the line nearest to the samples.
pub(super) fn derivative(points: &[Point]) -> Option<f64> {
    let first = points.first().filter(|_| points.len() >= 2)?;
    Some(line(points, first.time).0)
}

/// Where that line is so many seconds after a moment.
pub(super) fn predicted(points: &[Point], moment: i64, ahead: f64) -> Option<f64> {
    if points.len() < 2 {
        return None;
    }
    let (slope, intercept) = line(points, moment);
    Some(slope * ahead + intercept)
}

/// Returns slope and height at a moment.
fn line(points: &[Point], moment: i64) -> (f64, f64) {
    #[expect(clippy::float_cmp, reason = "only where nothing moves at all the line is known without sums")]
    if points.iter().all(|point| point.value == points[0].value) {
        return if points[0].value.is_finite() { (0.0, points[0].value) } else { (f64::NAN, f64::NAN) };
    }
    // Whole milliseconds are subtracted before they become seconds: their difference then is exact.
    let times = || points.iter().map(|point| seconds(point.time - moment));
    let values = || points.iter().map(|point| point.value);
    let sum = |values: &mut dyn Iterator<Item = f64>| super::over_time::sum(values);
    let n = super::over_time::count(points.len());
    let (x, y) = (sum(&mut times()), sum(&mut values()));
    let xy = sum(&mut times().zip(values()).map(|(x, y)| x * y));
    let xx = sum(&mut times().map(|x| x * x));
    let slope = (xy - x * y / n) / (xx - x * x / n);
    (slope, y / n - slope * x / n)
}

/// Says what is wrong with the factors of a smoothing.
pub(super) fn check_factors(parameters: &[Vec<f64>]) -> Result<(), PromqlError> {
    let names = ["smoothing", "trend"];
    for (values, name) in parameters.iter().zip(names) {
        if let Some(bad) = values.iter().find(|value| !(**value > 0.0 && **value < 1.0)) {
            let text = format!("invalid {name} factor. Expected: 0 < {name} factor < 1, got: {bad}");
            return Err(PromqlError::Execution(text));
        }
    }
    Ok(())
}

/// Double exponential smoothing after Holt and Winters.
pub(super) fn smoothed(points: &[Point], factor: f64, trend_factor: f64) -> Option<f64> {
    let [first, second, ..] = points else { return None };
    let (mut before, mut level) = (0.0, first.value);
    let mut trend = second.value - first.value;
    for (at, point) in points.iter().enumerate().skip(1) {
        let scaled = factor * point.value;
        if at > 1 {
            trend = trend_factor * (level - before) + (1.0 - trend_factor) * trend;
        }
        let next = scaled + (1.0 - factor) * (level + trend);
        (before, level) = (level, next);
    }
    Some(level)
}
