use serde::{Deserialize, Serialize};

use crate::{Labels, Span};

/// The longest name of a rule, in bytes.
const NAME_BYTES_MAX: usize = 120;
/// The shortest time between two looks: below it a rule takes the engine for itself.
const EVERY_MIN: Span = Span::seconds(1);
/// Weeks that a baseline may look back: retention takes what is older.
const WEEKS_MAX: u32 = 12;

/// What is asked, when its answer is bad news, and who is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its name, which no other rule has.
    pub name: String,
    /// SQL, of whose rows the column `value` is judged; its other columns are labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sql: Option<String>,
    /// `PromQL`, of whose series each last value is judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promql: Option<String>,
    /// A value above it is bad news.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub above: Option<f64>,
    /// A value below it is bad news.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub below: Option<f64>,
    /// A value that is unusual for its hour of the week is bad news.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anomaly: Option<Anomaly>,
    /// What fires recovers at this value or a better one; without it at the threshold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovers_at: Option<f64>,
    /// How often it is asked.
    #[serde(default = "minute")]
    pub every: Span,
    /// How long the news must be bad before it fires.
    #[serde(default)]
    pub r#for: Span,
    /// How long the news must be good before it ends.
    #[serde(default)]
    pub keep: Span,
    /// What a series without a value means.
    #[serde(default)]
    pub no_data: NoData,
    /// How bad it is.
    #[serde(default)]
    pub severity: Severity,
    /// Labels that each of its alerts gets.
    #[serde(default)]
    pub labels: Labels,
    /// The sentence that people are sent; `{value}` and `{label}` stand for the value and a label.
    #[serde(default)]
    pub summary: String,
    /// Who is told; none: all receivers.
    #[serde(default)]
    pub receivers: Vec<String>,
    /// It is not asked for now.
    #[serde(default)]
    pub paused: bool,
}

/// When a value is unusual: by so many robust deviations from the median of the same hour of the weeks before.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Anomaly {
    /// So many deviations are unusual.
    pub deviations: f64,
    /// So many weeks are looked at.
    pub weeks: u32,
    /// A smaller difference is never unusual.
    pub least: f64,
    /// Which way.
    pub direction: Direction,
}

/// Which way a value must differ.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Any.
    #[default]
    Both,
    /// Only more than usual.
    Above,
    /// Only less than usual.
    Below,
}

/// What it means that a series has no value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NoData {
    /// Nothing is wrong: SQL that lists only what is wrong.
    Ok,
    /// Nobody knows: it stays as it was.
    #[default]
    Keep,
    /// That is bad news of its own.
    Alert,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Somebody should look.
    #[default]
    Warning,
    /// Somebody must look now.
    Critical,
}

