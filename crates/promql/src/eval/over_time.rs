/// Writes a count as a value.
#[expect(clippy::cast_precision_loss, reason = "counts of samples and series are far below 2^53")]
pub(super) fn count(count: usize) -> f64 {
    count as f64
}

/// Adds values, and what each addition lost.
pub(super) fn sum(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut lost) = (0.0_f64, 0.0);
    for value in values {
        let next = sum + value;
        if next.is_infinite() {
            lost = 0.0;
        } else if sum.abs() >= value.abs() {
            lost += (sum - next) + value;
        } else {
            lost += (value - next) + sum;
        }
        sum = next;
    }
    if sum.is_infinite() { sum } else { sum + lost }
}

/// The mean, reached value by value so that no sum overflows.
pub(super) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (mut mean, mut seen) = (0.0_f64, 0.0);
    for value in values {
        seen += 1.0;
        if mean.is_infinite() && (value.is_infinite() && (mean > 0.0) == (value > 0.0) || value.is_finite()) {
            continue;
        }
        mean += value / seen - mean / seen;
    }
    mean
}

/// The smallest or largest value: one that is not a number stands only for itself.
pub(super) fn extreme(values: impl Iterator<Item = f64>, is_better: impl Fn(f64, f64) -> bool) -> Option<f64> {
    values.reduce(|old, new| if is_better(new, old) || old.is_nan() { new } else { old })
}

/// The mean of squared distances from the mean, in one pass.
pub(super) fn variance(values: impl Iterator<Item = f64>) -> f64 {
    let (mut mean, mut sum, mut seen) = (0.0, 0.0, 0.0);
    for value in values {
        seen += 1.0;
        let distance = value - mean;
        mean += distance / seen;
        sum += distance * (value - mean);
    }
    sum / seen
}

/// A quantile, between the two nearest values; what is no number is smaller than all.
pub(super) fn quantile(at: f64, mut values: Vec<f64>) -> f64 {
    if values.is_empty() || at.is_nan() {
        return f64::NAN;
    }
    if at < 0.0 {
        return f64::NEG_INFINITY;
    }
    if at > 1.0 {
        return f64::INFINITY;
    }
    values.sort_unstable_by(|a, b| a.partial_cmp(b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan())));
    let rank = at * count(values.len() - 1);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank is between 0 and the length")]
    let lower = (rank.floor() as usize).min(values.len() - 1);
    let upper = (lower + 1).min(values.len() - 1);
    let weight = rank - rank.floor();
    values[lower] * (1.0 - weight) + values[upper] * weight
}
