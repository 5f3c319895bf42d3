use serde_json::Value;

use crate::routes::{Shapes, anything, count, flag, found, list_of, map_of, nullable, object, text};

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
    Shapes::from([
        ("EntriesTaken", taken),
        ("LogEntry", entry(&log)),
        ("EventEntry", entry(&event)),
        ("PointEntry", point),
        ("LogPage", page("LogEntry")),
        ("EventPage", page("EventEntry")),
        ("PointPage", page("PointEntry")),
        ("LogStats", object(&[("total", count()), ("by_level", map_of(count()))])),
        ("EventStats", object(&[("total", count()), ("by_type", map_of(count()))])),
        ("PointBuckets", object(&[("data", list_of(map_of(anything())))])),
    ])
}
