use std::borrow::Cow;

use super::{Json, Object};

/// A JSON value that is read once and dropped: texts and digits are where they were written, and only escapes are not.
#[derive(Debug, Clone, PartialEq)]
pub enum View<'t> {
    /// `null`.
    Null,
    /// `true` and `false`.
    Bool(bool),
    /// A number, as it was written.
    Number(&'t str),
    /// A text.
    Text(Cow<'t, str>),
    /// An array.
    List(Vec<Self>),
    /// An object: each name once, in any order.
    Object(Vec<(Cow<'t, str>, Self)>),
}

impl<'t> View<'t> {
    /// Returns a view of an object.
    #[must_use]
    pub fn of(object: &'t Object) -> Self {
        Self::Object(object.iter().map(|(name, value)| (Cow::Borrowed(name.as_str()), Self::of_value(value))).collect())
    }

    fn of_value(value: &'t Json) -> Self {
        match value {
            Json::Null => Self::Null,
            Json::Bool(flag) => Self::Bool(*flag),
            Json::Number(number) => Self::Number(number.as_str()),
            Json::Text(text) => Self::Text(Cow::Borrowed(text)),
            Json::List(list) => Self::List(list.iter().map(Self::of_value).collect()),
            Json::Object(object) => Self::of(object),
        }
    }

    /// Finds what stands at a path of names.
    #[must_use]
    pub fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |value, name| match value {
            Self::Object(members) => members.iter().find(|(own, _)| own == name).map(|(_, value)| value),
            _ => None,
        })
    }

    /// Returns the text, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// Returns the elements, if it is an array.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Self]> {
        if let Self::List(list) = self { Some(list) } else { None }
    }

    /// Returns the nearest double, if it is a number; infinite where there is none.
    #[must_use]
    pub fn as_number(&self) -> Option<f64> {
        if let Self::Number(digits) = self { digits.parse().ok() } else { None }
    }
}
