use std::process::ExitCode;

use serde::Serialize;
use serde_json::Value;

use super::observed::Observed;
use super::thresholds::{Limits, Thresholds};

/// How much a finding matters; the worst of all is the check's verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    Ok,
    Warning,
    Critical,
}

impl Verdict {
    /// Returns what the program ends with.
    pub(super) const fn code(self) -> u8 {
        self as u8
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl From<Verdict> for ExitCode {
    fn from(verdict: Verdict) -> Self {
        Self::from(verdict.code())
    }
}

/// A threshold that was reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) severity: Verdict,
    /// The threshold's name; `comparison` for what a saved session tells.
    pub(super) threshold: String,
    /// The attribute or metric that it is about; empty where it is about all telemetry.
    pub(super) name: String,
    pub(super) value: u64,
    /// The number that was reached.
    pub(super) limit: u64,
    pub(super) message: String,
}

impl Limits {
    /// Returns which of the limits a number reaches, and that limit.
    pub(super) fn reached_by(self, value: u64) -> Option<(Verdict, u64)> {
        let reached = |limit: Option<u64>| limit.filter(|limit| value >= *limit);
        let failed = reached(self.fail).map(|limit| (Verdict::Critical, limit));
        failed.or_else(|| reached(self.warn).map(|limit| (Verdict::Warning, limit)))
    }
}

/// Holds what was observed against the thresholds; the worst findings come first.
pub(super) fn judge(observed: &Observed, thresholds: &Thresholds) -> Vec<Finding> {
    let mut findings = totals(observed, thresholds);
    for attribute in &observed.attributes {
        let limits = thresholds.of_attribute(&attribute.key);
        let threshold = ("attribute_cardinality", "distinct values");
        findings.extend(finding(threshold, &attribute.key, attribute.estimated_cardinality, limits));
        findings.extend(unwanted(&attribute.key, attribute.count, thresholds));
    }
    for metric in &observed.metrics {
        let limits = thresholds.of_metric(&metric.name);
        findings.extend(finding(("metric_series", "series"), &metric.name, metric.active_series, limits));
    }
    findings.extend(observed.comparison.as_ref().map(compared).unwrap_or_default());
    findings.sort_by(|a, b| b.severity.cmp(&a.severity).then(b.value.cmp(&a.value)).then(a.name.cmp(&b.name)));
    findings
}

/// Returns the worst of the findings.
pub(super) fn verdict(findings: &[Finding]) -> Verdict {
    findings.iter().map(|finding| finding.severity).max().unwrap_or(Verdict::Ok)
}

fn totals(observed: &Observed, thresholds: &Thresholds) -> Vec<Finding> {
    let summary = &observed.summary;
    let rejected = observed.rejected.iter().map(|table| table.rejected).sum();
    let all = [
        (("active_series", "series"), summary.active_series, thresholds.active_series),
        (("metrics", "metrics"), summary.total_metrics, thresholds.metrics),
        (("span_names", "span names"), summary.total_span_names, thresholds.span_names),
        (("log_templates", "log templates"), summary.total_log_patterns, thresholds.log_templates),
        (("attributes", "attributes"), summary.total_attributes, thresholds.attributes),
        (("services", "services"), summary.total_services, thresholds.services),
        (("samples", "samples"), summary.samples.total(), thresholds.samples),
        (("bytes", "bytes"), summary.bytes, thresholds.bytes),
        (("rejected", "records were refused"), rejected, thresholds.rejected),
    ];
    all.into_iter().filter_map(|(threshold, value, limits)| finding(threshold, "", value, limits)).collect()
}

fn finding((threshold, unit): (&str, &str), name: &str, value: u64, limits: Limits) -> Option<Finding> {
    let (severity, limit) = limits.reached_by(value)?;
    let message = match name {
        "" => format!("{value} {unit}, the limit is {limit}"),
        name => format!("`{name}` has {value} {unit}, the limit is {limit}"),
    };
    Some(Finding { severity, threshold: threshold.to_owned(), name: name.to_owned(), value, limit, message })
}

fn unwanted(key: &str, count: u64, thresholds: &Thresholds) -> Option<Finding> {
    let is_in = |list: &[String]| list.iter().any(|own| own == key);
    let (severity, threshold, word) = if is_in(&thresholds.forbidden_attributes) {
        (Verdict::Critical, "forbidden_attributes", "must not come")
    } else if is_in(&thresholds.discouraged_attributes) {
        (Verdict::Warning, "discouraged_attributes", "should not come")
    } else {
        return None;
    };
    let message = format!("`{key}` {word}, and came {count} times");
    Some(Finding { severity, threshold: threshold.to_owned(), name: key.to_owned(), value: count, limit: 1, message })
}

/// Takes what the server calls a warning or critical in a comparison.
fn compared(comparison: &Value) -> Vec<Finding> {
    let changes = comparison["changes"].as_array().into_iter().flatten();
    let details = changes.flat_map(|change| {
        let details = change["details"].as_array().into_iter().flatten();
        details.filter_map(move |detail| {
            let severity = match detail["severity"].as_str()? {
                "critical" => Verdict::Critical,
                "warning" => Verdict::Warning,
                _ => return None,
            };
            let name = change["name"].as_str()?;
            let (from, to) = (detail["from"].as_u64()?, detail["to"].as_u64()?);
            let told = detail["message"].as_str()?;
            let message = format!("{} `{name}`: {told} ({from} before, {to} now)", change["signal_type"].as_str()?);
            Some(Finding {
                severity,
                threshold: "comparison".to_owned(),
                name: name.to_owned(),
                value: to,
                limit: from,
                message,
            })
        })
    });
    details.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_limit_is_reached_by_its_own_number() {
        let limits = Limits { warn: Some(10), fail: Some(20) };
        let verdicts = [9, 10, 19, 20].map(|value| limits.reached_by(value));
        let (warned, failed) = (Some((Verdict::Warning, 10)), Some((Verdict::Critical, 20)));
        assert_eq!(verdicts, [None, warned, warned, failed]);
        assert_eq!(Limits::default().reached_by(u64::MAX), None);
    }

    #[test]
    fn unwanted_attributes_and_growth_are_findings() {
        let attribute = |key: &str, cardinality: u64| {
            json!({ "key": key, "estimated_cardinality": cardinality, "count": 5, "bytes": 1, "signal_types": [],
                "scopes": [], "value_samples": [], "first_seen": "", "last_seen": "", "exact": true })
        };
        let attributes = json!([attribute("user.email", 3), attribute("host", 4), attribute("user.id", 70)]);
        let comparison = json!({ "changes": [{ "name": "INFO", "signal_type": "log", "details": [
            { "severity": "info", "from": 3, "to": 4, "message": "m" },
            { "severity": "warning", "from": 3, "to": 9, "message": "twice as many" }] }] });
        let observed = Observed {
            attributes: serde_json::from_value(attributes).expect("attributes"),
            comparison: Some(comparison),
            ..Observed::default()
        };
        let thresholds = Thresholds {
            attribute: [("user.id".to_owned(), Limits { warn: Some(50), fail: None })].into(),
            forbidden_attributes: vec!["user.email".to_owned()],
            discouraged_attributes: vec!["host".to_owned()],
            ..Thresholds::default()
        };
        let findings = judge(&observed, &thresholds);
        let told: Vec<_> = findings.iter().map(|one| (one.severity, one.threshold.as_str(), one.value)).collect();
        assert_eq!(
            told,
            [
                (Verdict::Critical, "forbidden_attributes", 5),
                (Verdict::Warning, "attribute_cardinality", 70),
                (Verdict::Warning, "comparison", 9),
                (Verdict::Warning, "discouraged_attributes", 5),
            ]
        );
        assert_eq!((verdict(&findings), verdict(&[])), (Verdict::Critical, Verdict::Ok));
    }
}
