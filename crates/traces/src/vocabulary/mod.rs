//! What libraries call things becomes `ag.*`: one vocabulary, whoever instrumented the application.
//!
//! Attributes with dots in their names are nested first. Then the adapters move what they know to where it belongs, in
//! this order; the first that has something for a place gets it, and what finds its place taken stays where it was:
//!
//! | file | knows |
//! |---|---|
//! | `openllmetry.rs` | OpenLLMetry (Traceloop) |
//! | `openinference.rs` | OpenInference (Arize) |
//! | `logfire.rs` | Logfire |
//! | `vercel.rs` | Vercel's AI SDK |
//! | `native.rs` | `ag.*` itself, and its older names |
//! | `semconv.rs` | OpenTelemetry's own `gen_ai.*` |
//! | `check.rs` | what `ag` may hold; all else goes to `ag.unsupported` |
//! | `rule.rs` | how a rule moves |
//!
//! Nothing is dropped: what no adapter knows stays as it was sent.

mod check;
mod logfire;
mod native;
mod openinference;
mod openllmetry;
mod rule;
mod semconv;
mod vercel;

#[cfg(test)]
mod tests;

use crate::json::{Json, Object, at, put};
use crate::span::{Span, SpanType, TraceType};
pub(crate) use check::is_referenced;
use rule::Rule;

/// The adapters, in their order.
const ADAPTERS: &[&[Rule]] =
    &[openllmetry::RULES, openinference::RULES, logfire::RULES, vercel::RULES, native::RULES, semconv::RULES];

/// Names within each other that a name with dots may stand for; one with more is kept as it is.
const NESTING_MAX: usize = 32;

/// Puts attributes into a span, and what they say into its fields. `unknown` is what has no place.
pub fn settle(span: &mut Span, attributes: Object, unknown: Object) {
    let mut attributes = nested(attributes);
    for rule in ADAPTERS.iter().copied().flatten() {
        rule.apply(&mut attributes);
    }
    let mut ag = match attributes.remove("ag") {
        None => Object::new(),
        Some(Json::Object(ag)) => ag,
        Some(other) => Object::from([("unsupported".to_owned(), Json::object([("ag", other)]))]),
    };
    let mut unsupported = check::checked(&mut ag);
    unsupported.extend(unknown);
    if !unsupported.is_empty() {
        let _ = put(&mut ag, &["unsupported"], Json::Object(unsupported));
    }
    attributes.insert("ag".to_owned(), Json::Object(ag));
    attributes.values_mut().for_each(make_readable);
    span.events.iter_mut().chain(&mut span.links).chain(&mut span.references).for_each(make_readable);
    span.attributes = attributes;
    tell_fields(span);
}

/// Nests what has dots in its name; where something is in the way, the rest of the name keeps its dots.
fn nested(attributes: Object) -> Object {
    let mut out = Object::new();
    // Shorter names first: `a` is there before `a.b` looks for its place.
    let mut all: Vec<(String, Json)> = attributes.into_iter().collect();
    all.sort_by_key(|(name, _)| name.len());
    for (name, value) in all {
        let steps: Vec<&str> = name.split('.').collect();
        if steps.len() > NESTING_MAX || steps.iter().any(|step| step.is_empty()) {
            out.insert(name, value);
        } else {
            nest(&mut out, &name, value);
        }
    }
    out
}

fn nest(object: &mut Object, name: &str, value: Json) {
    let Some((first, rest)) = name.split_once('.') else {
        if let Err(left) = put(object, &[name], value) {
            keep(object, name, left);
        }
        return;
    };
    match object.get_mut(first) {
        None => {
            let mut inner = Object::new();
            nest(&mut inner, rest, value);
            object.insert(first.to_owned(), Json::Object(inner));
        }
        Some(Json::Object(inner)) => nest(inner, rest, value),
        Some(_) => {
            if object.contains_key(name) {
                keep(object, name, value);
            } else {
                object.insert(name.to_owned(), value);
            }
        }
    }
}

/// Keeps a value whose place is taken, under a name that nobody has.
fn keep(object: &mut Object, name: &str, value: Json) {
    let mut free = format!("{name}_");
    while object.contains_key(&free) {
        free.push('_');
    }
    object.insert(free, value);
}

/// Numbers that the store's functions cannot read would hide all attributes from them: these become texts of their digits.
fn make_readable(value: &mut Json) {
    match value {
        Json::Number(number) if !number.is_readable() => *value = Json::text(number.as_str()),
        Json::List(elements) => elements.iter_mut().for_each(make_readable),
        Json::Object(members) => members.values_mut().for_each(make_readable),
        _ => {}
    }
}

/// Fills the fields that the attributes tell, and the attributes that the fields tell.
fn tell_fields(span: &mut Span) {
    let text = |path: &str| at(&span.attributes, path).and_then(Json::as_text).filter(|text| !text.is_empty());
    let own = |field: &Option<String>, path: &str| {
        let told = text(path).filter(|_| span.parent_id.is_none()).map(str::to_owned);
        field.clone().or(told)
    };
    let ids =
        [own(&span.session_id, "ag.session.id"), own(&span.user_id, "ag.user.id"), own(&span.agent_id, "ag.agent.id")];
    let of_links = if span.links.is_empty() { TraceType::Invocation } else { TraceType::Annotation };
    let trace_type = span.trace_type.or_else(|| text("ag.type.trace").and_then(TraceType::named)).unwrap_or(of_links);
    let span_type = span.span_type.or_else(|| text("ag.type.span").and_then(SpanType::named)).unwrap_or_default();
    [span.session_id, span.user_id, span.agent_id] = ids;
    (span.trace_type, span.span_type) = (Some(trace_type), Some(span_type));
    for (name, word) in [("trace", trace_type.as_str()), ("span", span_type.as_str())] {
        crate::json::take(&mut span.attributes, &format!("ag.type.{name}"));
        let _ = put(&mut span.attributes, &["ag", "type", name], Json::text(word));
    }
    if span.references.is_empty() {
        span.references = references(&span.attributes);
    }
    span.tell_hashes();
}

/// Lists what `ag.references` names, each with the name under which it stands.
fn references(attributes: &Object) -> Vec<Json> {
    let named = at(attributes, "ag.references").and_then(Json::as_object).into_iter().flatten();
    let listed = named.map(|(key, reference)| {
        let mut members = reference.as_object().cloned().unwrap_or_default();
        members.insert("attributes".to_owned(), Json::object([("key", Json::text(key.as_str()))]));
        Json::Object(members)
    });
    listed.collect()
}
