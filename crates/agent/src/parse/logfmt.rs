use super::{Context, put_text};
use crate::rows::LogRow;

const NOT_LOGFMT: &str = "not `key=value` pairs";

pub(super) fn read(text: &str, row: &mut LogRow, context: Context) -> Result<(), &'static str> {
    let mut rest = text.trim();
    let mut pairs = 0;
    while !rest.is_empty() {
        let end = rest.find([' ', '=']).unwrap_or(rest.len());
        let (name, behind) = rest.split_at(end);
        if name.is_empty() || name.contains('"') {
            return Err(NOT_LOGFMT);
        }
        let (value, behind) = match behind.strip_prefix('=') {
            None => return Err(NOT_LOGFMT),
            Some(behind) => value(behind)?,
        };
        put_text(row, name, &value, context);
        pairs += 1;
        rest = behind.trim_start();
    }
    if pairs > 0 { Ok(()) } else { Err(NOT_LOGFMT) }
}

/// Reads a value, quoted or up to the next blank.
fn value(text: &str) -> Result<(String, &str), &'static str> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(' ').unwrap_or(text.len());
        return Ok((text[..end].to_owned(), &text[end..]));
    };
    let mut out = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Ok((out, &quoted[at + 1..])),
            '\\' => match chars.next().map(|(_, char)| char) {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some('r') => out.push('\r'),
                Some(other) => out.push(other),
                None => break,
            },
            other => out.push(other),
        }
    }
    Err("a quote is not closed")
}
