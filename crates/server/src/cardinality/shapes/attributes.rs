use super::exactly;
use crate::routes::{Shapes, count, flag, found, list_of, number, object, one_of_words, text, texts};

pub(super) fn shapes() -> Shapes {
    let mut all = keys();
    all.extend(rankings());
    all.extend(uses());
    all.extend(watches());
    all
}

fn keys() -> Shapes {
    let key = exactly(&[
        ("count", count()),
        ("percentage", number()),
        ("estimated_cardinality", count()),
        ("value_samples", texts()),
        ("bytes", count()),
    ]);
    let attribute = exactly(&[
        ("key", text()),
        ("count", count()),
        ("estimated_cardinality", count()),
        ("value_samples", texts()),
        ("signal_types", list_of(one_of_words(&["metric", "span", "log"]))),
        ("scope", one_of_words(&["attribute", "resource", "scope", "event", "link", "mixed"])),
        ("scopes", texts()),
        ("bytes", count()),
        ("first_seen", text()),
        ("last_seen", text()),
        ("watched", flag()),
    ]);
    Shapes::from([
        ("Key", key),
        ("Attribute", attribute),
        ("OneAttribute", object(&[("data", found("Attribute")), ("watched", flag())])),
    ])
}

fn rankings() -> Shapes {
    let high = exactly(&[
        ("signal_type", text()),
        ("signal_name", text()),
        ("key_scope", text()),
        ("key_name", text()),
        ("event_name?", text()),
        ("estimated_cardinality", count()),
        ("key_count", count()),
        ("bytes", count()),
        ("value_samples", texts()),
    ]);
    let complex = exactly(&[
        ("signal_type", text()),
        ("signal_name", text()),
        ("total_keys", count()),
        ("attribute_key_count", count()),
        ("resource_key_count", count()),
        ("event_key_count", count()),
        ("link_key_count", count()),
        ("max_cardinality", count()),
        ("high_cardinality_count", count()),
        ("complexity_score", count()),
    ]);
    let ranked = |name, shape| object(&[(name, list_of(shape)), ("total", count()), ("threshold", count())]);
    Shapes::from([
        ("HighCardinality", ranked("high_cardinality_keys", high)),
        ("Complexity", ranked("signals", complex)),
    ])
}

fn uses() -> Shapes {
    let service = object(&[("service_name", text()), ("signal_type", text()), ("count", count())]);
    let bearer = |own: &[(&str, serde_json::Value)]| {
        let mut fields = own.to_vec();
        fields.extend([("services", texts()), ("attribute_count", count()), ("attribute_cardinality", count())]);
        exactly(&fields)
    };
    let telemetry = object(&[
        ("key", text()),
        ("attribute", found("Attribute")),
        ("metrics", list_of(bearer(&[("name", text()), ("type?", text())]))),
        ("metric_count", count()),
        ("spans", list_of(bearer(&[("name", text()), ("kind_name?", text())]))),
        ("span_count", count()),
        ("logs", list_of(bearer(&[("severity", text())]))),
        ("log_count", count()),
    ]);
    Shapes::from([
        ("AttributeServices", exactly(&[("key", text()), ("services", list_of(service)), ("total", count())])),
        ("AttributeTelemetry", telemetry),
    ])
}

fn watches() -> Shapes {
    let begun = object(&[("key", text()), ("watching_since", text()), ("unique_count", count()), ("overflow", flag())]);
    let watch = object(&[
        ("key", text()),
        ("watching_since", text()),
        ("unique_count", count()),
        ("total_observations", count()),
        ("active", flag()),
        ("overflow", flag()),
        ("exact", flag()),
        ("has_invalid_utf8", flag()),
        ("values", list_of(object(&[("value", text()), ("count", count())]))),
        ("total_values", count()),
        ("page", count()),
        ("page_size", count()),
    ]);
    Shapes::from([("WatchBegun", begun), ("Watch", watch)])
}
