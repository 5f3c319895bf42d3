use crate::{Baseline, Direction, Rule};

/// What a value means to a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// It is past the threshold.
    Bad,
    /// It is neither past the threshold nor where the rule recovers.
    Between,
    /// It is good.
    Good,
    /// There is none.
    Absent,
}

impl Judgement {
    /// Judges a value; one that is not a number is none. An anomaly needs what is usual; before that is known no value is
    /// bad.
    #[must_use]
    pub fn of(rule: &Rule, value: f64, usual: Option<&Baseline>) -> Self {
        if value.is_nan() {
            return Self::Absent;
        }
        if let Some(anomaly) = rule.anomaly {
            let Some(usual) = usual else { return Self::Good };
            let difference = value - usual.median;
            let difference = match anomaly.direction {
                Direction::Both => difference.abs(),
                Direction::Above => difference,
                Direction::Below => -difference,
            };
            let is_bad = difference > anomaly.least && difference > anomaly.deviations * usual.deviation;
            return if is_bad { Self::Bad } else { Self::Good };
        }
        let (is_bad, is_good) = match (rule.above, rule.below) {
            (Some(above), _) => (value > above, value <= rule.recovers_at.unwrap_or(above)),
            (None, Some(below)) => (value < below, value >= rule.recovers_at.unwrap_or(below)),
            (None, None) => (false, true),
        };
        match (is_bad, is_good) {
            (true, _) => Self::Bad,
            (false, true) => Self::Good,
            (false, false) => Self::Between,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(condition: &str) -> Rule {
        toml::from_str(&format!("name = 'a'\nsql = 'b'\n{condition}")).expect("a rule")
    }

    #[test]
    fn a_value_is_bad_past_the_threshold_and_good_where_it_recovers() {
        use Judgement::{Absent, Bad, Between, Good};
        let judge = |rule: &Rule, values: [f64; 5]| values.map(|value| Judgement::of(rule, value, None));
        let above = rule("above = 90\nrecovers_at = 80");
        assert_eq!(judge(&above, [91.0, 90.0, 80.1, 80.0, f64::NAN]), [Bad, Between, Between, Good, Absent]);
        let below = rule("below = 10\nrecovers_at = 20");
        assert_eq!(judge(&below, [9.0, 10.0, 19.9, 20.0, f64::INFINITY]), [Bad, Between, Between, Good, Good]);
        assert_eq!(judge(&rule("above = 1"), [2.0, 1.0, 0.0, f64::INFINITY, -1.0]), [Bad, Good, Good, Bad, Good]);
    }

    #[test]
    fn a_value_is_unusual_by_its_distance_from_the_median() {
        let usual = Baseline { median: 100.0, deviation: 5.0 };
        let bad = |text: &str, value| Judgement::of(&rule(text), value, Some(&usual)) == Judgement::Bad;
        let both = "anomaly = { deviations = 3 }";
        assert_eq!([84.0, 86.0, 114.0, 116.0].map(|value| bad(both, value)), [true, false, false, true]);
        assert!(!bad("anomaly = { deviations = 3, direction = 'above' }", 50.0));
        assert!(bad("anomaly = { deviations = 3, direction = 'below' }", 50.0));
        assert!(!bad("anomaly = { deviations = 3, least = 20 }", 116.0));
        assert_eq!(Judgement::of(&rule(both), 1e9, None), Judgement::Good, "nothing is known yet");
    }
}
