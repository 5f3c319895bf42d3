use std::borrow::Cow;
use std::cmp::Ordering;

use super::field::Kind;
use super::{Condition, Element, Filter, Order, Path, Test, TextTest, Value};
use crate::span::Span;
use crate::{Json, SpanId, Uuid, json};

impl Filter {
    /// Says whether a span is in.
    #[must_use]
    pub fn matches(&self, span: &Span) -> bool {
        match self {
            Self::And(all) => all.iter().all(|each| each.matches(span)),
            Self::Or(all) => all.iter().any(|each| each.matches(span)),
            Self::Nand(all) => !all.iter().all(|each| each.matches(span)),
            Self::Nor(all) => !all.iter().any(|each| each.matches(span)),
            Self::Is(condition) => condition.matches(span),
            Self::Sample(percent) => span.trace_id.hundredth() < *percent,
        }
    }
}

/// What a span has in a field.
enum Held<'s> {
    Value(Value),
    /// Within the attributes, where values are compared with those of their kind.
    Json(&'s Json),
    List(&'s [Json]),
    /// Texts any of which may hold what is looked for.
    Content([String; 2]),
}

impl Condition {
    fn matches(&self, span: &Span) -> bool {
        let Some(held) = self.held(span) else { return matches!(self.test, Test::Missing) };
        match &self.test {
            Test::Exists => true,
            Test::Missing => false,
            Test::Order(order, value) => held.stands(*order, value),
            Test::Between(low, high) => {
                held.stands(Order::GreaterOrEqual, low) && held.stands(Order::LessOrEqual, high)
            }
            Test::Text(test, is_folded) => held.texts().iter().any(|text| test.matches(text, *is_folded)),
            Test::In { values, all } => some_or_all(values, *all, |value| held.holds(value)),
            Test::NotIn { values } => !values.iter().any(|value| held.holds(value)),
            Test::Has { wanted, all } => some_or_all(wanted, *all, |element| held.has(element)),
            Test::HasNot { wanted } => !wanted.iter().any(|element| held.has(element)),
        }
    }

    fn held<'s>(&self, span: &'s Span) -> Option<Held<'s>> {
        let text = |text: &Option<String>| text.clone().map(Value::Text);
        let word = |word: &'static str| Some(Value::Text(word.to_owned()));
        let (id, life) = (|id: Option<Uuid>| id.map(Value::Id), &span.lifecycle);
        let value = match self.field.name {
            "trace_id" => id(Some(span.trace_id.uuid())),
            "span_id" => id(Some(span.span_id.uuid())),
            "parent_id" => id(span.parent_id.map(SpanId::uuid)),
            "trace_type" => span.trace_type.and_then(|one| word(one.as_str())),
            "span_type" => span.span_type.and_then(|one| word(one.as_str())),
            "span_kind" => word(span.span_kind.as_str()),
            "status_code" => word(span.status_code.as_str()),
            "span_name" => Some(Value::Text(span.span_name.clone())),
            "status_message" => text(&span.status_message),
            "session_id" => text(&span.session_id),
            "user_id" => text(&span.user_id),
            "agent_id" => text(&span.agent_id),
            "start_time" => Some(Value::Moment(span.start_time)),
            "end_time" => Some(Value::Moment(span.end_time)),
            "created_at" => Some(Value::Moment(life.created_at)),
            "updated_at" => life.updated_at.map(Value::Moment),
            "deleted_at" => life.deleted_at.map(Value::Moment),
            "created_by_id" => id(life.created_by_id),
            "updated_by_id" => id(life.updated_by_id),
            "deleted_by_id" => id(life.deleted_by_id),
            "attributes" => return self.path.find_in(&span.attributes).map(Held::Json),
            "events" => return self.list(&span.events),
            "links" => return self.list(&span.links),
            "references" => return self.list(&span.references),
            "hashes" => return self.list(&span.hashes),
            _ => {
                let events =
                    if span.events.is_empty() { String::new() } else { Json::List(span.events.clone()).to_string() };
                return Some(Held::Content([Json::Object(span.attributes.clone()).to_string(), events]));
            }
        };
        value.map(Held::Value)
    }

    /// A list is only missing where that is the question.
    fn list<'s>(&self, list: &'s [Json]) -> Option<Held<'s>> {
        let is_asked = matches!(self.test, Test::Exists | Test::Missing);
        (self.field.kind == Kind::List && !(is_asked && list.is_empty())).then_some(Held::List(list))
    }
}

