use arrow_cast::parse::string_to_timestamp_nanos;
use serde_json::{Map, Value};

use crate::ingest::Reason;

/// Why an entry is refused: the reason, and a sentence that names the field.
pub(super) type Refusal = (Reason, String);

/// Milliseconds below this are far more likely seconds: 1973.
const MILLIS_MIN: i64 = 100_000_000_000;

/// The fields of one entry; each is taken once, and none may be left at the end.
#[derive(Debug)]
pub(super) struct Entry(Map<String, Value>);

impl Entry {
    pub(super) fn read(text: &[u8]) -> Result<Self, Refusal> {
        match serde_json::from_slice(text) {
            Ok(Value::Object(mut fields)) => {
                fields.retain(|_, value| !value.is_null());
                Ok(Self(fields))
            }
            Ok(other) => Err((
                Reason::InvalidType,
                format!("an entry is an object such as {{\"message\":…}}, this is {}", kind(&other)),
            )),
            Err(error) => Err((Reason::Malformed, format!("the entry is not JSON: {error}"))),
        }
    }

    /// Takes a text; `None` where it is absent or empty.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, Refusal> {
        match self.0.remove(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
            Some(other) => Err((Reason::InvalidType, format!("`{name}` is a text, not {}", kind(&other)))),
        }
    }

    /// Takes a text that must be there.
    pub(super) fn needed_text(&mut self, name: &str) -> Result<String, Refusal> {
        self.text(name)?.ok_or_else(|| (Reason::Missing, format!("`{name}` is missing or empty")))
    }

    /// Takes any value.
    pub(super) fn any(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name)
    }

    /// Takes the nanoseconds since 1970 of `timestamp`; 0 where it is absent.
    pub(super) fn time(&mut self) -> Result<u64, Refusal> {
        const WANTED: &str = "`timestamp` is a text such as 2026-01-31T09:00:00.5Z, or whole milliseconds since 1970; before 1970 or past 2262 none is storable";
        let refused = || (Reason::InvalidTimestamp, WANTED.to_owned());
        let nanos = match self.0.remove("timestamp") {
            None => return Ok(0),
            Some(Value::String(text)) => string_to_timestamp_nanos(&text).map_err(|_| refused())?,
            Some(Value::Number(millis)) => {
                let millis = millis.as_i64().ok_or_else(refused)?;
                if (0..MILLIS_MIN).contains(&millis) {
                    let detail =
                        format!("`timestamp` is {millis}, which reads as seconds: send milliseconds or a text");
                    return Err((Reason::InvalidTimestamp, detail));
                }
                millis.checked_mul(1_000_000).ok_or_else(refused)?
            }
            Some(_) => return Err(refused()),
        };
        u64::try_from(nanos).map_err(|_| refused())
    }

    /// Takes an id of so many bytes, in hex.
    pub(super) fn id(&mut self, name: &str, length: usize) -> Result<Vec<u8>, Refusal> {
        let Some(text) = self.text(name)? else { return Ok(Vec::new()) };
        let bytes = hex::decode(&text).ok().filter(|bytes| bytes.len() == length);
        bytes.ok_or_else(|| (Reason::InvalidId, format!("`{name}` is {} hex digits", 2 * length)))
    }

    /// Takes the members of objects by these names.
    pub(super) fn members(&mut self, names: &[&str]) -> Result<Vec<(String, Value)>, Refusal> {
        let mut all: Vec<(String, Value)> = Vec::new();
        for name in names {
            match self.0.remove(*name) {
                None => {}
                Some(Value::Object(members)) => all.extend(members),
                Some(other) => {
                    return Err((Reason::InvalidType, format!("`{name}` is an object, not {}", kind(&other))));
                }
            }
        }
        Ok(all)
    }

    /// Ends the reading: refuses what nobody took.
    pub(super) fn end(self, known: &str, members: &str) -> Result<(), Refusal> {
        let Some(name) = self.0.keys().next() else { return Ok(()) };
        let name: String = name.chars().take(100).collect();
        Err((
            Reason::Unknown,
            format!("the field `{name}` is unknown: there are {known}; what is yours goes into `{members}`"),
        ))
    }
}

/// Names the kind of a value, for messages.
pub(super) const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
