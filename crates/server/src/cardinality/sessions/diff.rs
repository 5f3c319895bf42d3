use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::content::{Content, Counted, Item};

/// A key that is new and has more values than this is worth a warning.
const NEW_KEY_HIGH: u64 = 1_000;

/// How much a change matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Severity {
    Info,
    Warning,
    Critical,
}

impl Severity {
    pub(super) const NAMES: [&str; 3] = ["info", "warning", "critical"];

    const fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// What is compared.
#[derive(Debug, Default)]
pub(super) struct Asked<'a> {
    pub(super) signal_type: Option<&'a str>,
    pub(super) service: Option<&'a str>,
    /// An index into [`Severity::NAMES`].
    pub(super) severity_min: usize,
}

struct Detail {
    field: String,
    from: u64,
    to: u64,
    severity: Severity,
    message: String,
}

/// Tells what changed between two sessions.
pub(super) fn told(from: &Content, to: &Content, asked: &Asked<'_>) -> Value {
    let mut changes = Vec::new();
    let mut summary = Map::new();
    for (signal, plural) in [("metric", "metrics"), ("span", "spans"), ("log", "logs")] {
        let of = |session: &'_ Content| -> BTreeMap<String, Item> {
            let is_asked = |item: &&Item| {
                item.signal_type == signal
                    && asked.signal_type.is_none_or(|asked| asked == signal)
                    && asked.service.is_none_or(|service| item.services.iter().any(|own| own == service))
            };
            session.items.iter().filter(is_asked).map(|item| (item.name.clone(), item.clone())).collect()
        };
        summary.insert(plural.into(), compared(signal, &of(from), &of(to), item_details, &mut changes));
    }
    // Keys are counted over all services and signals.
    let is_whole = asked.signal_type.is_none() && asked.service.is_none();
    let none = BTreeMap::new();
    let [old, new] = [from, to].map(|session| if is_whole { &session.attributes } else { &none });
    summary.insert("attributes".into(), compared("attribute", old, new, attribute_details, &mut changes));

    changes.retain(|(severity, _)| *severity as usize >= asked.severity_min);
    changes.sort_by_key(|(severity, _)| std::cmp::Reverse(*severity));
    let critical: Vec<&Value> =
        changes.iter().filter(|(severity, _)| *severity == Severity::Critical).map(|(_, change)| change).collect();
    json!({
        "from": from.id,
        "to": to.id,
        "summary": summary,
        "critical_changes": critical,
        "changes": changes.iter().map(|(_, change)| change).collect::<Vec<_>>(),
    })
}

fn compared<T: PartialEq>(
    signal: &str,
    old: &BTreeMap<String, T>,
    new: &BTreeMap<String, T>,
    details: fn(Option<&T>, Option<&T>) -> Vec<Detail>,
    changes: &mut Vec<(Severity, Value)>,
) -> Value {
    let (mut added, mut removed, mut changed) = (0, 0, 0);
    let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let kind = match (old.get(name), new.get(name)) {
            (None, _) => {
                added += 1;
                "added"
            }
            (_, None) => {
                removed += 1;
                "removed"
            }
            (before, after) if before == after => continue,
            _ => {
                changed += 1;
                "changed"
            }
        };
        let details = details(old.get(name), new.get(name));
        let severity = details.iter().map(|detail| detail.severity).max().unwrap_or(Severity::Info);
        let change = json!({
            "type": kind,
            "signal_type": signal,
            "name": name,
            "severity": severity.name(),
            "details": details.iter().map(Detail::told).collect::<Vec<_>>(),
            "metadata": {},
        });
        changes.push((severity, change));
    }
    json!({ "added": added, "removed": removed, "changed": changed })
}

fn item_details(old: Option<&Item>, new: Option<&Item>) -> Vec<Detail> {
    let (none, mut details) = (BTreeMap::new(), Vec::new());
    let count = |item: Option<&Item>| item.map_or(0, |item| item.sample_count);
    details.extend(samples(count(old), count(new)));
    let series = |item: Option<&Item>| item.map_or(0, |item| item.active_series);
    details.extend(cardinality("active_series", series(old), series(new)));
    let [before, after] = [old, new].map(|item| item.map_or(&none, |item| &item.keys));
    let mut keys: Vec<&String> = before.keys().chain(after.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    for key in keys {
        let of = |keys: &BTreeMap<String, Counted>| keys.get(key).map_or(0, |counted| counted.cardinality);
        details.extend(cardinality(key, of(before), of(after)));
    }
    details
}

fn attribute_details(old: Option<&Counted>, new: Option<&Counted>) -> Vec<Detail> {
    let of = |counted: Option<&Counted>| counted.map_or(0, |counted| counted.cardinality);
    let count = |counted: Option<&Counted>| counted.map_or(0, |counted| counted.count);
    cardinality("cardinality", of(old), of(new)).into_iter().chain(samples(count(old), count(new))).collect()
}

/// Ten times as many values are critical, twice as many a warning; so are many values of a key that is new.
fn cardinality(field: &str, from: u64, to: u64) -> Option<Detail> {
    if from == to {
        return None;
    }
    let (severity, message) = if from == 0 {
        let high = to > NEW_KEY_HIGH;
        (if high { Severity::Warning } else { Severity::Info }, format!("`{field}` is new, with {to} values"))
    } else if to >= from.saturating_mul(10) {
        (Severity::Critical, format!("`{field}` has ten times as many values or more"))
    } else if to >= from.saturating_mul(2) {
        (Severity::Warning, format!("`{field}` has twice as many values or more"))
    } else if to == 0 {
        (Severity::Info, format!("`{field}` is gone"))
    } else {
        (Severity::Info, format!("`{field}` has {to} values, it had {from}"))
    };
    Some(Detail { field: field.to_owned(), from, to, severity, message })
}

fn samples(from: u64, to: u64) -> Option<Detail> {
    if from == to {
        return None;
    }
    let is_much = from > 0 && to >= from.saturating_mul(5);
    let severity = if is_much { Severity::Warning } else { Severity::Info };
    let message = format!("{to} samples, {from} before");
    Some(Detail { field: "sample_count".into(), from, to, severity, message })
}

impl Detail {
    fn told(&self) -> Value {
        let change = if self.from == 0 { Value::Null } else { json!(change_percent(self.from, self.to)) };
        json!({
            "field": self.field,
            "from": self.from,
            "to": self.to,
            "change_pct": change,
            "severity": self.severity.name(),
            "message": self.message,
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share is shown to a person; both numbers are given beside it")]
fn change_percent(from: u64, to: u64) -> f64 {
    (to as f64 - from as f64) * 100.0 / from as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_matter_as_the_reference_says() {
        let of = |from, to| cardinality("k", from, to).map(|detail| detail.severity);
        assert_eq!(of(5, 5), None);
        assert_eq!(
            (of(5, 9), of(5, 10), of(5, 50)),
            (Some(Severity::Info), Some(Severity::Warning), Some(Severity::Critical))
        );
        assert_eq!(
            (of(0, 1_000), of(0, 1_001), of(9, 0)),
            (Some(Severity::Info), Some(Severity::Warning), Some(Severity::Info))
        );
        let rate = |from, to| samples(from, to).map(|detail| detail.severity);
        assert_eq!((rate(10, 49), rate(10, 50)), (Some(Severity::Info), Some(Severity::Warning)));
    }
}
