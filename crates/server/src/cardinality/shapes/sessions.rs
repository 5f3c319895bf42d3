use crate::routes::{Shapes, anything, count, found, list_of, nullable, number, object, one_of_words, text, texts};

const SEVERITIES: [&str; 3] = ["info", "warning", "critical"];

pub(super) fn shapes() -> Shapes {
    let stats = object(&[
        ("metrics_count", count()),
        ("spans_count", count()),
        ("logs_count", count()),
        ("attributes_count", count()),
        ("services", texts()),
    ]);
    let session = object(&[
        ("id", text()),
        ("description", text()),
        ("created", text()),
        ("signals", texts()),
        ("services", texts()),
        ("sources", texts()),
        ("size_bytes", count()),
        ("stats", stats),
    ]);
    let wanted = [
        ("name", text()),
        ("description?", text()),
        ("signals?", texts()),
        ("services?", texts()),
        ("sessions?", texts()),
    ];
    let mut to_merge = wanted.to_vec();
    to_merge[4].0 = "sessions";
    let viewed = object(&[("status", text()), ("session", text()), ("signals", texts()), ("viewing", texts())]);
    let sessions = object(&[("sessions", list_of(found("Session"))), ("total", count()), ("viewing", texts())]);
    Shapes::from([
        ("Session", session),
        ("Sessions", sessions),
        ("SessionWanted", object(&wanted)),
        ("SessionsToMerge", object(&to_merge)),
        ("Viewed", viewed),
        ("Difference", difference()),
        ("Change", change()),
    ])
}

fn difference() -> serde_json::Value {
    let sums = object(&[("added", count()), ("removed", count()), ("changed", count())]);
    let summary = ["metrics", "spans", "logs", "attributes"].map(|signal| (signal, sums.clone()));
    object(&[
        ("from", text()),
        ("to", text()),
        ("summary", object(&summary)),
        ("changes", list_of(found("Change"))),
        ("critical_changes", list_of(found("Change"))),
    ])
}

fn change() -> serde_json::Value {
    let detail = object(&[
        ("field", text()),
        ("from", count()),
        ("to", count()),
        ("change_pct", nullable(number())),
        ("severity", one_of_words(&SEVERITIES)),
        ("message", text()),
    ]);
    object(&[
        ("type", one_of_words(&["added", "removed", "changed"])),
        ("signal_type", one_of_words(&["metric", "span", "log", "attribute"])),
        ("name", text()),
        ("severity", one_of_words(&SEVERITIES)),
        ("details", list_of(detail)),
        ("metadata", anything()),
    ])
}
