use tidegate_alerts::{NoData, Rule, Severity, Span};

/// Returns the rules that are there from the start, over the metrics of the agent: processor and memory above 80 and 90 %,
/// disk with less than 20 and 10 % free; and one over our own.
#[must_use]
pub fn default_alert_rules() -> Vec<Rule> {
    let kinds = [("cpu", "system_cpu_percent"), ("memory", "system_memory_percent"), ("disk", "system_disk_percent")];
    let levels = [(Severity::Warning, 80.0, 75.0), (Severity::Critical, 90.0, 85.0)];
    let all = kinds.into_iter().flat_map(|kind| levels.into_iter().map(move |level| (kind, level)));
    let of_hosts = all.map(|((what, metric), (severity, above, recovers_at))| Rule {
        name: format!("{what}-{}", severity.as_str()),
        promql: Some(format!("avg_over_time({metric}[5m])")),
        above: Some(above),
        recovers_at: Some(recovers_at),
        severity,
        summary: format!("{what} of {{instance}} is used by {{value}} %"),
        ..begun()
    });
    of_hosts.chain([tracing_lag()]).collect()
}

/// ClickHouse is behind the PostgreSQL of the tracing API: its answers come from there, which is slow, and the changes that
/// wait take room there.
fn tracing_lag() -> Rule {
    Rule {
        name: "tracing-lag".to_owned(),
        promql: Some("max_over_time(tidegate_tracing_lag_seconds[5m])".to_owned()),
        above: Some(300.0),
        recovers_at: Some(60.0),
        severity: Severity::Warning,
        summary: "changes of spans wait for {value} s in PostgreSQL and are not in ClickHouse".to_owned(),
        ..begun()
    }
}

/// What all of them have in common.
fn begun() -> Rule {
    Rule {
        name: String::new(),
        sql: None,
        promql: None,
        above: None,
        below: None,
        anomaly: None,
        recovers_at: None,
        every: Span::seconds(60),
        r#for: Span::seconds(120),
        keep: Span::default(),
        no_data: NoData::Keep,
        severity: Severity::Warning,
        labels: tidegate_alerts::Labels::new(),
        summary: String::new(),
        receivers: Vec::new(),
        paused: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_of_the_start_are_good_rules() {
        let rules = default_alert_rules();
        assert_eq!(rules.len(), 7);
        for rule in rules {
            assert_eq!(rule.check(), Ok(()));
        }
    }
}
