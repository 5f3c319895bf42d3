use std::collections::HashMap;

use super::over_time::{count, extreme, mean, quantile, sum, variance};
use super::{Value, VectorSeries};
use crate::plan::{Aggregation, Grouping};
use crate::{Labels, PromqlError, value_text};

/// Puts series together.
pub(super) fn aggregated(
    (by, parameter, grouping): (Aggregation, Option<Value>, &Grouping),
    series: Vec<VectorSeries>,
    steps: usize,
) -> Result<Vec<VectorSeries>, PromqlError> {
    let groups = grouped(&series, grouping);
    match (by, parameter) {
        (Aggregation::TopK | Aggregation::BottomK, Some(Value::Scalar(k))) => {
            Ok(best(by == Aggregation::TopK, &k, &series, &groups))
        }
        (Aggregation::Quantile, Some(Value::Scalar(at))) => {
            Ok(folded(&series, groups, steps, |values, step| (!values.is_empty()).then(|| quantile(at[step], values))))
        }
        (Aggregation::CountValues, Some(Value::Text(label))) => counted(&label, &series, grouping, steps),
        (Aggregation::TopK | Aggregation::BottomK | Aggregation::Quantile | Aggregation::CountValues, _) => {
            Err(PromqlError::Execution("the aggregation lacks its parameter".to_owned()))
        }
        _ => Ok(folded(&series, groups, steps, |values, _| plain(by, &values))),
    }
}

/// A group's labels, and the places of its series, in the order in which groups come.
type Groups = Vec<(Labels, Vec<usize>)>;

fn grouped(series: &[VectorSeries], grouping: &Grouping) -> Groups {
    let (mut groups, mut places): (Groups, HashMap<Labels, usize>) = (Vec::new(), HashMap::new());
    for (at, series) in series.iter().enumerate() {
        let labels = group_of(&series.labels, grouping);
        let place = *places.entry(labels.clone()).or_insert_with(|| {
            groups.push((labels, Vec::new()));
            groups.len() - 1
        });
        groups[place].1.push(at);
    }
    groups
}

fn group_of(labels: &Labels, grouping: &Grouping) -> Labels {
    match grouping {
        Grouping::By(names) => labels.only(names),
        Grouping::Without(names) => labels.without(names),
    }
}

fn folded(
    series: &[VectorSeries],
    groups: Groups,
    steps: usize,
    fold: impl Fn(Vec<f64>, usize) -> Option<f64>,
) -> Vec<VectorSeries> {
    let of = |(labels, group): (Labels, Vec<usize>)| {
        let values = |step| group.iter().filter_map(|&at| series[at].values[step]).collect();
        VectorSeries { labels, values: (0..steps).map(|step| fold(values(step), step)).collect() }
    };
    groups.into_iter().map(of).collect()
}

fn plain(by: Aggregation, values: &[f64]) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    let all = values.iter().copied();
    Some(match by {
        Aggregation::Avg => mean(all),
        Aggregation::Min => extreme(all, |new, old| new < old)?,
        Aggregation::Max => extreme(all, |new, old| new > old)?,
        Aggregation::Count => count(values.len()),
        Aggregation::Group => 1.0,
        Aggregation::Stddev => variance(all).sqrt(),
        Aggregation::Stdvar => variance(all),
        _ => sum(all),
    })
}

/// `topk`, `bottomk`: at each step the values of the best series, the best one first.
fn best(is_top: bool, k: &[f64], series: &[VectorSeries], groups: &Groups) -> Vec<VectorSeries> {
    let mut kept: Vec<VectorSeries> = series
        .iter()
        .map(|series| VectorSeries { labels: series.labels.clone(), values: vec![None; series.values.len()] })
        .collect();
    let mut order = Vec::new();
    for (_, group) in groups {
        for (step, &wanted) in k.iter().enumerate() {
            let mut there: Vec<(usize, f64)> =
                group.iter().filter_map(|&at| Some((at, series[at].values[step]?))).collect();
            sort_by_value(&mut there, is_top);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float is clamped by `as`")]
            let wanted = if wanted < 1.0 { 0 } else { wanted as usize };
            for &(at, value) in there.iter().take(wanted) {
                kept[at].values[step] = Some(value);
                order.push(at);
            }
        }
    }
    let mut slots: Vec<Option<VectorSeries>> = kept.into_iter().map(Some).collect();
    order.into_iter().filter_map(|at| slots[at].take()).collect()
}

/// Sorts so that what is no number comes last.
fn sort_by_value(values: &mut [(usize, f64)], is_descending: bool) {
    values.sort_by(|(_, a), (_, b)| match (a.is_nan(), b.is_nan()) {
        (false, false) if is_descending => b.total_cmp(a),
        (false, false) => a.total_cmp(b),
        (a, b) => a.cmp(&b),
    });
}

/// `sort`, `sort_desc`: by the only step of a query of one moment; of several steps the order says nothing.
pub(super) fn sorted(series: Vec<VectorSeries>, is_descending: bool) -> Vec<VectorSeries> {
    let mut values: Vec<_> = series
        .iter()
        .enumerate()
        .filter_map(|(at, series)| Some((at, series.values.first().copied().flatten()?)))
        .collect();
    if series.iter().any(|series| series.values.len() > 1) {
        return series;
    }
    sort_by_value(&mut values, is_descending);
    let mut slots: Vec<Option<VectorSeries>> = series.into_iter().map(Some).collect();
    values.into_iter().filter_map(|(at, _)| slots[at].take()).collect()
}

/// `count_values`: a series for each value, which is in a label.
fn counted(
    label: &str,
    series: &[VectorSeries],
    grouping: &Grouping,
    steps: usize,
) -> Result<Vec<VectorSeries>, PromqlError> {
    if label.is_empty() || label.starts_with(|c: char| c.is_ascii_digit()) || label.contains(['-', '.', ' ']) {
        return Err(PromqlError::Execution(format!("invalid label name \"{label}\"")));
    }
    let (mut counts, mut places): (Vec<VectorSeries>, HashMap<Labels, usize>) = (Vec::new(), HashMap::new());
    for series in series {
        let group = group_of(&series.labels, grouping);
        for (step, value) in series.values.iter().enumerate() {
            let Some(value) = value else { continue };
            let labels = group.clone().with(label, value_text(*value));
            let at = *places.entry(labels.clone()).or_insert_with(|| {
                counts.push(VectorSeries { labels, values: vec![None; steps] });
                counts.len() - 1
            });
            *counts[at].values[step].get_or_insert(0.0) += 1.0;
        }
    }
    Ok(counts)
}
