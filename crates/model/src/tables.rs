//! The built-in tables. Their columns hold every field of OTLP 1.x: a row can be turned back into what was sent.
//!
//! Rules that all of them share:
//! - Attribute values are text in a map; the column `…_types` beside it has one letter per entry, in
//!   the map's order, so that nothing of the type is lost: `s` string, `b` bool, `i` integer, `d` double,
//!   `a` array, `k` key-value list, `x` bytes, `e` empty. A map of strings only has an empty `…_types`.
//!   Doubles are written so that they read back as the same bits (`NaN`, `Infinity`, `-Infinity` as in
//!   proto3 JSON), bytes as base64, arrays and key-value lists as OTLP JSON (`{"values":[…]}`).
//! - Ids are lower-case hex text, empty when absent.
//! - An enum is its name without the prefix (`SERVER`, `ERROR`, `CUMULATIVE`); a number without a name is its digits.
//! - `service_name` is the resource's `service.name`, or `unknown_service` where that is absent or empty.

use std::sync::LazyLock;

use crate::ColumnKind::{Attributes, Bool, F64, I32, I64, Labels, Text, Timestamp, U8, U32, U64, Word};
use crate::{ColumnKind, ColumnSpec, Merge, RollUp, TableSpec};

/// `service_name` of a resource that does not say its own, as OpenTelemetry SDKs write it.
pub const UNKNOWN_SERVICE: &str = "unknown_service";

/// `scope_name` of series that came by Prometheus' remote write: their names and labels are Prometheus' own.
pub const REMOTE_WRITE_SCOPE: &str = "prometheus.remote_write";

/// Log records, one row each.
pub static LOGS: LazyLock<TableSpec> = LazyLock::new(|| {
    let own = [
        ("timestamp", Timestamp), // the record's time; without one the observed time; without that the time of receipt
        ("timestamp_source", Word), // which of these it is: `event`, `observed`, `received`
        ("observed_timestamp", Timestamp),
        ("trace_id", Text),
        ("span_id", Text),
        ("flags", U32),
        ("severity_number", U8),
        ("severity_text", Word),
        ("service_name", Word),
        ("event_name", Word),
        ("body", Text),
        ("body_type", Word), // a letter as in `…_types`, empty for a string
        ("attributes", Attributes),
        ("attribute_types", Word),
        ("dropped_attributes_count", U32),
        ("template_id", U64), // of its row in `log_templates`; 0 where it was not looked for
    ];
    table("logs", own.into_iter().chain(origin()))
});

/// Events: log records that have a name, one row each; none of them is a row of [`LOGS`] too.
pub static EVENTS: LazyLock<TableSpec> = LazyLock::new(|| {
    let own = [
        ("timestamp", Timestamp), // as in `logs`, and so are all columns that have a name there
        ("timestamp_source", Word),
        ("observed_timestamp", Timestamp),
        ("event_name", Word), // what kind of event it is: the record's, without one its attribute `event.name`
        ("service_name", Word), // what it came from
        ("agent_id", Word), // `agent.id` of the record or its resource; without one the resource's `service.instance.id`
        ("session_id", Text), // `session.id` of the record or its resource
        ("trace_id", Text),
        ("span_id", Text),
        ("flags", U32),
        ("severity_number", U8),
        ("severity_text", Word),
        ("body", Text), // the details
        ("body_type", Word),
        ("attributes", Attributes),
        ("attribute_types", Word),
        ("dropped_attributes_count", U32),
        ("template_id", U64),
    ];
    table("events", own.into_iter().chain(origin()))
});

/// Spans, one row each, with their events and links.
pub static SPANS: LazyLock<TableSpec> = LazyLock::new(|| {
    let own = [
        ("timestamp", Timestamp), // start_time_unix_nano
        ("end_timestamp", Timestamp),
        ("duration_ns", I64),
        ("trace_id", Text),
        ("span_id", Text),
        ("parent_span_id", Text),
        ("trace_state", Text),
        ("flags", U32),
        ("service_name", Word),
        ("name", Word),
        ("kind", Word),
        ("status_code", Word),
        ("status_message", Text),
        ("attributes", Attributes),
        ("attribute_types", Word),
        ("dropped_attributes_count", U32),
        ("event_timestamps", list(Timestamp)),
        ("event_names", list(Word)),
        ("event_attributes", list(Attributes)),
        ("event_attribute_types", list(Word)),
        ("event_dropped_attributes_counts", list(U32)),
        ("dropped_events_count", U32),
        ("link_trace_ids", list(Text)),
        ("link_span_ids", list(Text)),
        ("link_trace_states", list(Text)),
        ("link_flags", list(U32)),
        ("link_attributes", list(Attributes)),
        ("link_attribute_types", list(Word)),
        ("link_dropped_attributes_counts", list(U32)),
        ("dropped_links_count", U32),
    ];
    table("spans", own.into_iter().chain(origin()))
});

