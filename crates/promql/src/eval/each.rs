use super::VectorSeries;
use super::calendar::Date;
use crate::plan::VectorFunction;

/// Applies a function to each value.
pub(super) fn each(function: VectorFunction, series: Vec<VectorSeries>, scalars: &[Vec<f64>]) -> Vec<VectorSeries> {
    let applied = series.into_iter().map(|series| VectorSeries {
        labels: series.labels.unnamed(),
        values: series
            .values
            .iter()
            .enumerate()
            .map(|(at, value)| {
                let scalar = |which: usize| scalars.get(which).map(|values| values[at]);
                value.and_then(|value| with_scalars(function, value, scalar))
            })
            .collect(),
    });
    applied.filter(|series| series.values.iter().any(Option::is_some)).collect()
}

/// Applies a function of one number; the name goes.
pub(super) fn mapped(series: Vec<VectorSeries>, function: impl Fn(f64) -> Option<f64>) -> Vec<VectorSeries> {
    let applied = series.into_iter().map(|series| VectorSeries {
        labels: series.labels.unnamed(),
        values: series.values.iter().map(|value| value.and_then(&function)).collect(),
    });
    applied.collect()
}

fn with_scalars(function: VectorFunction, value: f64, scalar: impl Fn(usize) -> Option<f64>) -> Option<f64> {
    let bound = |which| scalar(which).unwrap_or(f64::NAN);
    Some(match function {
        VectorFunction::Round => {
            let inverse = 1.0 / scalar(0).unwrap_or(1.0);
            (value * inverse + 0.5).floor() / inverse
        }
        VectorFunction::Clamp => {
            let (least, most) = (bound(0), bound(1));
            if most < least {
                return None;
            }
            larger(least, smaller(most, value))
        }
        VectorFunction::ClampMin => larger(bound(0), value),
        VectorFunction::ClampMax => smaller(bound(0), value),
        _ => plain(function, value),
    })
}

fn plain(function: VectorFunction, value: f64) -> f64 {
    match function {
        VectorFunction::Abs => value.abs(),
        VectorFunction::Ceil => value.ceil(),
        VectorFunction::Floor => value.floor(),
        VectorFunction::Sign if value < 0.0 => -1.0,
        VectorFunction::Sign if value > 0.0 => 1.0,
        VectorFunction::Exp => value.exp(),
        VectorFunction::Ln => value.ln(),
        VectorFunction::Log2 => value.log2(),
        VectorFunction::Log10 => value.log10(),
        VectorFunction::Sqrt => value.sqrt(),
        VectorFunction::Acos => value.acos(),
        VectorFunction::Acosh => value.acosh(),
        VectorFunction::Asin => value.asin(),
        VectorFunction::Asinh => value.asinh(),
        VectorFunction::Atan => value.atan(),
        VectorFunction::Atanh => value.atanh(),
        VectorFunction::Cos => value.cos(),
        VectorFunction::Cosh => value.cosh(),
        VectorFunction::Sin => value.sin(),
        VectorFunction::Sinh => value.sinh(),
        VectorFunction::Tan => value.tan(),
        VectorFunction::Tanh => value.tanh(),
        VectorFunction::Deg => value * 180.0 / std::f64::consts::PI,
        VectorFunction::Rad => value * std::f64::consts::PI / 180.0,
        _ => Date::of(value).map_or(value, |date| date.part(function)),
    }
}

/// The larger number; what is none wins, but over infinity.
fn larger(a: f64, b: f64) -> f64 {
    let wins = |value: f64| value == f64::INFINITY;
    match a.is_nan() || b.is_nan() {
        true if wins(a) || wins(b) => f64::INFINITY,
        true => f64::NAN,
        false => a.max(b),
    }
}

fn smaller(a: f64, b: f64) -> f64 {
    -larger(-a, -b)
}