/// What a rule asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question<'r> {
    /// SQL.
    Sql(&'r str),
    /// `PromQL`.
    Promql(&'r str),
}

/// What is wrong with a rule.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("the rule `{rule}`: {what}")]
pub struct RuleError {
    rule: String,
    what: String,
}

impl Default for Anomaly {
    fn default() -> Self {
        Self { deviations: 5.0, weeks: 4, least: 0.0, direction: Direction::Both }
    }
}

impl Severity {
    /// Returns its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl Rule {
    /// Returns what it asks.
    pub fn question(&self) -> Result<Question<'_>, RuleError> {
        match (&self.sql, &self.promql) {
            (Some(sql), None) => Ok(Question::Sql(sql)),
            (None, Some(promql)) => Ok(Question::Promql(promql)),
            _ => Err(self.wrong("give either `sql` or `promql`")),
        }
    }

    /// Says what is wrong with it, and how to mend it.
    pub fn check(&self) -> Result<(), RuleError> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if self.name.is_empty() || self.name.len() > NAME_BYTES_MAX || !self.name.chars().all(is_name) {
            return Err(self.wrong(&format!(
                "its name has letters, digits, `-`, `_` and `.` alone, at most {NAME_BYTES_MAX} of them"
            )));
        }
        self.question()?;
        let conditions = usize::from(self.above.is_some()) + usize::from(self.below.is_some());
        if conditions + usize::from(self.anomaly.is_some()) != 1 {
            return Err(self.wrong("give one of `above`, `below` and `anomaly`"));
        }
        let numbers = [self.above, self.below, self.recovers_at];
        if numbers.into_iter().flatten().any(|number| !number.is_finite()) {
            return Err(self.wrong("`above`, `below` and `recovers_at` are finite numbers"));
        }
        if self.anomaly.is_some() && self.recovers_at.is_some() {
            return Err(self.wrong("an `anomaly` recovers by itself: leave `recovers_at` out"));
        }
        let is_worse = |recovers: f64| {
            self.above.is_some_and(|above| recovers > above) || self.below.is_some_and(|below| recovers < below)
        };
        if self.recovers_at.is_some_and(is_worse) {
            return Err(self.wrong("`recovers_at` is past the threshold: it would end while it fires"));
        }
        if let Some(Anomaly { deviations, weeks, least, .. }) = self.anomaly {
            let is_sane = deviations.is_finite() && deviations > 0.0 && least.is_finite() && least >= 0.0;
            if !is_sane || !(1..=WEEKS_MAX).contains(&weeks) {
                return Err(self.wrong(&format!(
                    "an `anomaly` has `deviations` above 0, `least` from 0 and 1 to {WEEKS_MAX} `weeks`"
                )));
            }
        }
        if self.every < EVERY_MIN {
            return Err(self.wrong(&format!("`every` is at least {EVERY_MIN}")));
        }
        if self.labels.keys().any(|label| ["alertname", "severity"].contains(&label.as_str())) {
            return Err(self.wrong("`alertname` and `severity` are labels that every alert has: name yours otherwise"));
        }
        Ok(())
    }

    fn wrong(&self, what: &str) -> RuleError {
        RuleError { rule: self.name.clone(), what: what.to_owned() }
    }
}

const fn minute() -> Span {
    Span::seconds(60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_written_in_toml_and_says_what_is_wrong_with_it() {
        let read = |text: &str| {
            let rule: Rule = toml::from_str(&format!("name = 'cpu'\n{text}")).map_err(|error| error.to_string())?;
            rule.check().map_err(|error| error.to_string()).map(|()| rule)
        };
        let rule = read("promql = 'cpu'\nabove = 90\nrecovers_at = 85\nfor = '5m'\nseverity = 'critical'");
        let rule = rule.expect("a good rule");
        assert_eq!((rule.r#for, rule.every), (Span::seconds(300), Span::seconds(60)));
        assert_eq!((rule.question(), rule.severity), (Ok(Question::Promql("cpu")), Severity::Critical));
        for (text, what) in [
            ("above = 1", "either `sql` or `promql`"),
            ("sql = 'a'\npromql = 'b'\nabove = 1", "either `sql` or `promql`"),
            ("sql = 'a'", "one of `above`"),
            ("sql = 'a'\nabove = 1\nbelow = 2", "one of `above`"),
            ("sql = 'a'\nabove = nan", "finite"),
            ("sql = 'a'\nabove = 1\nrecovers_at = 2", "past the threshold"),
            ("sql = 'a'\nbelow = 1\nrecovers_at = 0", "past the threshold"),
            ("sql = 'a'\nabove = 1\nevery = '10ms'", "at least 1s"),
            ("sql = 'a'\nabove = 1\nfor = 'soon'", "no span of time"),
            ("sql = 'a'\nabove = 1\nthreshold = 3", "unknown field"),
            ("sql = 'a'\nanomaly = { weeks = 99 }", "1 to 12"),
            ("sql = 'a'\nabove = 1\nlabels = { severity = 'x' }", "name yours otherwise"),
        ] {
            let told = read(text).expect_err(text);
            assert!(told.contains(what), "{text}: {told}");
        }
        let bad = Rule { name: "a b".to_owned(), ..rule };
        assert!(bad.check().is_err());
    }
}
