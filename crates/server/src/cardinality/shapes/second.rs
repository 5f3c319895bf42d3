use serde_json::Value;

use super::exactly;
use crate::routes::{Shapes, anything, count, list_of, map_of, nullable, number, object, text, texts};

pub(super) fn shapes() -> Shapes {
    let mut all = cardinality();
    all.extend(engine());
    let near = object(&[
        ("template", text()),
        ("template_id", text()),
        ("total_count", count()),
        ("edit_distance", nullable(count())),
        ("similarity", number()),
    ]);
    all.insert("SimilarPatterns", exactly(&[("template", text()), ("patterns", list_of(near)), ("total", count())]));
    all.insert("WhatIf", what_if());
    all
}

fn cardinality() -> Shapes {
    let labels = exactly(&[
        ("name", text()),
        ("labels", map_of(count())),
        ("label_count", count()),
        ("max_label_cardinality", count()),
        ("complexity_score", count()),
        ("sample_count", count()),
        ("first_seen", text()),
        ("last_seen", text()),
    ]);
    let key = [
        ("key", text()),
        ("estimated_cardinality", count()),
        ("signal_types", texts()),
        ("scopes", texts()),
        ("total_observations", count()),
        ("bytes", count()),
        ("value_samples", texts()),
        ("first_seen", text()),
        ("last_seen", text()),
    ];
    let bucket =
        object(&[("start", text()), ("estimated_cardinality", count()), ("observations", count()), ("bytes", count())]);
    let mut by_hours = key.to_vec();
    by_hours.extend([("period", text()), ("buckets", list_of(bucket))]);
    Shapes::from([("LabelCardinality", labels), ("KeyCardinality", exactly(&key)), ("KeyByHours", exactly(&by_hours))])
}

fn what_if() -> Value {
    let signal = object(&[
        ("signal_type", text()),
        ("attributes", count()),
        ("bytes", count()),
        ("estimated_cardinality", count()),
    ]);
    let cost = object(&[("attributes", count()), ("bytes", count()), ("by_signal", list_of(signal.clone()))]);
    let saved = object(&[
        ("attributes", count()),
        ("bytes", count()),
        ("bytes_on_disk_estimate", nullable(count())),
        ("series", count()),
        ("by_signal", list_of(signal)),
    ]);
    let series = object(&[("changed", count()), ("before", count()), ("after", count())]);
    exactly(&[("key", text()), ("values", texts()), ("cost", cost), ("saved", saved), ("series", series)])
}

fn engine() -> Shapes {
    let stats = object(&[
        ("total_queries_executed", number()),
        ("avg_query_duration_ms", number()),
        ("p95_query_duration_ms", nullable(number())),
        ("rows_scanned_per_second", number()),
        ("active_connections", number()),
        ("active_queries", number()),
        ("uptime_seconds", number()),
    ]);
    let table = object(&[
        ("table_name", text()),
        ("row_count", number()),
        ("compressed_size_mb", number()),
        ("uncompressed_size_mb", number()),
        ("compression_ratio", number()),
        ("part_count", number()),
    ]);
    let query = object(&[("id", text()), ("endpoint", text()), ("params?", map_of(anything()))]);
    Shapes::from([
        ("Stats", stats),
        ("TableStats", object(&[("tables", list_of(table)), ("total", count())])),
        ("Batch", object(&[("queries", list_of(query))])),
        ("BatchAnswers", object(&[("results", map_of(anything())), ("statuses", map_of(count()))])),
    ])
}
