//! JSON whose numbers keep their letters: what a client sent is what it gets back, digit by digit.

mod parse;
mod view;
mod write;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use parse::{DEPTH_MAX, parse, view};
pub use view::View;
pub use write::{escaped, write_text};

/// The members of an object.
pub type Object = BTreeMap<String, Json>;

/// A JSON value.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Json {
    /// `null`.
    #[default]
    Null,
    /// `true` and `false`.
    Bool(bool),
    /// A number, as it was written.
    Number(Number),
    /// A text.
    Text(String),
    /// An array.
    List(Vec<Json>),
    /// An object.
    Object(Object),
}

/// A number as JSON writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Number(pub(super) String);

impl Number {
    /// Returns the digits as they were written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the nearest double; infinite where there is none.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.0.parse().unwrap_or(f64::NAN)
    }

    /// Says whether ClickHouse's JSON functions can read it: whole numbers of 64 bits, and finite doubles.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        if self.0.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') {
            return self.0.parse::<i64>().is_ok() || self.0.parse::<u64>().is_ok();
        }
        self.value().is_finite()
    }
}

impl Json {
    /// Returns a number, or `null` for what JSON cannot write.
    #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
    #[must_use]
    pub fn number(value: f64) -> Self {
        const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
        if !value.is_finite() {
            return Self::Null;
        }
        let is_whole = value.fract() == 0.0 && value.abs() < WHOLE_MAX;
        Self::Number(Number(match is_whole {
            true if value == 0.0 && value.is_sign_negative() => "-0".to_owned(),
            true => (value as i64).to_string(),
            false => format!("{value:?}"),
        }))
    }

    /// Returns a text.
    #[must_use]
    pub fn text(value: impl Into<String>) -> Self {
        Self::Text(value.into())
    }

    /// Returns an object.
    pub fn object<K: Into<String>>(members: impl IntoIterator<Item = (K, Self)>) -> Self {
        Self::Object(members.into_iter().map(|(name, value)| (name.into(), value)).collect())
    }

    /// Returns the text, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// Returns the members, if it is an object.
    #[must_use]
    pub const fn as_object(&self) -> Option<&Object> {
        if let Self::Object(object) = self { Some(object) } else { None }
    }

    /// Returns the elements, if it is an array.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Self]> {
        if let Self::List(list) = self { Some(list) } else { None }
    }

    /// Returns the number as a double, if it is one.
    #[must_use]
    pub fn as_number(&self) -> Option<f64> {
        if let Self::Number(number) = self { Some(number.value()) } else { None }
    }

    /// Finds what stands at a path of names, dots between them.
    #[must_use]
    pub fn at(&self, path: &str) -> Option<&Self> {
        path.split('.').try_fold(self, |value, name| value.as_object()?.get(name))
    }

    /// Says what kind of value it is, for messages.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "an array",
            Self::Object(_) => "an object",
        }
    }
}

impl From<i64> for Json {
    fn from(value: i64) -> Self {
        Self::Number(Number(value.to_string()))
    }
}

impl From<u64> for Json {
    fn from(value: u64) -> Self {
        Self::Number(Number(value.to_string()))
    }
}

/// Finds what stands at a path of names, dots between them.
#[must_use]
pub fn at<'j>(object: &'j Object, path: &str) -> Option<&'j Json> {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let value = object.get(first)?;
    rest.map_or(Some(value), |rest| value.at(rest))
}

/// Puts a value at a path of names, and makes the objects on the way; gives it back where something else is in the way.
pub fn put(object: &mut Object, path: &[&str], value: Json) -> Result<(), Json> {
    let [first, rest @ ..] = path else { return Err(value) };
    if rest.is_empty() {
        match object.get_mut(*first) {
            None => drop(object.insert((*first).to_owned(), value)),
            Some(Json::Object(old)) if matches!(value, Json::Object(_)) => return merge(old, value),
            Some(_) => return Err(value),
        }
        return Ok(());
    }
    match object.entry((*first).to_owned()).or_insert_with(|| Json::Object(Object::new())) {
        Json::Object(inner) => put(inner, rest, value),
        _ => Err(value),
    }
}

/// Puts the members of an object into another; what has no place is given back.
fn merge(into: &mut Object, value: Json) -> Result<(), Json> {
    let Json::Object(members) = value else { return Err(value) };
    let mut left = Object::new();
    for (name, member) in members {
        if let Err(member) = put(into, &[&name], member) {
            left.insert(name, member);
        }
    }
    if left.is_empty() { Ok(()) } else { Err(Json::Object(left)) }
}

/// Takes what stands at a path out.
pub fn take(object: &mut Object, path: &str) -> Option<Json> {
    let Some((first, rest)) = path.split_once('.') else { return object.remove(path) };
    let Json::Object(inner) = object.get_mut(first)? else { return None };
    let taken = take(inner, rest);
    if inner.is_empty() {
        object.remove(first);
    }
    taken
}
