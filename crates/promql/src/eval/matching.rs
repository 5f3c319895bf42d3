use std::collections::HashMap;

use super::operate::{loses_name, made};
use super::{VectorSeries, merged};
use crate::plan::{Cardinality, Matching, Operator};
use crate::{Labels, METRIC_NAME, PromqlError};

/// The labels by which a series finds its other.
fn signature(labels: &Labels, matching: &Matching) -> Labels {
    if matching.is_on { labels.only(&matching.labels) } else { labels.without(&matching.labels) }
}

fn by_signature(series: &[VectorSeries], matching: &Matching) -> HashMap<Labels, Vec<usize>> {
    let mut groups: HashMap<Labels, Vec<usize>> = HashMap::new();
    for (at, series) in series.iter().enumerate() {
        groups.entry(signature(&series.labels, matching)).or_default().push(at);
    }
    groups
}

/// `and`, `or`, `unless`.
pub(super) fn set(
    operator: Operator,
    matching: &Matching,
    left: Vec<VectorSeries>,
    right: Vec<VectorSeries>,
) -> Vec<VectorSeries> {
    let (groups_left, groups_right) = (by_signature(&left, matching), by_signature(&right, matching));
    let has = |groups: &HashMap<Labels, Vec<usize>>, all: &[VectorSeries], labels: &Labels, at: usize| {
        let group = groups.get(&signature(labels, matching));
        group.is_some_and(|group| group.iter().any(|&other| all[other].values[at].is_some()))
    };
    let kept = |series: &VectorSeries, is_kept: &dyn Fn(usize) -> bool| VectorSeries {
        labels: series.labels.clone(),
        values: series.values.iter().enumerate().map(|(at, value)| value.filter(|_| is_kept(at))).collect(),
    };
    let mut result: Vec<_> = match operator {
        Operator::And => left.iter().map(|own| kept(own, &|at| has(&groups_right, &right, &own.labels, at))).collect(),
        Operator::Unless => {
            left.iter().map(|own| kept(own, &|at| !has(&groups_right, &right, &own.labels, at))).collect()
        }
        _ => {
            let others = right.iter().map(|own| kept(own, &|at| !has(&groups_left, &left, &own.labels, at)));
            let others: Vec<_> = others.collect();
            left.into_iter().chain(others).collect()
        }
    };
    result.retain(|series| series.values.iter().any(Option::is_some));
    result
}

/// Every other operator of two vectors.
pub(super) fn matched(
    (operator, matching): (Operator, &Matching),
    left: &[VectorSeries],
    right: &[VectorSeries],
) -> Result<Vec<VectorSeries>, PromqlError> {
    let (many, one, is_swapped) = match matching.cardinality {
        Cardinality::OneToMany(_) => (right, left, true),
        Cardinality::OneToOne | Cardinality::ManyToOne(_) => (left, right, false),
    };
    let groups = by_signature(one, matching);
    let (mut result, mut taken) = (Vec::new(), HashMap::<Labels, Vec<bool>>::new());
    for own in many {
        let key = signature(&own.labels, matching);
        let Some(group) = groups.get(&key) else { continue };
        check_one_side(group, one, (own, matching))?;
        let used = taken.entry(key).or_insert_with(|| vec![false; own.values.len()]);
        for &at in group {
            let other = &one[at];
            let mut values = Vec::with_capacity(own.values.len());
            for (step, pair) in own.values.iter().zip(&other.values).enumerate() {
                let (Some(own_value), Some(other_value)) = pair else {
                    values.push(None);
                    continue;
                };
                let (a, b) = if is_swapped { (*other_value, *own_value) } else { (*own_value, *other_value) };
                let value = made(operator, a, b).value(matching.is_bool, a);
                // What is left out of the answer still was a match.
                check_once(&mut used[step], (value.is_some(), matching))?;
                values.push(value);
            }
            if values.iter().any(Option::is_some) {
                result.push(VectorSeries { labels: labels(operator, matching, own, other), values });
            }
        }
    }
    merged(result).map_err(|_| {
        PromqlError::Execution("multiple matches for labels: grouping labels must ensure unique matches".to_owned())
    })
}

/// At no step two series of the "one" side may be meant.
fn check_one_side(
    group: &[usize],
    one: &[VectorSeries],
    (own, matching): (&VectorSeries, &Matching),
) -> Result<(), PromqlError> {
    if group.len() < 2 {
        return Ok(());
    }
    let has_two = |step: usize| group.iter().filter(|&&at| one[at].values[step].is_some()).nth(1).is_some();
    if !(0..own.values.len()).any(has_two) {
        return Ok(());
    }
    let side = if matches!(matching.cardinality, Cardinality::OneToMany(_)) { "left" } else { "right" };
    Err(PromqlError::Execution(format!(
        "found duplicate series for the match group {} on the {side} hand-side of the operation: [{}, {}];\
         many-to-many matching not allowed: matching labels must be unique on one side",
        signature(&own.labels, matching),
        one[group[0]].labels,
        one[group[1]].labels,
    )))
}

fn check_once(used: &mut bool, (is_match, matching): (bool, &Matching)) -> Result<(), PromqlError> {
    if !matches!(matching.cardinality, Cardinality::OneToOne) || !is_match {
        return Ok(());
    }
    if std::mem::replace(used, true) {
        let text = "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)";
        return Err(PromqlError::Execution(text.to_owned()));
    }
    Ok(())
}

fn labels(operator: Operator, matching: &Matching, many: &VectorSeries, one: &VectorSeries) -> Labels {
    let mut labels = if loses_name(operator, matching.is_bool) { many.labels.unnamed() } else { many.labels.clone() };
    let given: &[String] = match &matching.cardinality {
        Cardinality::OneToOne => {
            return if matching.is_on {
                labels.only(&matching.labels)
            } else {
                without_listed(&labels, &matching.labels)
            };
        }
        Cardinality::ManyToOne(given) | Cardinality::OneToMany(given) => given,
    };
    for name in given {
        labels.set(name, one.labels.get(name));
    }
    labels
}

fn without_listed(labels: &Labels, names: &[String]) -> Labels {
    let name = labels.get(METRIC_NAME).to_owned();
    labels.without(names).with(METRIC_NAME, name)
}