/// Series: everything about a data point but its times and values. One row each, ever.
pub static METRIC_SERIES: LazyLock<TableSpec> = LazyLock::new(|| {
    let own = [
        ("fingerprint", U64), // a hash of all other columns but `first_timestamp`, attributes in any order
        ("first_timestamp", Timestamp), // of the data point that brought the series
        ("metric_name", Word),
        ("metric_type", Word), // gauge, sum, histogram, exponential_histogram, summary
        ("unit", Word),
        ("description", Word),
        ("aggregation_temporality", Word),
        ("is_monotonic", Bool),
        ("metadata", Attributes),
        ("metadata_types", Word),
        ("service_name", Word),
        ("attributes", Attributes),
        ("attribute_types", Word),
    ];
    let mut spec = table("metric_series", own.into_iter().chain(origin()));
    spec.unique_key = Some("fingerprint");
    spec
});

/// Data points of gauges and sums.
pub static METRIC_SAMPLES: LazyLock<TableSpec> = LazyLock::new(|| {
    let own = [
        ("value", F64),       // NaN where the point has none
        ("value_int", I64),   // the exact integer where `value_type` is `int`
        ("value_type", Word), // double, int, none
    ];
    table("metric_samples", point().into_iter().chain(own).chain(exemplars()))
});

/// Data points of histograms with explicit bounds.
pub static METRIC_HISTOGRAMS: LazyLock<TableSpec> = LazyLock::new(|| {
    let own = [("bucket_counts", list(U64)), ("explicit_bounds", list(F64))];
    table("metric_histograms", point().into_iter().chain(distribution()).chain(own).chain(exemplars()))
});

/// Data points of exponential histograms.
pub static METRIC_EXPONENTIAL_HISTOGRAMS: LazyLock<TableSpec> = LazyLock::new(|| {
    let own = [
        ("scale", I32),
        ("zero_count", U64),
        ("zero_threshold", F64),
        ("positive_offset", nullable(I32)), // absent where the point has no such buckets
        ("positive_bucket_counts", list(U64)),
        ("negative_offset", nullable(I32)),
        ("negative_bucket_counts", list(U64)),
    ];
    table("metric_exponential_histograms", point().into_iter().chain(distribution()).chain(own).chain(exemplars()))
});

/// Data points of summaries.
pub static METRIC_SUMMARIES: LazyLock<TableSpec> = LazyLock::new(|| {
    let own = [("count", U64), ("sum", F64), ("quantiles", list(F64)), ("quantile_values", list(F64))];
    table("metric_summaries", point().into_iter().chain(own))
});

/// What came of each signal: a row for each metric, span name or log severity, template, service and hour.
///
/// `name` is the metric's or the span's name, or the log's severity (`UNSET` where it has none).
pub static CATALOG_SIGNALS: LazyLock<TableSpec> = LazyLock::new(|| {
    static ROLL_UP: RollUp = RollUp {
        keys: &["signal", "name", "template_id", "service_name", "hour"],
        rules: &[
            ("records", Merge::Sum),
            ("bytes", Merge::Sum),
            ("first_timestamp", Merge::Min),
            ("last_timestamp", Merge::Max),
            ("series", Merge::Union),
            ("facets", Merge::Union),
            ("example", Merge::Max), // an empty one never stands for others
            ("dropped_attributes", Merge::Sum),
            ("dropped_attributes_max", Merge::Max),
            ("dropped_attributes_records", Merge::Sum),
            ("dropped_events", Merge::Sum),
            ("dropped_events_max", Merge::Max),
            ("dropped_events_records", Merge::Sum),
            ("dropped_links", Merge::Sum),
            ("dropped_links_max", Merge::Max),
            ("dropped_links_records", Merge::Sum),
        ],
    };
    let own = [
        ("signal", Word), // logs, traces, metrics
        ("name", Word),
        ("template_id", U64), // of its row in `log_templates`; 0 where there is none
        ("service_name", Word),
        ("hour", Timestamp), // the hour's beginning
        ("records", U64),    // log records, spans, data points
        ("bytes", U64),      // of names, bodies and attributes, as text
        ("first_timestamp", Timestamp),
        ("last_timestamp", Timestamp),
        ("series", list(U64)),  // the fingerprints of a metric's series
        ("facets", list(Text)), // `kind:SERVER`, `status:ERROR`, `event:exception`, `bounds:[0.1,1]`, …
        ("example", Text),      // the beginning of a body
        ("dropped_attributes", U64),
        ("dropped_attributes_max", U64),
        ("dropped_attributes_records", U64),
        ("dropped_events", U64),
        ("dropped_events_max", U64),
        ("dropped_events_records", U64),
        ("dropped_links", U64),
        ("dropped_links_max", U64),
        ("dropped_links_records", U64),
    ];
    roll_up("catalog_signals", own, &ROLL_UP)
});