impl Path {
    fn find_in<'j>(&self, attributes: &'j json::Object) -> Option<&'j Json> {
        let (first, rest) = self.0.split_first()?;
        let super::Step::Name(name) = first else { return None };
        Self(rest.to_vec()).find(attributes.get(name)?)
    }
}

impl Held<'_> {
    /// Compares; values of other kinds are neither equal nor in an order.
    fn stands(&self, order: Order, value: &Value) -> bool {
        let ordering = match self {
            Self::Value(held) => held.compare(value),
            Self::Json(held) => compare(held, value),
            Self::List(_) | Self::Content(_) => None,
        };
        match order {
            Order::Equal => ordering == Some(Ordering::Equal),
            Order::NotEqual => ordering != Some(Ordering::Equal),
            Order::Greater => ordering == Some(Ordering::Greater),
            Order::Less => ordering == Some(Ordering::Less),
            Order::GreaterOrEqual => matches!(ordering, Some(Ordering::Greater | Ordering::Equal)),
            Order::LessOrEqual => matches!(ordering, Some(Ordering::Less | Ordering::Equal)),
        }
    }

    /// Says whether it is a value, or an array that has it.
    fn holds(&self, value: &Value) -> bool {
        match self {
            Self::Json(Json::List(elements)) => elements.iter().any(|element| is_equal(element, value)),
            other => other.stands(Order::Equal, value),
        }
    }

    /// Says whether an element has all these members.
    fn has(&self, wanted: &Element) -> bool {
        let Self::List(elements) = self else { return false };
        let has =
            |element: &Json, path: &Path, value: &Value| path.find(element).is_some_and(|found| is_equal(found, value));
        elements.iter().any(|element| wanted.iter().all(|(path, value)| has(element, path, value)))
    }

    /// Returns it as texts; what is no text has none.
    fn texts(&self) -> Vec<Cow<'_, str>> {
        match self {
            Self::Value(Value::Text(text)) | Self::Json(Json::Text(text)) => vec![Cow::Borrowed(text)],
            Self::Value(Value::Moment(time)) => vec![Cow::Owned(time.to_string())],
            Self::Content(texts) => texts.iter().map(|text| Cow::Borrowed(text.as_str())).collect(),
            _ => Vec::new(),
        }
    }
}

impl Value {
    fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Id(a), Self::Id(b)) => Some(a.cmp(b)),
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            (Self::Moment(a), Self::Moment(b)) => Some(a.cmp(b)),
            (Self::Number(a), Self::Number(b)) => a.partial_cmp(b),
            (Self::Flag(a), Self::Flag(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }
}

fn compare(held: &Json, value: &Value) -> Option<Ordering> {
    match (held, value) {
        (Json::Text(held), Value::Text(value)) => Some(held.as_str().cmp(value)),
        (Json::Number(held), Value::Number(value)) => held.value().partial_cmp(value),
        (Json::Bool(held), Value::Flag(value)) => Some(held.cmp(value)),
        _ => None,
    }
}

fn is_equal(held: &Json, value: &Value) -> bool {
    compare(held, value) == Some(Ordering::Equal)
}

fn some_or_all<T>(values: &[T], all: bool, holds: impl Fn(&T) -> bool) -> bool {
    if all { values.iter().all(holds) } else { values.iter().any(holds) }
}

impl TextTest {
    fn matches(&self, text: &str, is_folded: bool) -> bool {
        let text = if is_folded { Cow::Owned(text.to_ascii_lowercase()) } else { Cow::Borrowed(text) };
        match self {
            Self::Starts(wanted) => text.starts_with(wanted.as_str()),
            Self::Ends(wanted) => text.ends_with(wanted.as_str()),
            Self::Contains(wanted) => text.contains(wanted.as_str()),
            Self::Equals(wanted) => text == wanted.as_str(),
            Self::Like(like) => like.matches(&text),
        }
    }
}
