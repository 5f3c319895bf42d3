use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::Labels;

/// Alerts of which nobody is told for a while; they are still watched and listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Silence {
    /// All of them must match.
    pub matchers: Vec<Matcher>,
    /// Unix nanoseconds: from then on.
    pub from: i64,
    /// Until then.
    pub to: i64,
    /// Why.
    #[serde(default)]
    pub comment: String,
}

/// What one label must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Matcher {
    /// The label; `alertname` is the rule, `severity` how bad it is.
    pub label: String,
    /// Its value.
    pub value: String,
    /// The value is a regular expression that must match the whole label.
    #[serde(default)]
    pub is_regex: bool,
}

impl Silence {
    /// Says what is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        if self.matchers.is_empty() {
            return Err("give at least one matcher: without one every alert would be silent".to_owned());
        }
        if self.from >= self.to {
            return Err("`from` is not before `to`: exchange them".to_owned());
        }
        self.matchers.iter().try_for_each(|matcher| matcher.regex().map(drop))
    }

    /// Says whether an alert with these labels is silent at this time.
    #[must_use]
    pub fn holds(&self, labels: &Labels, now: i64) -> bool {
        (self.from..self.to).contains(&now) && self.matchers.iter().all(|matcher| matcher.matches(labels))
    }
}

impl Matcher {
    fn matches(&self, labels: &Labels) -> bool {
        let label = labels.get(&self.label).map_or("", String::as_str);
        if !self.is_regex {
            return label == self.value;
        }
        self.regex().is_ok_and(|regex| regex.is_match(label))
    }

    fn regex(&self) -> Result<Regex, String> {
        let whole = format!("^(?:{})$", if self.is_regex { &self.value } else { "" });
        Regex::new(&whole).map_err(|error| format!("`{}` is no regular expression: {error}", self.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_holds_for_its_labels_and_its_time() {
        let matcher =
            |label: &str, value: &str, is_regex| Matcher { label: label.into(), value: value.into(), is_regex };
        let silence = Silence {
            matchers: vec![matcher("alertname", "cpu", false), matcher("host", "web-.*", true)],
            from: 10,
            to: 20,
            comment: String::new(),
        };
        let labels = |name: &str, host: &str| {
            Labels::from([("alertname".to_owned(), name.to_owned()), ("host".to_owned(), host.to_owned())])
        };
        assert_eq!(silence.check(), Ok(()));
        let held = [9, 10, 19, 20].map(|now| silence.holds(&labels("cpu", "web-1"), now));
        assert_eq!(held, [false, true, true, false]);
        assert!(!silence.holds(&labels("disk", "web-1"), 15) && !silence.holds(&labels("cpu", "a-web-1"), 15));
        let bad = |matchers, from, to| Silence { matchers, from, to, comment: String::new() }.check().is_err();
        assert!(
            bad(vec![], 1, 2) && bad(vec![matcher("a", "b", false)], 2, 2) && bad(vec![matcher("a", "(", true)], 1, 2)
        );
    }
}
