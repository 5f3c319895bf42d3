use std::collections::HashMap;

use super::VectorSeries;
use crate::Labels;

const BOUND: &str = "le";

/// A bucket: its upper bound and the count of all up to it.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    bound: f64,
    count: f64,
}

/// The counts of one bucket at each step, with its upper bound.
type Counts = (f64, Vec<Option<f64>>);

/// `histogram_quantile`: a quantile guessed from the counts of buckets.
pub(super) fn quantile(at: &[f64], series: Vec<VectorSeries>) -> Vec<VectorSeries> {
    let mut groups: Vec<(Labels, Vec<Counts>)> = Vec::new();
    let mut places: HashMap<Labels, usize> = HashMap::new();
    for series in series {
        let Some(bound) = bound(series.labels.get(BOUND)) else { continue };
        let labels = series.labels.without(&[BOUND.to_owned()]);
        let place = *places.entry(labels.clone()).or_insert_with(|| {
            groups.push((labels, Vec::new()));
            groups.len() - 1
        });
        groups[place].1.push((bound, series.values));
    }
    let of = |(labels, group): (Labels, Vec<Counts>)| {
        let values = at.iter().enumerate().map(|(step, &at)| {
            let buckets: Vec<_> = group
                .iter()
                .filter_map(|(bound, values)| Some(Bucket { bound: *bound, count: values[step]? }))
                .collect();
            (!buckets.is_empty()).then(|| in_buckets(at, buckets))
        });
        VectorSeries { labels, values: values.collect() }
    };
    groups.into_iter().map(of).collect()
}

fn bound(text: &str) -> Option<f64> {
    match text {
        "+Inf" | "Inf" | "inf" | "+inf" => Some(f64::INFINITY),
        other => other.parse().ok(),
    }
}

fn in_buckets(at: f64, mut buckets: Vec<Bucket>) -> f64 {
    if at.is_nan() {
        return f64::NAN;
    }
    if at < 0.0 {
        return f64::NEG_INFINITY;
    }
    if at > 1.0 {
        return f64::INFINITY;
    }
    buckets.sort_by(|a, b| a.bound.total_cmp(&b.bound));
    if buckets.last().is_none_or(|bucket| bucket.bound != f64::INFINITY) {
        return f64::NAN;
    }
    buckets = coalesced(&buckets);
    // Counts of scrapes that did not meet may go down: they are held where they were.
    let mut highest = f64::NEG_INFINITY;
    for bucket in &mut buckets {
        highest = highest.max(bucket.count);
        bucket.count = highest;
    }
    let [.., below, top] = &buckets[..] else { return f64::NAN };
    if top.count == 0.0 {
        return f64::NAN;
    }
    let rank = at * top.count;
    // As Prometheus searches: what is not a number is in no bucket but the last.
    let place = buckets[..buckets.len() - 1].iter().position(|bucket| bucket.count >= rank);
    let Some(place) = place else { return below.bound };
    let bucket = buckets[place];
    if place == 0 {
        return if bucket.bound <= 0.0 { bucket.bound } else { bucket.bound * (rank / bucket.count) };
    }
    let before = buckets[place - 1];
    before.bound + (bucket.bound - before.bound) * ((rank - before.count) / (bucket.count - before.count))
}

/// Puts buckets of the same bound together.
fn coalesced(buckets: &[Bucket]) -> Vec<Bucket> {
    let mut kept: Vec<Bucket> = Vec::with_capacity(buckets.len());
    for bucket in buckets {
        match kept.last_mut() {
            #[expect(clippy::float_cmp, reason = "only the very same bound is the same bucket")]
            Some(last) if last.bound == bucket.bound => last.count += bucket.count,
            _ => kept.push(*bucket),
        }
    }
    kept
}
