use serde_json::{Map, Number, Value, json};
use tidegate_model::UnixNanos;

use super::RecordKind;

const SESSION: &str = "session.id";

/// A log record or an event, read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Record {
    /// Nanoseconds since 1970.
    pub time: i64,
    /// Its number in its table.
    pub seq: u64,
    pub(super) level: String,
    pub(super) source: String,
    pub(super) event_type: String,
    /// Its text, and the letter of its type.
    pub(super) body: (String, String),
    pub(super) attributes: Entries,
    pub(super) resource: Entries,
    pub(super) trace_id: String,
    pub(super) span_id: String,
    pub(super) agent_id: String,
    pub(super) session_id: String,
}

/// Keys, values, and a letter for the type of each, or none where all are texts.
pub(super) type Entries = (Vec<String>, Vec<String>, String);

impl Record {
    /// Returns the record as plain JSON, as a producer would send it.
    #[must_use]
    pub fn to_json(&self, kind: RecordKind) -> Value {
        let mut context = object(&self.attributes);
        let mut session = self.session_id.clone();
        if kind == RecordKind::Logs
            && let Some(Value::String(own)) = context.get(SESSION)
        {
            session.clone_from(own);
        }
        // What a producer sent apart from the context comes back apart from it.
        if context.get(SESSION).is_some_and(|own| *own == session) {
            context.remove(SESSION);
        }
        let body = plain_body(&self.body);
        let mut told = Map::new();
        told.insert("timestamp".to_owned(), json!(UnixNanos(self.time).to_string()));
        told.insert("level".to_owned(), json!(self.level));
        match kind {
            RecordKind::Logs => {
                told.insert("source".to_owned(), json!(self.source));
                told.insert("message".to_owned(), body);
                told.insert("context".to_owned(), context.into());
            }
            RecordKind::Events => {
                told.insert("event_type".to_owned(), json!(self.event_type));
                told.insert("source".to_owned(), json!(self.source));
                told.insert("details".to_owned(), body);
                told.insert("metadata".to_owned(), context.into());
            }
        }
        let ids = [
            ("agent_id", &self.agent_id),
            ("session_id", &session),
            ("trace_id", &self.trace_id),
            ("span_id", &self.span_id),
        ];
        told.extend(ids.into_iter().map(|(name, id)| (name.to_owned(), json!(id))));
        told.insert("resource".to_owned(), object(&self.resource).into());
        told.insert("seq".to_owned(), json!(self.seq));
        told.into()
    }
}

fn plain_body((text, letter): &(String, String)) -> Value {
    let letter = letter.chars().next().unwrap_or('s');
    // A record without a body has nothing to say.
    if letter == 'e' { json!("") } else { typed(text, letter) }
}

/// Turns attributes into an object; of a key that comes twice the last one is told.
pub(super) fn object((keys, values, letters): &Entries) -> Map<String, Value> {
    let letters = letters.chars().chain(std::iter::repeat('s'));
    let entries = keys.iter().zip(values).zip(letters);
    entries.map(|((key, value), letter)| (key.clone(), typed(value, letter))).collect()
}

/// Turns the text of a value back into what was sent.
fn typed(text: &str, letter: char) -> Value {
    let found = match letter {
        'b' => text.parse().ok().map(Value::Bool),
        'i' => text.parse::<i64>().ok().map(Value::from),
        'd' => text.parse().ok().and_then(Number::from_f64).map(Value::Number),
        'a' | 'k' => serde_json::from_str(text).ok().map(|value: Value| several(&value)),
        'e' => Some(Value::Null),
        _ => None,
    };
    found.unwrap_or_else(|| json!(text))
}

/// Turns `{"values":[…]}` of OTLP JSON, a list or a key-value list, into a list or an object.
fn several(value: &Value) -> Value {
    let values = value.get("values").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let is_members = !values.is_empty() && values.iter().all(|one| one.get("key").is_some());
    if is_members {
        let member = |one: &Value| Some((one.get("key")?.as_str()?.to_owned(), any(one.get("value")?)));
        return values.iter().filter_map(member).collect::<Map<_, _>>().into();
    }
    values.iter().map(any).collect::<Vec<_>>().into()
}

/// Turns an `AnyValue` of OTLP JSON into plain JSON.
fn any(value: &Value) -> Value {
    let Some((kind, inner)) = value.as_object().and_then(|fields| fields.iter().next()) else { return Value::Null };
    match (kind.as_str(), inner) {
        ("intValue", Value::String(digits)) => digits.parse::<i64>().map_or_else(|_| inner.clone(), Value::from),
        ("arrayValue" | "kvlistValue", _) => several(inner),
        _ => inner.clone(),
    }
}
