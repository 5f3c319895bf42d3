use tidegate_alerts::{NoData, Rule, Severity, Span};

/// Returns the rules that are there from the start, over the metrics of the agent: processor and memory above 80 and 90 %,
/// disk with less than 20 and 10 % free.
#[must_use]
pub fn default_alert_rules() -> Vec<Rule> {
    let kinds = [("cpu", "system_cpu_percent"), ("memory", "system_memory_percent"), ("disk", "system_disk_percent")];
    let levels = [(Severity::Warning, 80.0, 75.0), (Severity::Critical, 90.0, 85.0)];
    let all = kinds.into_iter().flat_map(|kind| levels.into_iter().map(move |level| (kind, level)));
    all.map(|((what, metric), (severity, above, recovers_at))| Rule {
        name: format!("{what}-{}", severity.as_str()),
        sql: None,
        promql: Some(format!("avg_over_time({metric}[5m])")),
        above: Some(above),
        below: None,
        anomaly: None,
        recovers_at: Some(recovers_at),
        every: Span::seconds(60),
        r#for: Span::seconds(120),
        keep: Span::default(),
        no_data: NoData::Keep,
        severity,
        labels: tidegate_alerts::Labels::new(),
        summary: format!("{what} of {{instance}} is used by {{value}} %"),
        receivers: Vec::new(),
        paused: false,
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_of_the_start_are_good_rules() {
        let rules = default_alert_rules();
        assert_eq!(rules.len(), 6);
        for rule in rules {
            assert_eq!(rule.check(), Ok(()));
        }
    }
}