/// What came of each attribute: a row for each of them in each row of [`CATALOG_SIGNALS`].
pub static CATALOG_ATTRIBUTES: LazyLock<TableSpec> = LazyLock::new(|| {
    static ROLL_UP: RollUp = RollUp {
        keys: &["signal", "scope", "key", "name", "template_id", "service_name", "hour"],
        rules: &[
            ("records", Merge::Sum),
            ("bytes", Merge::Sum),
            ("first_timestamp", Merge::Min),
            ("last_timestamp", Merge::Max),
            ("value_hashes", Merge::Union),
            ("unlisted", Merge::Sum),
        ],
    };
    let own = [
        ("signal", Word),
        ("scope", Word), // resource, scope, attribute, event, link
        ("key", Word),
        ("name", Word),
        ("template_id", U64),
        ("service_name", Word),
        ("hour", Timestamp),
        ("records", U64), // how often the key came
        ("bytes", U64),   // of key and value, as text
        ("first_timestamp", Timestamp),
        ("last_timestamp", Timestamp),
        ("value_hashes", list(U64)), // XXH3-64 of each distinct value's text
        ("unlisted", U64), // how often the key came when the row had its most hashes: 0 where they are all there
    ];
    roll_up("catalog_attributes", own, &ROLL_UP)
});

/// The text of values, of each key only the first so many.
pub static CATALOG_VALUES: LazyLock<TableSpec> = LazyLock::new(|| {
    static ROLL_UP: RollUp = RollUp {
        keys: &["signal", "scope", "key", "value_hash"],
        rules: &[("value", Merge::Min), ("first_timestamp", Merge::Min)],
    };
    let own = [
        ("signal", Word),
        ("scope", Word),
        ("key", Word),
        ("value_hash", U64),
        ("value", Text),
        ("first_timestamp", Timestamp),
    ];
    roll_up("catalog_values", own, &ROLL_UP)
});

/// The text of log templates. Several ids may stand for one template: [`LOG_TEMPLATE_MERGES`] says which.
pub static LOG_TEMPLATES: LazyLock<TableSpec> = LazyLock::new(|| {
    static ROLL_UP: RollUp =
        RollUp { keys: &["template_id"], rules: &[("template", Merge::Min), ("first_timestamp", Merge::Min)] };
    let own = [("template_id", U64), ("template", Text), ("first_timestamp", Timestamp)];
    roll_up("log_templates", own, &ROLL_UP)
});

/// Templates that were found to be one: rows with `template_id` belong to `into_id`, and so on from there.
pub static LOG_TEMPLATE_MERGES: LazyLock<TableSpec> = LazyLock::new(|| {
    static ROLL_UP: RollUp = RollUp { keys: &["template_id", "into_id"], rules: &[("first_timestamp", Merge::Min)] };
    let own = [("template_id", U64), ("into_id", U64), ("first_timestamp", Timestamp)];
    roll_up("log_template_merges", own, &ROLL_UP)
});

/// How far each table's rows are in ClickHouse: a table of ClickHouse alone, into which no row is sent.
pub static INGEST_WATERMARKS: LazyLock<TableSpec> = LazyLock::new(|| {
    static ROLL_UP: RollUp = RollUp {
        keys: &["dataset_slug", "table_name"],
        rules: &[
            ("watermark", Merge::Max),
            ("watermark_timestamp", Merge::Max),
            ("clickhouse_revision", Merge::Max),
            ("promoted_at", Merge::Max),
        ],
    };
    let own = [
        ("dataset_slug", Word), // of a built-in table its name
        ("table_name", Word),
        ("watermark", U64),                 // every row with a `_seq` up to it is here
        ("watermark_timestamp", Timestamp), // the latest time of a row up to it
        ("clickhouse_revision", U32),
        ("promoted_at", Timestamp),
    ];
    roll_up("ingest_watermarks", own, &ROLL_UP)
});

