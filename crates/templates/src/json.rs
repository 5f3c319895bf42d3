//! Bodies that are JSON objects: the template is their set of keys.

use crate::bytes::{SPACE, class_at};
use crate::kind::Kind;
use crate::limits::{JSON_KEYS_MAX, SHAPE_BYTES_MAX};
use crate::shape::Shape;

/// Fills `shape` with the sorted keys of the outermost object, values cut out; says no if the body is not an object.
///
/// The object may be cut off at the end, as bodies are that a shipper shortened; keys found until there count.
pub(crate) fn scan(body: &[u8], shape: &mut Shape) -> bool {
    let Some(mut keys) = keys(body) else { return false };
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
    true
}

fn keys(body: &[u8]) -> Option<Vec<&[u8]>> {
    let mut at = skip_space(body, 0);
    if body.get(at) != Some(&b'{') {
        return None;
    }
    at = skip_space(body, at + 1);
    let mut keys = Vec::new();
    if body.get(at) == Some(&b'}') {
        return Some(keys);
    }
    loop {
        let (key, end) = string(body, at)?;
        at = skip_space(body, end);
        if body.get(at) != Some(&b':') {
            return None;
        }
        keys.push(key);
        at = skip_space(body, value_end(body, at + 1));
        match body.get(at) {
            Some(b',') => at = skip_space(body, at + 1),
            Some(b'}') | None => return Some(keys),
            Some(_) => return None,
        }
        if at >= body.len() {
            return Some(keys);
        }
    }
}

/// Returns the string that begins at `at`, without quotes, and where it ends.
fn string(body: &[u8], at: usize) -> Option<(&[u8], usize)> {
    if body.get(at) != Some(&b'"') {
        return None;
    }
    let mut end = at + 1;
    while let Some(byte) = body.get(end) {
        match byte {
            b'"' => return Some((&body[at + 1..end], end + 1)),
            b'\\' => end += 2,
            _ => end += 1,
        }
    }
    None
}

/// Returns where the value that begins behind `at` ends: at a comma or brace of its own level.
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
