use promql_parser::label::{MatchOp, Matcher, Matchers};
use promql_parser::parser::{Expr, VectorSelector};

use crate::{Labels, METRIC_NAME, PromqlError};

/// Which series an expression means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    /// All of one of these lists must hold.
    alternatives: Vec<Vec<Matcher>>,
}

/// Reads a selector of series, as `match[]` has it.
pub fn selector(text: &str) -> Result<Selector, PromqlError> {
    match promql_parser::parser::parse(text).map_err(PromqlError::Parse)? {
        Expr::VectorSelector(parsed) if parsed.offset.is_none() && parsed.at.is_none() => Ok(Selector::of(&parsed)),
        _ => Err(PromqlError::Parameter(format!("`{text}` is not a selector of series such as up{{job=\"a\"}}"))),
    }
}

impl Selector {
    pub(crate) fn of(parsed: &VectorSelector) -> Self {
        let Matchers { matchers, or_matchers } = parsed.matchers.clone();
        let mut alternatives = if or_matchers.is_empty() { vec![matchers] } else { or_matchers };
        if let Some(name) = &parsed.name {
            for matchers in &mut alternatives {
                matchers.push(Matcher::new(MatchOp::Equal, METRIC_NAME, name));
            }
        }
        Self { alternatives }
    }

    /// Says whether a series is meant.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.alternatives.iter().any(|all| all.iter().all(|matcher| matcher.is_match(labels.get(&matcher.name))))
    }

    /// Says whether a series of this name may be meant.
    #[must_use]
    pub fn may_be_named(&self, name: &str) -> bool {
        let is_met = |matcher: &Matcher| matcher.name != METRIC_NAME || matcher.is_match(name);
        self.alternatives.iter().any(|all| all.iter().all(is_met))
    }

    /// Lists the texts that every meant series has in a label, each with the label's name.
    #[must_use]
    pub fn needs(&self) -> Vec<(&str, &str)> {
        let [all] = &self.alternatives[..] else { return Vec::new() };
        let equal = all.iter().filter(|matcher| matcher.op == MatchOp::Equal && !matcher.value.is_empty());
        equal.map(|matcher| (matcher.name.as_str(), matcher.value.as_str())).collect()
    }

    /// Returns the labels that a series has which this could mean, as far as it says them: those of `absent`.
    pub(crate) fn said(&self) -> Labels {
        let [all] = &self.alternatives[..] else { return Labels::default() };
        let is_said_once = |matcher: &&Matcher| {
            let same = all.iter().filter(|other| other.name == matcher.name).count();
            matcher.op == MatchOp::Equal && same == 1 && matcher.name != METRIC_NAME
        };
        all.iter().filter(is_said_once).map(|matcher| (&matcher.name, matcher.value.as_str())).collect()
    }
}