/// Returns every built-in table.
#[must_use]
pub fn all() -> [&'static TableSpec; 13] {
    [
        &LOGS,
        &EVENTS,
        &SPANS,
        &METRIC_SERIES,
        &METRIC_SAMPLES,
        &METRIC_HISTOGRAMS,
        &METRIC_EXPONENTIAL_HISTOGRAMS,
        &METRIC_SUMMARIES,
        &CATALOG_SIGNALS,
        &CATALOG_ATTRIBUTES,
        &CATALOG_VALUES,
        &LOG_TEMPLATES,
        &LOG_TEMPLATE_MERGES,
    ]
}

/// Returns the column with the time of a built-in table's rows.
#[must_use]
pub fn time_column(spec: &TableSpec) -> Option<&str> {
    let found = ["timestamp", "first_timestamp"].into_iter().find_map(|name| spec.column(name));
    found.map(|column| column.name.as_str())
}

type Column = (&'static str, ColumnKind);

/// The resource and the scope that a row comes from.
fn origin() -> [Column; 12] {
    [
        ("resource_attributes", Labels),
        ("resource_attribute_types", Word),
        ("resource_dropped_attributes_count", U32),
        ("resource_entity_refs", Word), // OTLP JSON, empty when absent
        ("resource_schema_url", Word),
        ("scope_name", Word),
        ("scope_version", Word),
        ("scope_attributes", Labels),
        ("scope_attribute_types", Word),
        ("scope_dropped_attributes_count", U32),
        ("scope_schema_url", Word),
        ("origin_presence", U8), // bit 0: the message had a resource, bit 1: it had a scope
    ]
}

/// What every data point has, whatever its kind.
fn point() -> [Column; 6] {
    [
        ("metric_name", Word),
        ("service_name", Word),
        ("fingerprint", U64), // of its row in `metric_series`
        ("timestamp", Timestamp),
        ("start_timestamp", Timestamp),
        ("flags", U32),
    ]
}

/// What both kinds of histogram have.
fn distribution() -> [Column; 4] {
    [("count", U64), ("sum", nullable(F64)), ("min", nullable(F64)), ("max", nullable(F64))]
}

fn exemplars() -> [Column; 8] {
    [
        ("exemplar_timestamps", list(Timestamp)),
        ("exemplar_values", list(F64)),
        ("exemplar_values_int", list(I64)),
        ("exemplar_value_types", list(Word)),
        ("exemplar_trace_ids", list(Text)),
        ("exemplar_span_ids", list(Text)),
        ("exemplar_attributes", list(Attributes)),
        ("exemplar_attribute_types", list(Word)),
    ]
}

fn list(item: ColumnKind) -> ColumnKind {
    ColumnKind::List(Box::new(item))
}

fn nullable(kind: ColumnKind) -> ColumnKind {
    ColumnKind::Nullable(Box::new(kind))
}

fn roll_up(name: &str, columns: impl IntoIterator<Item = Column>, rules: &'static RollUp) -> TableSpec {
    TableSpec { roll_up: Some(rules), ..table(name, columns) }
}

fn table(name: &str, columns: impl IntoIterator<Item = Column>) -> TableSpec {
    let name = name.parse().expect("the built-in names are valid: `every_built_in_table_is_well_formed` parses them");
    TableSpec::new(name, columns.into_iter().map(|(name, kind)| ColumnSpec::new(name, kind)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_table_is_well_formed() {
        for spec in all() {
            let mut names: Vec<_> = spec.columns.iter().map(|column| &column.name).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), spec.columns.len(), "{} names a column twice", spec.name);
            assert_eq!(spec.sent_schema().fields().len(), spec.columns.len() + 1);
            assert!(spec.column("timestamp").or(spec.column("first_timestamp")).is_some());
            let Some(roll_up) = spec.roll_up else { continue };
            let own =
                spec.columns.iter().map(|column| column.name.as_str()).filter(|name| *name != TableSpec::PARTITION);
            let ruled: Vec<_> =
                roll_up.keys.iter().copied().chain(roll_up.rules.iter().map(|(name, _)| *name)).collect();
            let mut own: Vec<_> = own.collect();
            own.sort_unstable();
            let mut sorted = ruled.clone();
            sorted.sort_unstable();
            assert_eq!(own, sorted, "every column of {} is a key or has a rule, once", spec.name);
        }
    }

    #[test]
    fn the_columns_that_users_rely_on_keep_their_types() {
        let kinds: Vec<_> = ["timestamp", "trace_id", "service_name", "body", "attributes", "severity_number"]
            .iter()
            .map(|name| LOGS.column(name).expect("a column of logs").kind.clickhouse())
            .collect();
        expect_test::expect![[r#"
            [
                "DateTime64(9, 'UTC')",
                "String",
                "LowCardinality(String)",
                "String",
                "Map(LowCardinality(String), String)",
                "UInt8",
            ]
        "#]]
        .assert_debug_eq(&kinds);
    }
}
