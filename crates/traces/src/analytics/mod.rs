//! Statistics over what spans say, by windows of time. Values stream in; the answer is exact, not sampled.

mod numbers;
mod plan;
mod spec;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use tidegate_model::UnixNanos;

use crate::Json;
use numbers::statistics;
pub use plan::Plan;
pub use spec::{MetricType, Spec, default_specs};

/// What was collected, by bucket and spec.
#[derive(Debug, Clone)]
pub struct Analytics {
    specs: Vec<Spec>,
    plan: Plan,
    buckets: BTreeMap<usize, Vec<Collected>>,
}

/// A bucket of the answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Bucket {
    /// When it begins.
    pub timestamp: UnixNanos,
    /// How long it is, in minutes.
    pub interval: u32,
    /// By path, what the values come to.
    pub metrics: Json,
}

#[derive(Debug, Clone, Default)]
struct Collected {
    count: u64,
    numbers: Vec<f64>,
    /// By how JSON writes them.
    words: BTreeMap<String, (Json, u64)>,
}

impl Analytics {
    /// Begins.
    #[must_use]
    pub const fn of(specs: Vec<Spec>, plan: Plan) -> Self {
        Self { specs, plan, buckets: BTreeMap::new() }
    }

    /// Takes what one span says; times outside of the window are left out.
    pub fn add<'j>(&mut self, time: UnixNanos, value: impl Fn(&str) -> Option<&'j Json>) {
        let Some(bucket) = self.plan.bucket(time) else { return };
        let count = self.specs.len();
        let cells = self.buckets.entry(bucket).or_insert_with(|| vec![Collected::default(); count]);
        for (spec, cell) in self.specs.iter().zip(cells) {
            if let Some(value) = value(&spec.path) {
                cell.take(spec.kind, value);
            }
        }
    }

    /// Returns the buckets, also those without values.
    #[must_use]
    pub fn buckets(mut self) -> Vec<Bucket> {
        let mut all = Vec::with_capacity(self.plan.count);
        for index in 0..self.plan.count {
            let cells = self.buckets.remove(&index).unwrap_or_default();
            let told = self.specs.iter().zip(cells).filter(|(_, cell)| cell.count > 0);
            let metrics = Json::object(told.map(|(spec, cell)| (spec.path.clone(), cell.told(spec))));
            all.push(Bucket { timestamp: self.plan.begins(index), interval: self.plan.interval, metrics });
        }
        all
    }
}

impl Collected {
    /// Takes a value, if it is of the kind.
    fn take(&mut self, kind: MetricType, value: &Json) {
        match (kind, value) {
            (MetricType::NumericContinuous, Json::Number(_)) => self.number(value),
            (MetricType::NumericDiscrete, Json::Number(_)) => {
                self.number(value);
                self.word(value);
            }
            (MetricType::CategoricalMultiple, Json::List(elements)) => {
                self.count += 1;
                elements.iter().filter(|element| is_word(element)).for_each(|element| self.word(element));
            }
            (MetricType::Binary, Json::Bool(_)) => {
                self.count += 1;
                self.word(value);
            }
            (MetricType::CategoricalSingle, value) if is_word(value) => {
                self.count += 1;
                self.word(value);
            }
            (MetricType::String, Json::Text(_)) => self.count += 1,
            (MetricType::Json, value) if *value != Json::Null => self.count += 1,
            _ => {}
        }
    }

    fn number(&mut self, value: &Json) {
        if let Some(number) = value.as_number().filter(|number| number.is_finite()) {
            self.count += 1;
            self.numbers.push(number);
        }
    }

    /// Counts a word; numbers are counted by what they are worth.
    fn word(&mut self, value: &Json) {
        let value = value.as_number().map_or_else(|| value.clone(), Json::number);
        self.words.entry(value.to_string()).or_insert((value, 0)).1 += 1;
    }

    fn told(self, spec: &Spec) -> Json {
        let mut told = vec![("type", Json::text(spec.kind.as_str())), ("count", Json::from(self.count))];
        if matches!(spec.kind, MetricType::NumericContinuous | MetricType::NumericDiscrete) {
            told.extend(statistics(self.numbers, spec));
        }
        let has_words = matches!(
            spec.kind,
            MetricType::NumericDiscrete
                | MetricType::Binary
                | MetricType::CategoricalSingle
                | MetricType::CategoricalMultiple
        );
        if has_words {
            told.extend(frequencies(self.words));
        }
        Json::object(told)
    }
}

const fn is_word(value: &Json) -> bool {
    matches!(value, Json::Text(_) | Json::Number(_) | Json::Bool(_))
}

/// Tells how often each value came, the most frequent first, and which there were.
fn frequencies(words: BTreeMap<String, (Json, u64)>) -> [(&'static str, Json); 2] {
    let mut all: Vec<(Json, u64)> = words.into_values().collect();
    let uniq = Json::List(all.iter().map(|(value, _)| value.clone()).collect());
    let total: u64 = all.iter().map(|(_, count)| count).sum();
    all.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let told = all.into_iter().map(|(value, count)| {
        let density = Json::number(count as f64 / total.max(1) as f64);
        Json::object([("value", value), ("count", Json::from(count)), ("density", density)])
    });
    [("freq", Json::List(told.collect())), ("uniq", uniq)]
}
