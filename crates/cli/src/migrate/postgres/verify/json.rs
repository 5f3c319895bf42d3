use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::value::RawValue;

/// Says whether two texts of JSON have the same value: the order of names, spaces and ways to write a number or a letter
/// do not matter. Numbers are compared by all of their digits.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    if one == other {
        return true;
    }
    matches!((canonical(one), canonical(other)), (Some(one), Some(other)) if one == other)
}

/// Writes JSON in its only form; `None`: it is none.
fn canonical(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    write(text, &mut out)?;
    Some(out)
}

fn write(text: &str, out: &mut String) -> Option<()> {
    let text = text.trim();
    match text.as_bytes().first()? {
        b'{' => {
            // Of names that stand twice the last one counts.
            let members: BTreeMap<String, &RawValue> = serde_json::from_str(text).ok()?;
            out.push('{');
            for (name, value) in members {
                let _ = write!(out, "{}:", serde_json::to_string(&name).ok()?);
                write(value.get(), out)?;
                out.push(',');
            }
            out.push('}');
        }
        b'[' => {
            let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
            out.push('[');
            for item in items {
                write(item.get(), out)?;
                out.push(',');
            }
            out.push(']');
        }
        b'"' => {
            let letters: String = serde_json::from_str(text).ok()?;
            out.push_str(&serde_json::to_string(&letters).ok()?);
        }
        b'-' | b'0'..=b'9' => number(text, out)?,
        _ => out.push_str(text),
    }
    Some(())
}

/// Writes a number as its digits without zeros around them, and the power of ten of the first behind a point.
fn number(text: &str, out: &mut String) -> Option<()> {
    let (sign, text) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    let (digits, power) = match text.split_once(['e', 'E']) {
        Some((digits, power)) => (digits, power.parse::<i64>().ok()?),
        None => (text, 0),
    };
    let (whole, behind) = digits.split_once('.').unwrap_or((digits, ""));
    let all = format!("{whole}{behind}");
    let significant = all.trim_start_matches('0');
    if significant.is_empty() {
        out.push('0');
        return Some(());
    }
    let leading = i64::try_from(all.len() - significant.len()).ok()?;
    let point = i64::try_from(whole.len()).ok()?.checked_add(power)?.checked_sub(leading)?;
    let _ = write!(out, "{sign}.{}e{point}", significant.trim_end_matches('0'));
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_compared_by_value() {
        for (one, other) in [
            (r#"{"a": 1, "b": [1.0, 2e1]}"#, r#"{"b":[1,20],"a":1.000}"#),
            (r#""größe""#, "\"gr\\u00f6\\u00dfe\""),
            ("-0.0", "0"),
            ("1e400", "10e399"),
            (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
            ("123456789012345678901234567890", "1.2345678901234567890123456789e29"),
            ("null", " null "),
        ] {
            assert!(is_same(one, other), "{one} {other}");
        }
        for (one, other) in [
            ("123456789012345678901234567890", "123456789012345678901234567891"),
            ("1", "\"1\""),
            ("[1,2]", "[2,1]"),
            ("0.1", "0.10000000000000001"),
            (r#"{"a":null}"#, "{}"),
            ("1", "-1"),
            ("12", "1.2"),
            ("true", "false"),
            ("not json", "not json either"),
        ] {
            assert!(!is_same(one, other), "{one} {other}");
        }
    }
}
