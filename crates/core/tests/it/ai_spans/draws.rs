//! Spans and filters by chance: few values of each kind, so that filters meet them.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::{Map, Value, json};

const TEXTS: [&str; 22] = [
    "",
    "a",
    "A",
    "ab",
    "it's",
    "b\\n",
    "100%",
    "of_it",
    "ü",
    "Ünï\"q",
    "tab\there\nline",
    "NULL",
    "\u{1f600}",
    "{f0:String}",
    "5",
    "5.0",
    "true",
    "%",
    "_",
    "\\",
    "a\\%b",
    "n\0ul",
];
const PATTERNS: [&str; 14] =
    ["%", "_", "a%", "%b", "%\\%%", "\\_", "_b", "\\\\", "%\\", "__", "\u{1f600}", "%'%", "of\\_it", "\\_%"];
const TIMES: [&str; 5] = [
    "2026-01-31T09:00:00Z",
    "2026-01-31T09:00:00.5Z",
    "2026-01-31T09:00:00.000000001Z",
    "2026-01-31T10:00:10Z",
    "1969-12-31T23:59:59.25Z",
];
const KEYS: [&str; 9] = ["a", "b.c", "b.d.e", "b", "l", "k'q", "ü", "none", "b.none"];
const TYPES: [&str; 4] = ["chat", "tool", "agent", "task"];
const STATUSES: [&str; 3] = ["STATUS_CODE_OK", "STATUS_CODE_ERROR", "STATUS_CODE_UNSET"];

pub(super) fn one<T: Clone>(rng: &mut StdRng, of: &[T]) -> T {
    of.choose(rng).expect("something to choose from").clone()
}

/// A trace's id: their first digits are of all hundredths.
fn trace_id(rng: &mut StdRng) -> String {
    format!("{:08x}{:024x}", rng.random_range(0..4_u32) * 33, rng.random_range(1..6))
}

fn span_id(rng: &mut StdRng) -> String {
    format!("{:016x}", rng.random_range(1..40))
}

fn number(rng: &mut StdRng) -> Value {
    let all = [
        json!(0),
        json!(-1),
        json!(5),
        json!(5.0),
        json!(0.5),
        json!(-0.0),
        json!(1e300),
        json!(5e-324),
        json!(0.1),
        json!(9_007_199_254_740_993_i64),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(1e15),
    ];
    one(rng, &all)
}

fn scalar(rng: &mut StdRng) -> Value {
    match rng.random_range(0..8) {
        0 => json!(rng.random_bool(0.5)),
        1..=3 => number(rng),
        _ => json!(one(rng, &TEXTS)),
    }
}

fn value(rng: &mut StdRng) -> Value {
    match rng.random_range(0..10) {
        0 => Value::Null,
        1 => json!((0..rng.random_range(0..4)).map(|_| scalar(rng)).collect::<Vec<_>>()),
        2 => json!({ "inner": scalar(rng), "0": scalar(rng) }),
        _ => scalar(rng),
    }
}

fn objects(rng: &mut StdRng, make: fn(&mut StdRng) -> Value) -> Value {
    json!((0..rng.random_range(0..3)).map(|_| make(rng)).collect::<Vec<_>>())
}

fn reference(rng: &mut StdRng) -> Value {
    let mut members = Map::new();
    members.insert("id".into(), json!(one(rng, &TEXTS)));
    if rng.random_bool(0.5) {
        members.insert("version".into(), one(rng, &[json!(1), json!("1"), Value::Null]));
    }
    if rng.random_bool(0.7) {
        members.insert("attributes".into(), json!({ "key": one(rng, &TEXTS), "n": value(rng) }));
    }
    members.into()
}

fn link(rng: &mut StdRng) -> Value {
    json!({ "trace_id": trace_id(rng), "span_id": span_id(rng), "attributes": { "key": scalar(rng) } })
}

fn event(rng: &mut StdRng) -> Value {
    json!({ "name": one(rng, &["exception", "log"]), "timestamp": one(rng, &TIMES), "attributes": { "key": value(rng) } })
}

