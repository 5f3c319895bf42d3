use serde_json::Value;

use super::exactly;
use crate::routes::{Shapes, count, flag, found, integer, list_of, map_of, nullable, number, object, text, texts};

/// What a metric, a span name and a severity have alike.
fn item(own: &[(&str, Value)]) -> Value {
    let mut fields = own.to_vec();
    fields.extend([
        ("resource_keys", map_of(found("Key"))),
        ("scope_keys", map_of(found("Key"))),
        ("sample_count", count()),
        ("bytes", count()),
        ("services", map_of(count())),
        ("first_seen", text()),
        ("last_seen", text()),
    ]);
    exactly(&fields)
}

fn dropped(items: &str) -> Value {
    object(&[("total_dropped", count()), (items, count()), ("max_dropped", count())])
}

pub(super) fn shapes() -> Shapes {
    let mut all = Shapes::from([("Metric", metric()), ("Span", span()), ("Log", log())]);
    all.extend(patterns());
    all.extend(services());
    all
}

fn metric() -> Value {
    let data = object(&[
        ("data_point_count", count()),
        ("aggregation_temporality", text()),
        ("is_monotonic", flag()),
        ("explicit_bounds", list_of(nullable(number()))),
        ("scales", list_of(integer())),
    ]);
    item(&[
        ("name", text()),
        ("description", text()),
        ("unit", text()),
        ("type", text()),
        ("data", data),
        ("metadata", map_of(text())),
        ("label_keys", map_of(found("Key"))),
        ("scope_info", object(&[("name", text()), ("version", text())])),
        ("active_series", count()),
        ("active_series_otlp", count()),
        ("active_series_prometheus", count()),
    ])
}

fn span() -> Value {
    let pattern = object(&[("template", text()), ("count", count()), ("percentage", number()), ("examples", texts())]);
    item(&[
        ("name", text()),
        ("kind", count()),
        ("kind_name", text()),
        ("kinds", texts()),
        ("attribute_keys", map_of(found("Key"))),
        ("event_names", texts()),
        ("event_attribute_keys", map_of(found("Key"))),
        ("link_attribute_keys", map_of(found("Key"))),
        ("has_trace_state", flag()),
        ("has_parent_span_id", flag()),
        ("status_codes", texts()),
        ("dropped_attributes_stats", dropped("items_with_dropped")),
        ("dropped_events_stats", dropped("items_with_dropped")),
        ("dropped_links_stats", dropped("items_with_dropped")),
        ("scope_info", object(&[("name", text()), ("version", text())])),
        ("name_patterns", list_of(pattern)),
    ])
}

fn log() -> Value {
    let template = object(&[
        ("template", text()),
        ("template_id", text()),
        ("count", count()),
        ("percentage", number()),
        ("example", text()),
    ]);
    item(&[
        ("severity", text()),
        ("severity_number", count()),
        ("service_name?", text()),
        ("attribute_keys", map_of(found("Key"))),
        ("body_templates", list_of(template)),
        ("body_template_count", count()),
        ("event_names", texts()),
        ("has_trace_context", flag()),
        ("has_span_context", flag()),
        ("dropped_attributes_stats", dropped("records_with_dropped")),
    ])
}

fn patterns() -> Shapes {
    let key = exactly(&[("name", text()), ("cardinality", count()), ("sample_values", texts())]);
    let service = object(&[
        ("service_name", text()),
        ("sample_count", count()),
        ("severities", texts()),
        ("resource_keys", list_of(key.clone())),
        ("attribute_keys", list_of(key)),
    ]);
    let pattern = [
        ("template", text()),
        ("template_id", text()),
        ("example_body", text()),
        ("total_count", count()),
        ("severity_breakdown", map_of(count())),
        ("services", list_of(service.clone())),
    ];
    let mut spread = pattern.to_vec();
    spread.extend([("service_count", count()), ("service_distribution", map_of(count()))]);
    let one = exactly(&[
        ("template", text()),
        ("template_id", text()),
        ("example_body", text()),
        ("severity", text()),
        ("total_count", count()),
        ("total_severity_count", count()),
        ("services", list_of(service)),
    ]);
    let names = object(&[("span_name", text()), ("sample_count", count()), ("services", texts()), ("kind", text())]);
    let of_spans = object(&[
        ("pattern", text()),
        ("matching_spans", list_of(names)),
        ("total_samples", count()),
        ("span_count", count()),
    ]);
    let event = exactly(&[
        ("kind", text()),
        ("template", text()),
        ("template_id", text()),
        ("hour", text()),
        ("first_seen", text()),
        ("count", count()),
        ("services", texts()),
        ("previous_hours?", count()),
        ("median?", number()),
        ("mad?", number()),
        ("score?", number()),
    ]);
    Shapes::from([
        ("LogEvent", event),
        ("SpreadPattern", object(&spread)),
        ("LogPattern", one),
        ("LogPatterns", paged("patterns", object(&pattern))),
        ("SpanPatterns", paged("patterns", of_spans)),
        ("LogsOfService", object(&[("service_name", text()), ("severity", text()), ("sample_count", count())])),
    ])
}

/// A page of a list that has a name of its own.
fn paged(name: &str, shape: Value) -> Value {
    exactly(&[
        (name, list_of(shape)),
        ("total", count()),
        ("limit", count()),
        ("offset", count()),
        ("has_more", flag()),
    ])
}

fn services() -> Shapes {
    let overview = exactly(&[
        ("service_name", text()),
        ("metric_count", count()),
        ("span_count", count()),
        ("log_count", count()),
        ("metrics", list_of(found("Metric"))),
        ("spans", list_of(found("Span"))),
        ("logs", list_of(found("Log"))),
        ("data_point_samples", count()),
        ("span_samples", count()),
        ("log_samples", count()),
    ]);
    let keys = exactly(&[
        ("service", text()),
        ("keys", list_of(found("Attribute"))),
        ("total", count()),
        ("limit", count()),
        ("offset", count()),
        ("has_more", flag()),
    ]);
    let samples = object(&[("metrics", count()), ("spans", count()), ("logs", count())]);
    let summary = exactly(&[
        ("total_metrics", count()),
        ("total_span_names", count()),
        ("total_log_severities", count()),
        ("total_log_patterns", count()),
        ("total_services", count()),
        ("total_attributes", count()),
        ("high_cardinality_count", count()),
        ("active_series", count()),
        ("samples", samples),
        ("bytes", count()),
    ]);
    let memory = [("alloc_mb", count()), ("total_alloc_mb", count()), ("sys_mb", count()), ("num_gc", count())];
    let health = object(&[
        ("status", text()),
        ("timestamp", text()),
        ("version", text()),
        ("uptime", text()),
        ("uptime_seconds", count()),
        ("memory", object(&memory)),
    ]);
    let cleared = object(&[("watches", count())]);
    Shapes::from([
        ("ServiceOverview", overview),
        ("ServiceAttributes", keys),
        ("Summary", summary),
        ("Health", health),
        ("Version", object(&[("version", text()), ("commit", text()), ("build_date", text())])),
        ("Cleared", object(&[("status", text()), ("cleared", cleared), ("kept", text())])),
    ])
}
