use crate::json::{self, Json, Object, put};
use crate::span::SpanType;

/// From where to where something moves, and what becomes of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    from: &'static str,
    to: &'static str,
    becomes: Becomes,
}

/// What becomes of a value on its way.
#[derive(Debug, Clone, Copy)]
enum Becomes {
    /// It stays as it is.
    Same,
    /// A text that is JSON becomes what it says.
    Parsed,
    /// As parsed; what is no object then stands under `value`.
    Inputs,
    /// Members `0`, `1`, … become an array, and `{message: …}` its message.
    Messages,
    /// A word of theirs becomes one of ours.
    Type(&'static [(&'static str, SpanType)]),
}

/// Moves a value, or all that is below a name.
pub(super) const fn moves(from: &'static str, to: &'static str) -> Rule {
    Rule { from, to, becomes: Becomes::Same }
}

/// Moves a value; a text that is JSON becomes what it says.
pub(super) const fn parses(from: &'static str, to: &'static str) -> Rule {
    Rule { from, to, becomes: Becomes::Parsed }
}

/// Moves what something was given; what is no object stands under `value` then.
pub(super) const fn inputs(from: &'static str, to: &'static str) -> Rule {
    Rule { from, to, becomes: Becomes::Inputs }
}

/// Moves messages, which come as members `0`, `1`, … or as a text.
pub(super) const fn messages(from: &'static str, to: &'static str) -> Rule {
    Rule { from, to, becomes: Becomes::Messages }
}

/// Moves a word for what a span does.
pub(super) const fn kinds(from: &'static str, words: &'static [(&'static str, SpanType)]) -> Rule {
    Rule { from, to: "ag.type.span", becomes: Becomes::Type(words) }
}

impl Rule {
    /// Moves the value, if it is there, if it can become what it should, and if its new place is free.
    pub(super) fn apply(&self, attributes: &mut Object) {
        let Some(value) = take(attributes, self.from) else { return };
        let becomes = self.becomes.of(value.clone());
        let path: Vec<&str> = self.to.split('.').collect();
        let is_placed =
            becomes.is_some_and(|value| is_free(attributes, self.to, &value) && put(attributes, &path, value).is_ok());
        if !is_placed {
            super::nest(attributes, self.from, value);
        }
    }
}

/// Whether all of a value has its place: half of it is not moved.
fn is_free(attributes: &Object, to: &str, value: &Json) -> bool {
    match (json::at(attributes, to), value) {
        (None, _) => {
            let mut above = to;
            while let Some((before, _)) = above.rsplit_once('.') {
                if json::at(attributes, before).is_some_and(|found| found.as_object().is_none()) {
                    return false;
                }
                above = before;
            }
            true
        }
        (Some(Json::Object(old)), Json::Object(members)) => members.keys().all(|name| !old.contains_key(name)),
        _ => false,
    }
}

/// Takes a value out; a name may have kept its dots.
fn take(object: &mut Object, path: &str) -> Option<Json> {
    if let Some(value) = object.remove(path) {
        return Some(value);
    }
    let (first, rest) = path.split_once('.')?;
    let Json::Object(inner) = object.get_mut(first)? else { return None };
    let taken = take(inner, rest);
    if inner.is_empty() {
        object.remove(first);
    }
    taken
}

impl Becomes {
    fn of(self, value: Json) -> Option<Json> {
        match self {
            Self::Same => Some(value),
            Self::Parsed => Some(parsed(value)),
            Self::Inputs => Some(match parsed(value) {
                Json::Object(members) => Json::Object(members),
                other => Json::object([("value", other)]),
            }),
            Self::Messages => Some(unwrapped(listed(parsed(value)))),
            Self::Type(words) => {
                let word = value.as_text()?.to_ascii_lowercase();
                let found = words.iter().find(|(name, _)| *name == word).map(|(_, kind)| *kind);
                found.or_else(|| SpanType::named(&word)).map(|kind| Json::text(kind.as_str()))
            }
        }
    }
}

/// Reads a text that is an object or an array of JSON; any other text stays one.
pub(super) fn parsed(value: Json) -> Json {
    let text = value.as_text().filter(|text| text.trim_start().starts_with(['{', '[']));
    text.and_then(|text| json::parse(text).ok()).unwrap_or(value)
}

/// Makes arrays of objects whose members are `0`, `1`, …
fn listed(value: Json) -> Json {
    let Json::Object(members) = value else { return value };
    let mut numbered: Vec<(usize, Json)> = Vec::new();
    for (name, member) in &members {
        if let Ok(index) = name.parse() {
            numbered.push((index, listed(member.clone())));
        }
    }
    numbered.sort_by_key(|(index, _)| *index);
    let is_list = !members.is_empty() && numbered.len() == members.len();
    if is_list && numbered.iter().enumerate().all(|(at, (index, _))| at == *index) {
        return Json::List(numbered.into_iter().map(|(_, value)| value).collect());
    }
    Json::Object(members.into_iter().map(|(name, member)| (name, listed(member))).collect())
}

/// Takes messages out of `{message: …}`.
fn unwrapped(value: Json) -> Json {
    let Json::List(elements) = value else { return value };
    let each = elements.into_iter().map(|element| match element {
        Json::Object(mut members) if members.len() == 1 && members.contains_key("message") => {
            members.remove("message").unwrap_or_default()
        }
        other => other,
    });
    Json::List(each.collect())
}
