use regex::Regex;

use super::VectorSeries;

/// What `label_replace` does.
pub(super) struct Rule<'r> {
    pub(super) target: &'r str,
    pub(super) replacement: &'r str,
    pub(super) source: &'r str,
    pub(super) pattern: &'r Regex,
}

pub(super) fn replaced(rule: &Rule<'_>, mut series: Vec<VectorSeries>) -> Vec<VectorSeries> {
    for series in &mut series {
        let text = series.labels.get(rule.source).to_owned();
        let Some(captures) = rule.pattern.captures(&text) else { continue };
        let mut value = String::new();
        captures.expand(rule.replacement, &mut value);
        series.labels.set(rule.target, value);
    }
    series
}

pub(super) fn joined(
    (target, separator, sources): (&str, &str, &[String]),
    mut series: Vec<VectorSeries>,
) -> Vec<VectorSeries> {
    for series in &mut series {
        let values: Vec<_> = sources.iter().map(|source| series.labels.get(source)).collect();
        let value = values.join(separator);
        series.labels.set(target, value);
    }
    series
}