/// A span as a client sends it.
pub(super) fn span(rng: &mut StdRng) -> Value {
    let mut members = json!({
        "trace_id": trace_id(rng),
        "span_id": span_id(rng),
        "span_name": one(rng, &TEXTS),
        "span_type": one(rng, &TYPES),
        "status_code": one(rng, &STATUSES),
        "start_time": one(rng, &TIMES),
        "end_time": one(rng, &TIMES),
        "attributes": { "a": value(rng), "k'q": value(rng), "ü": value(rng), "l": (0..rng.random_range(0..4)).map(|_| value(rng)).collect::<Vec<_>>() },
        "references": objects(rng, reference),
        "links": objects(rng, link),
        "hashes": objects(rng, |rng| json!({ "id": one(rng, &TEXTS), "attributes": { "key": scalar(rng) } })),
        "events": objects(rng, event),
    });
    if rng.random_bool(0.8) {
        members["attributes"]["b"] = json!({ "c": value(rng), "d": { "e": value(rng) } });
    }
    if rng.random_bool(0.5) {
        members["parent_id"] = json!(span_id(rng));
    }
    for name in ["status_message", "session_id", "user_id"] {
        if rng.random_bool(0.5) {
            members[name] = json!(one(rng, &TEXTS));
        }
    }
    members
}

/// A filter of any shape.
pub(super) fn filter(rng: &mut StdRng, depth: u32) -> Value {
    let count = rng.random_range(1..4);
    let inner = |rng: &mut StdRng| {
        if depth > 0 && rng.random_bool(0.3) { filter(rng, depth - 1) } else { condition(rng) }
    };
    let conditions: Vec<Value> = (0..count).map(|_| inner(rng)).collect();
    json!({ "operator": one(rng, &["and", "or", "not", "nand", "nor"]), "conditions": conditions })
}

fn condition(rng: &mut StdRng) -> Value {
    match rng.random_range(0..10) {
        0 => id(rng),
        1 => word(rng),
        2 | 3 => text(rng),
        4 => moment(rng),
        5 => list(rng),
        6 => json!({ "field": "content", "operator": "contains", "value": one(rng, &TEXTS[1..]),
            "options": { "case_sensitive": rng.random_bool(0.5) } }),
        _ => attribute(rng),
    }
}

fn several(rng: &mut StdRng, make: impl Fn(&mut StdRng) -> Value) -> Value {
    json!((0..rng.random_range(1..4)).map(|_| make(rng)).collect::<Vec<_>>())
}

/// `is`, `is_not`, `in`, `not_in`, `exists`, `not_exists`, and the question for `null`.
fn comparison(rng: &mut StdRng, field: &str, make: impl Fn(&mut StdRng) -> Value) -> Value {
    match rng.random_range(0..8) {
        0 | 1 => json!({ "field": field, "operator": "is", "value": make(rng) }),
        2 => json!({ "field": field, "operator": "is_not", "value": make(rng) }),
        3 | 4 => {
            let operator = one(rng, &["in", "not_in"]);
            json!({ "field": field, "operator": operator, "value": several(rng, make), "options": { "all": rng.random_bool(0.3) } })
        }
        5 => json!({ "field": field, "operator": one(rng, &["is", "is_not"]), "value": null }),
        _ => json!({ "field": field, "operator": one(rng, &["exists", "not_exists"]) }),
    }
}

fn id(rng: &mut StdRng) -> Value {
    match rng.random_range(0..4) {
        0 => comparison(rng, "trace_id", |rng| json!(trace_id(rng))),
        1 => comparison(rng, "span_id", |rng| json!(span_id(rng))),
        2 => comparison(rng, "created_by_id", |rng| json!(format!("{:032x}", rng.random_range(0..3)))),
        _ => comparison(rng, "parent_id", |rng| json!(span_id(rng))),
    }
}

fn word(rng: &mut StdRng) -> Value {
    match rng.random_range(0..4) {
        0 => comparison(rng, "trace_type", |rng| json!(one(rng, &["invocation", "annotation", "unknown"]))),
        1 => comparison(rng, "span_type", |rng| json!(one(rng, &TYPES))),
        2 => comparison(rng, "span_kind", |rng| json!(one(rng, &["SPAN_KIND_UNSPECIFIED", "client"]))),
        _ => comparison(rng, "status_code", |rng| json!(one(rng, &STATUSES))),
    }
}

