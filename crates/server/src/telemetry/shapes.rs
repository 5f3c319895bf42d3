use serde_json::Value;

use crate::routes::{
    Shapes, anything, count, flag, found, integer, list_of, map_of, nullable, number, object, one_of_words, text, texts,
};

/// Returns every shape of these routes.
pub(crate) fn shapes() -> Shapes {
    let rejection = object(&[("index", count()), ("reason", text()), ("detail", text())]);
    let taken = object(&[
        ("accepted", count()),
        ("rejected", count()),
        ("rejections", list_of(rejection)),
        ("retry", flag()),
        ("watermark", text()),
    ]);
    let ids = ["agent_id", "session_id", "trace_id", "span_id"].map(|name| (name, text()));
    let rest = [("resource", map_of(anything())), ("seq", count())];
    let common = [("timestamp", text()), ("level", text()), ("source", text())];
    let log = [("message", anything()), ("context", map_of(anything()))];
    let event = [("event_type", text()), ("details", anything()), ("metadata", map_of(anything()))];
    let entry = |own: &[(&'static str, Value)]| object(&[&common[..], own, &ids, &rest].concat());
    let point = object(&[
        ("timestamp", text()),
        ("metric_name", text()),
        ("value", anything()),
        ("unit", text()),
        ("type", text()),
        ("tags", map_of(anything())),
        ("source", text()),
        ("agent_id", text()),
        ("session_id", text()),
        ("seq", count()),
    ]);
    let page = |shape: &str| object(&[("data", list_of(found(shape))), ("next_cursor", nullable(text()))]);
    let alone = object(&[("above", count()), ("left_out", count())]);
    let records = |shape: &str| {
        object(&[("data", list_of(found(shape))), ("next_cursor", nullable(text())), ("hot_only?", alone.clone())])
    };
    let mut shapes = Shapes::from([
        ("EntriesTaken", taken),
        ("LogEntry", entry(&log)),
        ("EventEntry", entry(&event)),
        ("PointEntry", point),
        ("LogPage", records("LogEntry")),
        ("EventPage", records("EventEntry")),
        ("PointPage", page("PointEntry")),
        ("LogStats", object(&[("total", count()), ("by_level", map_of(count())), ("from", text())])),
        ("EventStats", object(&[("total", count()), ("by_type", map_of(count())), ("from", text())])),
        ("PointBuckets", object(&[("data", list_of(map_of(anything()))), ("from", text())])),
        ("RedBuckets", object(&[("data", list_of(map_of(anything()))), ("from", text())])),
    ]);
    shapes.extend(of_traces());
    shapes
}

fn of_traces() -> Shapes {
    let segment = object(&[("span", count()), ("start_offset_ns", integer()), ("duration_ns", count())]);
    let path = object(&[("root", nullable(count())), ("duration_ns", count()), ("segments", list_of(segment))]);
    let span = object(&[
        ("span_id", text()),
        ("parent_span_id", text()),
        ("parent", nullable(count())),
        ("depth", count()),
        ("place", one_of_words(&["child", "root", "orphan", "cycle"])),
        ("doubled", flag()),
        ("start_offset_ns", count()),
        ("duration_ns", count()),
        ("self_ns", count()),
        ("service", text()),
        ("name", text()),
        ("kind", text()),
        ("status", text()),
        ("status_message", text()),
        ("on_critical_path", flag()),
    ]);
    let counts =
        ["duration_ns", "span_count", "errors", "roots", "orphans", "cycles", "doubled"].map(|name| (name, count()));
    let about = [("trace_id", text()), ("start", text()), ("services", texts())];
    let lists = [("critical_path", path), ("spans", list_of(found("TraceSpan")))];
    let sums = object(&[("count", integer()), ("total_ns", integer()), ("self_ns", integer())]);
    let compared = object(&[
        ("parent", nullable(count())),
        ("depth", count()),
        ("service", text()),
        ("operation", text()),
        ("left", sums.clone()),
        ("right", sums.clone()),
        ("difference", sums),
        ("only", nullable(one_of_words(&["left", "right"]))),
    ]);
    let edge = object(&[
        ("caller", text()),
        ("callee", text()),
        ("calls", count()),
        ("errors", count()),
        ("total_ns", count()),
    ]);
    let map = [("sampled", flag()), ("rate", number()), ("without_parent", count()), ("edges", list_of(edge))];
    Shapes::from([
        ("TraceSpan", span),
        ("Trace", object(&[&about[..], &counts, &lists].concat())),
        ("TraceComparison", object(&[("left", text()), ("right", text()), ("paths", list_of(compared))])),
        ("ServiceMap", object(&map)),
    ])
}
