use std::borrow::Cow;

use crate::bytes::{DIGIT, HEX, LETTER, class, is_all};
use crate::kind::{Kind, Kinds};
use crate::limits::SPAN_NAME_BYTES_MAX;
use crate::value;

const VERBS: &[&str] = &["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"];

/// Path segments that stay in a span's pattern, at most: they name the resource, what follows is about one of it.
const LITERAL_SEGMENTS_MAX: usize = 2;

/// Turns a span's name into its pattern: values cut out by fifteen rules in a fixed order.
///
/// The rules: timestamp, uuid, email, SQL (select, delete, update, insert), service method, HTTP path, URL, duration,
/// size, IP, hex, number. It looks at the name alone, so a name has the same pattern everywhere and for ever.
#[must_use]
pub fn span_pattern(name: &str) -> Cow<'_, str> {
    let name = name.trim();
    let name = &name[..name.floor_char_boundary(SPAN_NAME_BYTES_MAX)];
    let whole = sql(name).or_else(|| service_method(name)).or_else(|| http(name));
    if let Some(pattern) = whole {
        return Cow::Owned(pattern);
    }
    let pattern = values(name);
    if pattern == name { Cow::Borrowed(name) } else { Cow::Owned(pattern) }
}

/// Keeps a statement's verb and table; columns, values and conditions are cut out.
fn sql(name: &str) -> Option<String> {
    let words: Vec<&str> = name.split_ascii_whitespace().collect();
    let is = |at: usize, word: &str| words.get(at).is_some_and(|found| found.eq_ignore_ascii_case(word));
    let (kept, table_at) = if is(0, "select") {
        let from = (1..words.len()).find(|at| is(*at, "from"))?;
        let columns = if from > 1 { "<SQL> " } else { "" };
        (format!("{} {columns}{}", words[0], words[from]), from + 1)
    } else if (is(0, "delete") && is(1, "from")) || (is(0, "insert") && is(1, "into")) {
        (format!("{} {}", words[0], words[1]), 2)
    } else if is(0, "update") && (2..words.len()).any(|at| is(at, "set")) {
        (words[0].to_owned(), 1)
    } else {
        return None;
    };
    let table = words.get(table_at)?.split('(').next().unwrap_or_default().trim_end_matches([';', ',']);
    let has_rest = words.len() > table_at + 1 || words[table_at].contains('(');
    Some(format!("{kept} {}{}", values(table), if has_rest { " <SQL>" } else { "" }))
}

/// `user-service/resetPassword`: a service in lower case, without a package, keeps its name only.
fn service_method(name: &str) -> Option<String> {
    let (service, method) = name.split_once('/')?;
    let is_service = service.starts_with(|c: char| c.is_ascii_lowercase())
        && service.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'));
    let is_method = method.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && method.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    (is_service && is_method).then(|| format!("{service}/<METHOD>"))
}

/// `GET /users/123`: the verb stays, and the segments before the first value, two at most.
fn http(name: &str) -> Option<String> {
    let (verb, path) = match name.split_once(' ') {
        Some((verb, path)) if VERBS.contains(&verb) => (Some(verb), path.trim_start()),
        _ => (None, name),
    };
    if !path.starts_with('/') || path.contains(char::is_whitespace) {
        return None;
    }
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let mut pattern = verb.map_or(String::new(), |verb| format!("{verb} "));
    for (at, segment) in path[1..].split('/').enumerate() {
        if at == LITERAL_SEGMENTS_MAX || (is_value(segment) && !is_version(segment)) {
            return Some(pattern + "/<PATH>");
        }
        pattern.push('/');
        pattern.push_str(segment);
    }
    Some(pattern)
}

/// A route's own parameter (`{id}`, `:id`) is a name; anything else with a digit is a value.
fn is_value(segment: &str) -> bool {
    !segment.starts_with(['{', ':', '<']) && values(segment) != segment
        || segment.len() > 1 && segment.bytes().any(|byte| byte.is_ascii_digit())
}

