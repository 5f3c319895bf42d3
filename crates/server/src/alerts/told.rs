use serde_json::{Value, json};
use tidegate_alerts::{Change, Labels, Phase, Rule, Severity, State, summary};
use tidegate_model::UnixNanos;

/// The name of the events that tell of alerts.
pub(super) const EVENT: &str = "alert_state";

/// Returns the labels of an alert as silences and people see them.
pub(super) fn all_labels(rule: &Rule, own: &Labels) -> Labels {
    let fixed = [("alertname", rule.name.clone()), ("severity", rule.severity.as_str().to_owned())];
    let mut labels = rule.labels.clone();
    labels.extend(own.clone());
    labels.extend(fixed.map(|(label, value)| (label.to_owned(), value)));
    labels
}

/// What a receiver is sent: `status` is `firing`, `no_data` or `resolved`.
pub(super) fn message(rule: &Rule, own: &Labels, state: &State, at: UnixNanos) -> Value {
    let status = if state.phase.is_bad() { state.phase.as_str() } else { "resolved" };
    json!({
        "status": status,
        "rule": rule.name,
        "severity": rule.severity.as_str(),
        "summary": summary(rule, own, state.value),
        "labels": all_labels(rule, own),
        "value": state.value,
        "since": UnixNanos(state.since).to_string(),
        "at": at.to_string(),
    })
}

/// Returns a change as OTLP log record with a name, which is a row of `events`.
pub(super) fn event(rule: &Rule, own: &Labels, (state, change): (&State, Change), at: UnixNanos) -> Value {
    let attribute = |key: &str, value: &str| json!({ "key": key, "value": { "stringValue": value } });
    let mut attributes = vec![
        attribute("alert.rule", &rule.name),
        attribute("alert.severity", rule.severity.as_str()),
        attribute("alert.from", change.from.as_str()),
        attribute("alert.to", change.to.as_str()),
    ];
    if let Some(value) = state.value {
        attributes.push(json!({ "key": "alert.value", "value": { "doubleValue": value } }));
    }
    attributes.extend(own.iter().map(|(label, value)| attribute(&format!("alert.label.{label}"), value)));
    let (text, number) = match (change.to, rule.severity) {
        (Phase::Ok | Phase::Pending, _) | (_, Severity::Info) => ("INFO", 9),
        (_, Severity::Warning) => ("WARN", 13),
        (_, Severity::Critical) => ("ERROR", 17),
    };
    json!({ "resourceLogs": [{
        "resource": { "attributes": [attribute("service.name", "tidegate")] },
        "scopeLogs": [{
            "scope": { "name": "tidegate.alerts" },
            "logRecords": [{
                "timeUnixNano": at.0.to_string(),
                "severityText": text,
                "severityNumber": number,
                "eventName": EVENT,
                "body": { "stringValue": summary(rule, own, state.value) },
                "attributes": attributes,
            }],
        }],
    }] })
}
