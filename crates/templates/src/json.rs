//! Bodies that are JSON objects: the line is their message, or the template is their set of keys.

use std::borrow::Cow;

use crate::bytes::{SPACE, class_at};
use crate::kind::Kind;
use crate::limits::{JSON_BYTES_MAX, JSON_DEPTH_MAX, JSON_KEYS_MAX, SHAPE_BYTES_MAX};
use crate::shape::Shape;

/// How OTLP's key-value lists are stored as text.
const LIST: &[u8] = b"{\"values\":[{\"key\":\"";

/// What a body is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Json<'b> {
    /// An object with a message: the line to mine.
    Message(Cow<'b, str>),
    /// An object without one: its keys are in the shape.
    Keys,
    /// No object.
    Not,
}

/// Looks for the message of an object; without one `shape` is filled with its sorted outermost keys, values cut out.
///
/// The object may be cut off at the end, as bodies are that a shipper shortened; what is found until there counts.
pub(crate) fn read<'b>(body: &'b str, fields: &[String], shape: &mut Shape) -> Json<'b> {
    read_nested(body, fields, shape, 1)
}

fn read_nested<'b>(body: &'b str, fields: &[String], shape: &mut Shape, depth: usize) -> Json<'b> {
    let body = &body[..body.floor_char_boundary(JSON_BYTES_MAX)];
    let bytes = body.as_bytes();
    let listed = bytes.starts_with(LIST).then(|| list_entries(bytes)).flatten();
    let Some(entries) = listed.or_else(|| entries(bytes, 0).map(|(entries, _)| entries)) else { return Json::Not };
    let Some(message) = message(&entries, fields) else {
        write_keys(entries.into_iter().map(|(key, _)| key).collect(), shape);
        return Json::Keys;
    };
    if depth == JSON_DEPTH_MAX || !message.trim_start().starts_with('{') {
        return Json::Message(message);
    }
    match read_nested(message.trim_start(), fields, shape, depth + 1) {
        Json::Message(inner) => Json::Message(inner.into_owned().into()),
        Json::Keys => Json::Keys,
        Json::Not => Json::Message(message),
    }
}

/// Returns the text of the first field in the order of the settings that has some.
fn message<'b>(entries: &[Entry<'b>], fields: &[String]) -> Option<Cow<'b, str>> {
    fields.iter().find_map(|field| {
        let of_field = entries.iter().filter(|(key, _)| key.eq_ignore_ascii_case(field.as_bytes()));
        of_field.filter_map(|(_, value)| text(value)).find(|text| !text.trim().is_empty())
    })
}

fn write_keys(mut keys: Vec<&[u8]>, shape: &mut Shape) {
    keys.sort_unstable();
    keys.dedup();
    shape.clear();
    shape.bytes.push(b'{');
    for (at, key) in keys.iter().enumerate() {
        if at > 0 {
            shape.bytes.extend_from_slice(b", ");
        }
        if at == JSON_KEYS_MAX || shape.bytes.len() + key.len() + 8 > SHAPE_BYTES_MAX {
            shape.push_hole(Kind::Id.into());
            break;
        }
        shape.bytes.push(b'"');
        // Keys are punctuation to the statistics: another key is another template, however many there are.
        shape.bytes.extend(key.iter().map(|byte| if *byte < b' ' { b' ' } else { *byte }));
        shape.bytes.extend_from_slice(b"\": ");
        shape.push_hole(Kind::Id.into());
    }
    shape.bytes.push(b'}');
}

/// A key and its value.
type Entry<'b> = (&'b [u8], &'b [u8]);

/// Returns the outermost keys and values of the object that begins at `at`, and where it ends.
fn entries(body: &[u8], at: usize) -> Option<(Vec<Entry<'_>>, usize)> {
    let mut at = skip_space(body, at);
    if body.get(at) != Some(&b'{') {
        return None;
    }
    at = skip_space(body, at + 1);
    let mut entries = Vec::new();
    if body.get(at) == Some(&b'}') {
        return Some((entries, at + 1));
    }
    loop {
        let (key, end) = string(body, at)?;
        at = skip_space(body, end);
        if body.get(at) != Some(&b':') {
            return None;
        }
        let value = skip_space(body, at + 1);
        let end = value_end(body, value);
        entries.push((key, &body[value..end]));
        at = skip_space(body, end);
        match body.get(at) {
            Some(b',') => at = skip_space(body, at + 1),
            Some(b'}') | None => return Some((entries, at + 1)),
            Some(_) => return None,
        }
        if at >= body.len() {
            return Some((entries, at));
        }
    }
}

