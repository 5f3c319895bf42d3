//! What tables and roll-ups must both say.

/// What two tables must both say, by their groups.
pub(super) struct Same {
    pub(super) table: &'static str,
    pub(super) roll_up: &'static str,
    /// Groups and sums of rows.
    pub(super) of_rows: (&'static str, &'static str),
    /// Groups and sums of the roll-up.
    pub(super) of_sums: (&'static str, &'static str),
    /// Which rows are in it.
    pub(super) condition: &'static str,
}

pub(super) const SAME: [Same; 5] = [
    Same {
        table: "logs",
        roll_up: "roll_up_logs_by_minute",
        of_rows: (
            "toStartOfMinute(timestamp), service_name, severity_number, severity_text",
            "count(), min(_seq), max(_seq)",
        ),
        of_sums: (
            "toStartOfMinute(minute), service_name, severity_number, severity_text",
            "sum(records), min(_first), max(_last)",
        ),
        condition: "1",
    },
    Same {
        table: "logs",
        roll_up: "roll_up_logs_by_hour",
        of_rows: (
            "toStartOfHour(timestamp), service_name, severity_number, severity_text",
            "count(), min(_seq), max(_seq)",
        ),
        of_sums: (
            "toStartOfHour(hour), service_name, severity_number, severity_text",
            "sum(records), min(_first), max(_last)",
        ),
        condition: "1",
    },
    Same {
        table: "metric_samples",
        roll_up: "roll_up_metrics_by_hour",
        of_rows: (
            "toStartOfHour(timestamp), metric_name, service_name, fingerprint",
            "count(), sum(value), min(value), max(value)",
        ),
        of_sums: (
            "toStartOfHour(hour), metric_name, service_name, fingerprint",
            "sum(records), sum(total), min(least), max(greatest)",
        ),
        condition: "value_type != 'none'",
    },
    Same {
        table: "spans",
        roll_up: "roll_up_spans_by_minute",
        of_rows: (
            "toStartOfMinute(timestamp), service_name, name, kind, status_code, roundToExp2(duration_ns)",
            "count(), sum(toInt128(duration_ns)), min(duration_ns), max(duration_ns)",
        ),
        of_sums: (
            "toStartOfMinute(minute), service_name, name, kind, status_code, duration_from",
            "sum(records), sum(total), min(least), max(greatest)",
        ),
        condition: "1",
    },
    Same {
        table: "spans",
        roll_up: "roll_up_spans_by_hour",
        of_rows: (
            "toStartOfHour(timestamp), service_name, name, kind, status_code, roundToExp2(duration_ns)",
            "count(), sum(toInt128(duration_ns)), min(duration_ns), max(duration_ns)",
        ),
        of_sums: (
            "toStartOfHour(hour), service_name, name, kind, status_code, duration_from",
            "sum(records), sum(total), min(least), max(greatest)",
        ),
        condition: "1",
    },
];
