use std::collections::BTreeMap;

use tidegate_alerts::{Anomaly, Baseline, Labels, Question, Rule};
use tidegate_model::UnixNanos;

use super::ask::ask;
use crate::errors::Failure;
use crate::stages::Stages;

const MINUTE: i64 = 60_000_000_000;
const HOUR: i64 = 60 * MINUTE;
const WEEK: i64 = 7 * 24 * HOUR;

/// Moments around the same one of an earlier week: more values, of the same hour.
const AROUND: [i64; 3] = [-20 * MINUTE, 0, 20 * MINUTE];

/// Returns the hour for which what is usual holds.
pub(super) const fn hour_of(at: UnixNanos) -> i64 {
    at.0.div_euclid(HOUR)
}

/// Finds what is usual at this hour of the week: the rule's question, asked as of the weeks before.
pub(super) async fn usual(
    stages: &Stages,
    (rule, anomaly): (&Rule, Anomaly),
    now: UnixNanos,
) -> Result<BTreeMap<Labels, Baseline>, Failure> {
    if let Ok(Question::Sql(sql)) = rule.question()
        && !sql.contains("{now:")
    {
        return Err(Failure::invalid(
            "an `anomaly` asks of earlier weeks, too: write {now:DateTime64(9)} in its SQL where now() would be",
        ));
    }
    // The middle of the hour, so that each look in it compares with the same moments.
    let middle = hour_of(now) * HOUR + HOUR / 2;
    let mut values: BTreeMap<Labels, Vec<f64>> = BTreeMap::new();
    for week in 1..=i64::from(anomaly.weeks) {
        for shift in AROUND {
            for (labels, value) in ask(stages, rule, UnixNanos(middle - week * WEEK + shift)).await? {
                values.entry(labels).or_default().push(value);
            }
        }
    }
    Ok(values.into_iter().filter_map(|(labels, values)| Some((labels, Baseline::of(values)?))).collect())
}
