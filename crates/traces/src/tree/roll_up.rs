use tidegate_model::UnixNanos;

use super::Tree;
use crate::Span;
use crate::derive::{Amounts, Derived};
use crate::json::{Json, Object, put, take};

/// What a span is by itself.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Own {
    /// When it began.
    pub start: UnixNanos,
    /// When it ended.
    pub end: UnixNanos,
    /// Its exceptions.
    pub errors: u64,
    /// Its tokens.
    pub tokens: Amounts,
    /// Its costs.
    pub costs: Amounts,
}

/// What a span and all below it come to.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct RollUp {
    /// From the first beginning to the last end among them: what goes on at once is not counted twice.
    pub duration_ms: f64,
    /// Their exceptions.
    pub errors: u64,
    /// Their tokens.
    pub tokens: Amounts,
    /// Their costs.
    pub costs: Amounts,
}

impl Own {
    /// Returns what was derived of a span.
    #[must_use]
    pub const fn of(span: &Span, derived: &Derived) -> Self {
        let Derived { tokens, costs, errors, .. } = derived;
        Self { start: span.start_time, end: span.end_time, errors: *errors, tokens: *tokens, costs: *costs }
    }
}

impl Tree {
    /// Adds up what each span and all below it come to.
    #[must_use]
    pub fn roll_ups(&self, own: &[Own]) -> Vec<RollUp> {
        let mut sums = own.to_vec();
        for at in self.order.iter().rev() {
            for child in &self.children[*at] {
                let below = sums[*child];
                let sum = &mut sums[*at];
                sum.start = sum.start.min(below.start);
                sum.end = sum.end.max(below.end);
                sum.errors = sum.errors.saturating_add(below.errors);
                sum.tokens = sum.tokens.plus(below.tokens);
                sum.costs = sum.costs.plus(below.costs);
            }
        }
        sums.into_iter().map(RollUp::from).collect()
    }
}

impl From<Own> for RollUp {
    fn from(sum: Own) -> Self {
        let nanos = i128::from(sum.end.0) - i128::from(sum.start.0);
        let Own { errors, tokens, costs, .. } = sum;
        Self { duration_ms: nanos.max(0) as f64 / 1e6, errors, tokens, costs }
    }
}

impl RollUp {
    /// Writes what a span is by itself, and together with those below it, into `ag.metrics`.
    pub fn tell(&self, derived: &Derived, attributes: &mut Object) {
        let scalar = |cumulative: f64, incremental: f64| {
            Json::object([("cumulative", Json::number(cumulative)), ("incremental", Json::number(incremental))])
        };
        let errors = |count: u64| u32::try_from(count).map_or(f64::from(u32::MAX), f64::from);
        let cached = take(attributes, "ag.metrics.tokens.incremental.cached");
        let mut tokens = amounts(&self.tokens, &derived.tokens);
        if let (Some(cached), Json::Object(tokens)) = (cached, &mut tokens) {
            let _ = put(tokens, &["incremental", "cached"], cached);
        }
        let metrics = Json::object([
            ("duration", scalar(self.duration_ms, derived.duration_ms)),
            ("errors", scalar(errors(self.errors), errors(derived.errors))),
            ("tokens", tokens),
            ("costs", amounts(&self.costs, &derived.costs)),
        ]);
        take(attributes, "ag.metrics");
        let Json::Object(metrics) = metrics else { return };
        let known =
            metrics.into_iter().filter(|(_, metric)| metric.as_object().is_some_and(|metric| !metric.is_empty()));
        let _ = put(attributes, &["ag", "metrics"], Json::Object(known.collect()));
    }
}

fn amounts(cumulative: &Amounts, incremental: &Amounts) -> Json {
    let told = |amounts: &Amounts| {
        let each = [("prompt", amounts.prompt), ("completion", amounts.completion), ("total", amounts.total)];
        Json::object(each.into_iter().filter_map(|(name, value)| Some((name, Json::number(value?)))))
    };
    let both = [("cumulative", told(cumulative)), ("incremental", told(incremental))];
    Json::object(both.into_iter().filter(|(_, value)| value.as_object().is_some_and(|value| !value.is_empty())))
}
