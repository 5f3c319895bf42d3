use serde_json::{Value, json};

/// A parameter of a query string: what the router checks is what the document says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Param {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) about: &'static str,
}

/// What a parameter's text must be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Text,
    /// A text that must be given.
    Needed,
    /// A time such as `2026-01-31T09:00:00Z`, or a Unix time.
    Time,
    Flag,
    /// A whole number; without a default none is meant.
    Number {
        default: Option<u64>,
        max: u64,
    },
    /// One of some words; the default is the first, or none.
    Word {
        words: &'static [&'static str],
        default: bool,
    },
}

impl Param {
    pub(crate) const fn text(name: &'static str, about: &'static str) -> Self {
        Self { name, kind: Kind::Text, about }
    }

    pub(crate) const fn number(name: &'static str, default: u64, max: u64, about: &'static str) -> Self {
        Self { name, kind: Kind::Number { default: Some(default), max }, about }
    }

    pub(crate) const fn word(name: &'static str, words: &'static [&'static str], about: &'static str) -> Self {
        Self { name, kind: Kind::Word { words, default: true }, about }
    }

    /// Returns the JSON schema of its value.
    pub(crate) fn schema(&self) -> Value {
        match self.kind {
            Kind::Text | Kind::Needed => json!({ "type": "string" }),
            Kind::Time => json!({ "type": "string", "examples": ["2026-01-31T09:00:00Z", "1769850000"] }),
            Kind::Flag => json!({ "type": "boolean" }),
            Kind::Number { default, max } => {
                let mut schema = json!({ "type": "integer", "minimum": 0, "maximum": max });
                if let Some(default) = default {
                    schema["default"] = json!(default);
                }
                schema
            }
            Kind::Word { words, default } => {
                let mut schema = json!({ "type": "string", "enum": words });
                if default {
                    schema["default"] = json!(words[0]);
                }
                schema
            }
        }
    }
}