fn is_version(segment: &str) -> bool {
    segment.strip_prefix('v').is_some_and(|rest| rest.len() <= 3 && rest.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Cuts values out of a name, whatever stands around them.
fn values(name: &str) -> String {
    let bytes = name.as_bytes();
    let mut out = String::with_capacity(name.len());
    let mut at = 0;
    while at < bytes.len() {
        let (end, kind) = longest(name, at);
        match kind {
            Some(kind) => {
                out.push('<');
                out.push_str(Kinds::from(kind).name());
                out.push('>');
            }
            None => out.push_str(&name[at..end]),
        }
        at = end;
    }
    out
}

/// Returns what begins at `at` and where it ends: a value, a word, or one character between words.
fn longest(name: &str, at: usize) -> (usize, Option<Kind>) {
    let bytes = name.as_bytes();
    let run = |from: usize, classes: u8| bytes[from..].iter().take_while(|b| class(**b) & classes != 0).count();
    if class(bytes[at]) & (LETTER | DIGIT) == 0 {
        return (at + name[at..].chars().next().map_or(1, char::len_utf8), None);
    }
    if let Some(end) = timestamp(bytes, at) {
        return (end, Some(Kind::Timestamp));
    }
    if bytes.get(at..at + 36).is_some_and(value::is_uuid) {
        return (at + 36, Some(Kind::Uuid));
    }
    let chunk = at + bytes[at..].iter().take_while(|b| !b" \t,;()[]{}<>\"'".contains(b)).count();
    if let Some(host) = memchr::memchr(b'@', &bytes[at..chunk])
        && host > 0
        && bytes[at + host..chunk].contains(&b'.')
    {
        return (chunk, Some(Kind::Email));
    }
    let word = run(at, LETTER | DIGIT);
    if bytes[at + word..].starts_with(b"://") {
        return (value::path_end(bytes, at + word + 3), Some(Kind::Url));
    }
    let dotted = bytes[at..].iter().take_while(|b| b.is_ascii_digit() || **b == b'.').count();
    if bytes[at..at + dotted].split(|b| *b == b'.').filter(|part| !part.is_empty()).count() == 4 {
        return (at + dotted, Some(Kind::Ip));
    }
    let fraction = dotted.saturating_sub(usize::from(bytes[..at + dotted].ends_with(b".")));
    let number = at + fraction;
    if fraction > 0 {
        let unit = run(number, LETTER);
        let kind = value::with_digit(&bytes[at..number + unit]);
        if matches!(kind, Kind::Duration | Kind::Size | Kind::Hex) && class_after(bytes, number + unit) & DIGIT == 0 {
            return (number + unit, Some(kind));
        }
    }
    let text = &bytes[at..at + word];
    if word >= 8 && is_all(text, HEX) && text.iter().any(u8::is_ascii_digit) && text.iter().any(u8::is_ascii_alphabetic)
    {
        return (at + word, Some(Kind::Hex));
    }
    if fraction > 0 && class_after(bytes, number) & LETTER == 0 {
        return (number, Some(Kind::Num));
    }
    (at + word, None)
}

/// `2024-01-02`, with a time of day behind a space or a `T`, or not.
fn timestamp(bytes: &[u8], at: usize) -> Option<usize> {
    let digits = |from: usize, count: usize| {
        bytes.get(from..from + count).is_some_and(|found| found.iter().all(u8::is_ascii_digit))
    };
    let is = |from: usize, byte: u8| bytes.get(from) == Some(&byte);
    let is_date = digits(at, 4) && is(at + 4, b'-') && digits(at + 5, 2) && is(at + 7, b'-') && digits(at + 8, 2);
    if !is_date {
        return None;
    }
    let has_time = (is(at + 10, b'T') || is(at + 10, b' ')) && digits(at + 11, 2) && is(at + 13, b':');
    if !has_time {
        return Some(at + 10);
    }
    let rest = &bytes[at + 11..];
    Some(at + 11 + rest.iter().take_while(|b| b.is_ascii_digit() || b":.+-Z".contains(b)).count())
}

fn class_after(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).map_or(0, |byte| class(*byte))
}
