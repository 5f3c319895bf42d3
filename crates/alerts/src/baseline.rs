/// What makes the median of absolute deviations estimate the standard deviation of normal noise (Rousseeuw and Croux,
/// "Alternatives to the Median Absolute Deviation", JASA 1993).
const OF_NORMAL: f64 = 1.4826;

/// Fewer values say nothing of what is usual.
const VALUES_MIN: usize = 4;

/// What is usual at one hour of the week.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Baseline {
    /// The median.
    pub median: f64,
    /// The median of the distances from it, scaled to a standard deviation: half of the values may be outliers.
    pub deviation: f64,
}

impl Baseline {
    /// Finds it; `None`: there are too few values.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        if values.len() < VALUES_MIN {
            return None;
        }
        let median = median(&mut values)?;
        let mut distances: Vec<f64> = values.iter().map(|value| (value - median).abs()).collect();
        Some(Self { median, deviation: OF_NORMAL * self::median(&mut distances)? })
    }
}

fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = *values.get(middle.checked_sub(1)?)?;
    Some(f64::midpoint(lower, upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outliers_do_not_move_what_is_usual() {
        let usual = Baseline::of([100.0, 101.0, 99.0, 102.0, 98.0]).expect("enough values");
        assert_eq!(usual, Baseline { median: 100.0, deviation: 1.4826 });
        let with_outliers = Baseline::of([100.0, 101.0, 99.0, 102.0, 98.0, 1e9, -1e9]).expect("enough values");
        assert_eq!(with_outliers.median, 100.0);
        assert!(with_outliers.deviation < 5.0, "{with_outliers:?}");
        assert_eq!(Baseline::of([1.0, 2.0, 3.0, 4.0]).map(|usual| usual.median), Some(2.5));
        assert_eq!(Baseline::of([1.0, 2.0, f64::NAN, 3.0]), None, "three values are too few");
    }
}
