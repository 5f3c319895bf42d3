//! JSON schemas in few words. An object has exactly the fields that are named; `name?` may be absent.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// Schemas by name: the document's components.
pub(crate) type Shapes = BTreeMap<&'static str, Value>;

pub(crate) fn object(fields: &[(&str, Value)]) -> Value {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for (name, shape) in fields {
        let bare = name.strip_suffix('?');
        if bare.is_none() {
            required.push(json!(name));
        }
        properties.insert(bare.unwrap_or(name).to_owned(), shape.clone());
    }
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

/// Another shape, by its name.
pub(crate) fn found(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

pub(crate) fn list_of(shape: Value) -> Value {
    json!({ "type": "array", "items": shape })
}

pub(crate) fn map_of(shape: Value) -> Value {
    json!({ "type": "object", "additionalProperties": shape })
}

pub(crate) fn text() -> Value {
    json!({ "type": "string" })
}

pub(crate) fn texts() -> Value {
    list_of(text())
}

pub(crate) fn one_of_words(words: &[&str]) -> Value {
    json!({ "type": "string", "enum": words })
}

pub(crate) fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

pub(crate) fn integer() -> Value {
    json!({ "type": "integer" })
}

pub(crate) fn number() -> Value {
    json!({ "type": "number" })
}

pub(crate) fn flag() -> Value {
    json!({ "type": "boolean" })
}

pub(crate) fn anything() -> Value {
    json!({})
}

pub(crate) fn nullable(shape: Value) -> Value {
    json!({ "anyOf": [shape, { "type": "null" }] })
}