/// The operators that are for texts and times alone, with values of a kind.
fn ordered(rng: &mut StdRng, make: impl Fn(&mut StdRng) -> Value) -> Value {
    if rng.random_bool(0.3) {
        return json!({ "operator": "btwn", "value": [make(rng), make(rng)] });
    }
    json!({ "operator": one(rng, &["eq", "neq", "gt", "lt", "gte", "lte"]), "value": make(rng) })
}

fn textual(rng: &mut StdRng, texts: &[&str]) -> Value {
    let operator = one(rng, &["startswith", "endswith", "contains", "matches", "like", "like", "like"]);
    let value = if operator == "like" && rng.random_bool(0.9) { one(rng, &PATTERNS) } else { one(rng, texts) };
    let exact = operator == "matches" && rng.random_bool(0.5);
    json!({ "operator": operator, "value": value, "options": { "case_sensitive": rng.random_bool(0.5), "exact_match": exact } })
}

fn at(mut condition: Value, field: &str) -> Value {
    condition["field"] = json!(field);
    condition
}

fn text(rng: &mut StdRng) -> Value {
    let field = one(rng, &["span_name", "status_message", "session_id", "user_id", "agent_id"]);
    let make = |rng: &mut StdRng| json!(one(rng, &TEXTS));
    match rng.random_range(0..3) {
        0 => comparison(rng, field, make),
        1 => at(ordered(rng, make), field),
        _ => at(textual(rng, &TEXTS), field),
    }
}

fn moment(rng: &mut StdRng) -> Value {
    let field = one(rng, &["start_time", "end_time", "created_at", "updated_at", "deleted_at"]);
    let make = |rng: &mut StdRng| {
        let iso = json!(one(rng, &TIMES));
        one(rng, &[iso, json!(1_769_850_000), json!("1769850000500")])
    };
    match rng.random_range(0..3) {
        0 => comparison(rng, field, make),
        1 => at(ordered(rng, make), field),
        _ => at(textual(rng, &["2026", ":00z", "Z", "09:00:00.5Z", "10Z", ".25", "2026-01-31T10:00:10Z", "T"]), field),
    }
}

fn list(rng: &mut StdRng) -> Value {
    let field = one(rng, &["references", "links", "hashes", "events"]);
    match rng.random_range(0..4) {
        0 => json!({ "field": field, "operator": one(rng, &["exists", "not_exists"]) }),
        1 => {
            let key = if field == "hashes" {
                one(rng, &["id", "attributes.key"])
            } else {
                one(rng, &["attributes.key", "attributes.n"])
            };
            json!({ "field": field, "operator": one(rng, &["has", "has_not"]), "key": key, "value": scalar(rng) })
        }
        _ => {
            let operator = one(rng, &["in", "not_in"]);
            let wanted = |rng: &mut StdRng| element(rng, field);
            json!({ "field": field, "operator": operator, "value": several(rng, wanted), "options": { "all": rng.random_bool(0.4) } })
        }
    }
}

fn element(rng: &mut StdRng, field: &str) -> Value {
    let mut wanted = match field {
        "links" => json!({ "trace_id": trace_id(rng) }),
        "events" => json!({ "name": one(rng, &["exception", "log"]) }),
        _ => json!({ "id": one(rng, &TEXTS) }),
    };
    match rng.random_range(0..3) {
        0 => wanted["attributes"] = json!({ "key": scalar(rng) }),
        1 => wanted["attributes.key"] = scalar(rng),
        _ => {}
    }
    wanted
}

fn attribute(rng: &mut StdRng) -> Value {
    let list_keys = [json!(["l", 0]), json!(["l", 1]), json!(["b", 0]), json!(["a", "inner"]), json!(["l", 0, "0"])];
    let key = if rng.random_bool(0.3) { one(rng, &list_keys) } else { json!(one(rng, &KEYS)) };
    let of_kind: fn(&mut StdRng) -> Value = if rng.random_bool(0.5) { number } else { |rng| json!(one(rng, &TEXTS)) };
    let mut condition = match rng.random_range(0..4) {
        0 | 1 => comparison(rng, "attributes", scalar),
        2 => ordered(rng, of_kind),
        _ => textual(rng, &TEXTS),
    };
    condition["key"] = key;
    at(condition, "attributes")
}