/// Returns the keys and values of a stored key-value list: `{"values":[{"key":"a","value":{"stringValue":"b"}},…]}`.
fn list_entries(body: &[u8]) -> Option<Vec<Entry<'_>>> {
    let mut at = memchr::memchr(b'[', body)? + 1;
    let mut found = Vec::new();
    while let Some((entry, end)) = pair(body, at) {
        found.push(entry);
        at = end + usize::from(body.get(end) == Some(&b','));
    }
    Some(found)
}

/// Returns one of them, and where it ends; only text has a value here.
fn pair(body: &[u8], at: usize) -> Option<(Entry<'_>, usize)> {
    let (pair, end) = entries(body, at)?;
    let of = |name: &[u8]| pair.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
    let (key, _) = string(of(b"key")?, 0)?;
    let typed = of(b"value").and_then(|value| entries(value, 0));
    let typed = typed.and_then(|(typed, _)| typed.first().copied());
    let value = typed.filter(|(kind, _)| *kind == b"stringValue").map_or(&b""[..], |(_, value)| value);
    Some(((key, value), end))
}

/// Returns the string that begins at `at`, without quotes, and where it ends.
fn string(body: &[u8], at: usize) -> Option<(&[u8], usize)> {
    if body.get(at) != Some(&b'"') {
        return None;
    }
    let mut end = at + 1;
    loop {
        end += memchr::memchr2(b'"', b'\\', body.get(end..)?)?;
        if body[end] == b'"' {
            return Some((&body[at + 1..end], end + 1));
        }
        end += 2;
    }
}

/// Reads a value that is a string, its escapes resolved; one that is cut off is read as far as it goes.
fn text(value: &[u8]) -> Option<Cow<'_, str>> {
    let raw = match string(value, 0) {
        Some((raw, _)) => raw,
        None => value.strip_prefix(b"\"")?,
    };
    let raw = std::str::from_utf8(raw).ok()?;
    if memchr::memchr(b'\\', raw.as_bytes()).is_none() {
        return Some(Cow::Borrowed(raw));
    }
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((plain, escaped)) = rest.split_once('\\') {
        out.push_str(plain);
        let mut chars = escaped.chars();
        match chars.next() {
            Some('n' | 'r') => out.push('\n'),
            Some('t' | 'b' | 'f') => out.push(' '),
            Some('u') => {
                let (c, left) = unicode(chars.as_str());
                out.push(c);
                rest = left;
                continue;
            }
            Some(other) => out.push(other),
            None => {}
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
    Some(Cow::Owned(out))
}

/// Reads four hexadecimal digits, and those of a second half where they are a first one.
fn unicode(text: &str) -> (char, &str) {
    let digits = |text: &str| u32::from_str_radix(text.get(..4)?, 16).ok();
    let Some(first) = digits(text) else { return (char::REPLACEMENT_CHARACTER, text) };
    let rest = &text[4..];
    let second = rest.strip_prefix("\\u").and_then(digits).filter(|low| (0xdc00..0xe000).contains(low));
    match (first, second) {
        (0xd800..0xdc00, Some(second)) => {
            let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
            (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), &rest[6..])
        }
        _ => (char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), rest),
    }
}

/// Returns where the value that begins at `at` ends: at a comma or brace of its own level.
fn value_end(body: &[u8], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while let Some(byte) = body.get(at) {
        match byte {
            b'"' => match string(body, at) {
                Some((_, end)) => {
                    at = end;
                    continue;
                }
                None => return body.len(),
            },
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth > 0 => depth -= 1,
            b',' | b'}' | b']' if depth == 0 => return at,
            _ => {}
        }
        at += 1;
    }
    body.len()
}

fn skip_space(body: &[u8], mut at: usize) -> usize {
    while at < body.len() && class_at(body, at) & SPACE != 0 {
        at += 1;
    }
    at
}
