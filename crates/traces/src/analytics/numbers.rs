use super::Spec;
use crate::Json;

/// The levels of which the values are told, as names and percentages.
const LEVELS: &[(&str, f64)] = &[
    ("p00.05", 0.05),
    ("p00.1", 0.1),
    ("p00.5", 0.5),
    ("p01", 1.0),
    ("p02.5", 2.5),
    ("p05", 5.0),
    ("p10", 10.0),
    ("p12.5", 12.5),
    ("p20", 20.0),
    ("p25", 25.0),
    ("p30", 30.0),
    ("p37.5", 37.5),
    ("p40", 40.0),
    ("p50", 50.0),
    ("p60", 60.0),
    ("p62.5", 62.5),
    ("p70", 70.0),
    ("p75", 75.0),
    ("p80", 80.0),
    ("p87.5", 87.5),
    ("p90", 90.0),
    ("p95", 95.0),
    ("p97.5", 97.5),
    ("p99", 99.0),
    ("p99.5", 99.5),
    ("p99.9", 99.9),
    ("p99.95", 99.95),
];

/// Pairs of levels with so much of the values between them.
const RANGES: &[(&str, f64, f64)] = &[
    ("25", 37.5, 62.5),
    ("50", 25.0, 75.0),
    ("60", 20.0, 80.0),
    ("75", 12.5, 87.5),
    ("80", 10.0, 90.0),
    ("90", 5.0, 95.0),
    ("95", 2.5, 97.5),
    ("99", 0.5, 99.5),
    ("99.9", 0.05, 99.95),
];

/// Tells what numbers come to.
pub(super) fn statistics(mut numbers: Vec<f64>, spec: &Spec) -> Vec<(&'static str, Json)> {
    if numbers.is_empty() {
        return Vec::new();
    }
    numbers.sort_unstable_by(f64::total_cmp);
    let (min, max) = (numbers[0], numbers[numbers.len() - 1]);
    let sum = exact_sum(&numbers);
    let level = |percent: f64| level(&numbers, percent);
    let pcts = LEVELS.iter().map(|(name, percent)| (*name, Json::number(level(*percent))));
    // What lies between two levels; that beside where they lie; and how much further the upper is from the middle.
    let ranges = |prefix: &str, of: fn(f64, f64, f64) -> f64| {
        Json::object(RANGES.iter().map(|(name, low, high)| {
            (format!("{prefix}{name}"), Json::number(of(level(*low), level(50.0), level(*high))))
        }))
    };
    vec![
        ("sum", Json::number(sum)),
        ("mean", Json::number(sum / numbers.len() as f64)),
        ("min", Json::number(min)),
        ("max", Json::number(max)),
        ("range", Json::number(max - min)),
        ("pcts", Json::object(pcts)),
        ("iqrs", ranges("iqr", |low, _, high| high - low)),
        ("cqvs", ranges("cqv", |low, _, high| ratio(high - low, high + low))),
        ("pscs", ranges("psc", |low, middle, high| ratio(high + low - 2.0 * middle, high - low))),
        ("hist", histogram(&numbers, spec)),
    ]
}

/// Of nothing there is no share: `null`.
fn ratio(part: f64, of: f64) -> f64 {
    if of == 0.0 { f64::NAN } else { part / of }
}

/// Adds without losing what is small beside what is large (Neumaier).
fn exact_sum(numbers: &[f64]) -> f64 {
    let (mut sum, mut lost) = (0.0_f64, 0.0_f64);
    for number in numbers {
        let next = sum + number;
        lost += if sum.abs() >= number.abs() { (sum - next) + number } else { (number - next) + sum };
        sum = next;
    }
    sum + lost
}

/// The value below which so much of sorted numbers lies, between two of them in proportion.
fn level(sorted: &[f64], percent: f64) -> f64 {
    let place = percent / 100.0 * (sorted.len() - 1) as f64;
    let (below, above) = (index(place.floor()), index(place.ceil()));
    let share = place - place.floor();
    sorted[below] + (sorted[above] - sorted[below]) * share
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place in a list, not negative and below its length"
)]
const fn index(place: f64) -> usize {
    place as usize
}

fn histogram(sorted: &[f64], spec: &Spec) -> Json {
    let (low, high) = (spec.vmin.unwrap_or(sorted[0]), spec.vmax.unwrap_or(sorted[sorted.len() - 1]));
    let within: Vec<f64> = sorted.iter().copied().filter(|value| (low..=high).contains(value)).collect();
    let usual = index((within.len() as f64).sqrt().ceil()).max(1);
    let asked = spec.bins.and_then(|bins| usize::try_from(bins).ok()).unwrap_or(usual);
    let bins = if low < high { asked } else { 1 };
    // Where the bounds are the middles of the outer bins, these reach half a width further.
    let is_edge = spec.is_edge || bins == 1;
    let width = (high - low) / if is_edge { bins as f64 } else { (bins - 1) as f64 };
    let from = if is_edge { low } else { low - width / 2.0 };
    let mut counts = vec![0_u64; bins];
    for value in &within {
        let bin = if width > 0.0 { index(((value - from) / width).floor()) } else { 0 };
        counts[bin.min(bins - 1)] += 1;
    }
    let edge = |at: usize| if at == bins && is_edge { high } else { from + width * at as f64 };
    let told = counts.into_iter().enumerate().map(|(at, count)| {
        Json::object([
            ("bin", Json::from(at as u64 + 1)),
            ("count", Json::from(count)),
            ("interval", Json::List(vec![Json::number(edge(at)), Json::number(edge(at + 1))])),
        ])
    });
    Json::List(told.collect())
}
