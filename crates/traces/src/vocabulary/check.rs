use crate::json::{Json, Object};
use crate::span::{SpanType, TraceType};

/// What is referred to; each may have a variant and a revision.
const REFERENCED: &[&str] =
    &["testcase", "testset", "query", "workflow", "application", "evaluator", "environment", "snippet"];
const REFERENCE_MEMBERS: &[&str] = &["id", "slug", "version"];

/// Groups that hold what clients like.
const FREE: &[&str] = &["flags", "tags", "meta", "exception", "selector"];

/// Takes out what `ag` cannot hold, and returns it: nothing is dropped.
pub(super) fn checked(ag: &mut Object) -> Object {
    let mut left = match ag.remove("unsupported") {
        Some(Json::Object(before)) => before,
        Some(other) => Object::from([("unsupported".to_owned(), other)]),
        None => Object::new(),
    };
    let groups = std::mem::take(ag);
    for (group, value) in groups {
        let (kept, refused) = split(&group, value);
        if let Some(kept) = kept {
            ag.insert(group.clone(), kept);
        }
        if let Some(refused) = refused {
            left.insert(group, refused);
        }
    }
    left
}

/// Splits a group into what it may hold and the rest.
fn split(group: &str, value: Json) -> (Option<Json>, Option<Json>) {
    match (group, value) {
        ("tags", value @ Json::List(_)) => (Some(value), None),
        (name, value @ Json::Object(_)) if FREE.contains(&name) => (Some(value), None),
        (name, Json::Object(members)) => {
            let takes: fn(&str, &Json) -> bool = match name {
                "type" => is_type,
                "data" => is_data,
                "metrics" => is_metric,
                "session" | "user" | "agent" => |name, value| name == "id" && value.as_text().is_some(),
                "references" => is_reference,
                _ => |_, _| false,
            };
            let (kept, refused): (Object, Object) = members.into_iter().partition(|(name, value)| takes(name, value));
            let some = |members: Object| (!members.is_empty()).then_some(Json::Object(members));
            (some(kept), some(refused))
        }
        (_, other) => (None, Some(other)),
    }
}

fn is_type(name: &str, value: &Json) -> bool {
    let word = value.as_text().unwrap_or_default();
    match name {
        "trace" => TraceType::named(word).is_some(),
        "span" => SpanType::named(word).is_some(),
        _ => false,
    }
}

fn is_data(name: &str, value: &Json) -> bool {
    match name {
        "parameters" | "inputs" | "internals" => value.as_object().is_some(),
        "outputs" => true,
        _ => false,
    }
}

fn is_metric(name: &str, value: &Json) -> bool {
    let is_amount = |value: &Json| match name {
        "duration" | "errors" => value.as_number().is_some(),
        _ => value.as_object().is_some_and(|amounts| {
            let is_known = |name: &str| matches!(name, "prompt" | "completion" | "total" | "cached");
            amounts.iter().all(|(name, value)| is_known(name) && value.as_number().is_some())
        }),
    };
    let is_known = matches!(name, "duration" | "errors" | "tokens" | "costs");
    let is_span = |name: &str| matches!(name, "cumulative" | "incremental");
    is_known && value.as_object().is_some_and(|all| all.iter().all(|(name, value)| is_span(name) && is_amount(value)))
}

/// Says whether something may be referred to under a name.
pub(crate) fn is_referenced(name: &str) -> bool {
    let base = name.strip_suffix("_variant").or_else(|| name.strip_suffix("_revision")).unwrap_or(name);
    REFERENCED.contains(&base)
}

fn is_reference(name: &str, value: &Json) -> bool {
    let has_known = |members: &Object| members.keys().all(|name| REFERENCE_MEMBERS.contains(&name.as_str()));
    is_referenced(name) && value.as_object().is_some_and(has_known)
}
