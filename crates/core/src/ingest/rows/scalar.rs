//! One value of JSON becomes one value of a column, exactly or not at all.

use std::borrow::Cow;

use arrow_cast::parse::{Parser, string_to_timestamp_nanos};
use arrow_schema::DataType;
use tidegate_model::Scalar;

use crate::ingest::Reason;
use crate::ingest::json::number;
use crate::ingest::json::scan::{Scanner, Text, Value};

/// Why a value has no place in its column, and what would have.
pub(super) type Misfit = (Reason, &'static str);

type Fits<T> = Result<T, Misfit>;

/// 1900-01-01 and 2299-12-31, as days from 1970: what ClickHouse's `Date32` holds.
const DAYS: std::ops::RangeInclusive<i32> = -25_567..=120_529;

/// Returns the Arrow type of a column of such values.
pub(super) fn arrow_type(scalar: Scalar) -> DataType {
    scalar.kind().arrow()
}

/// Reads a value that was cut out of a body, and so is JSON.
pub(super) fn read(raw: &[u8]) -> Value<'_> {
    match raw.first() {
        Some(b'"') => Value::Text(inner(raw)),
        Some(b'-' | b'0'..=b'9') => Value::Number(raw),
        _ => Scanner::new(raw).value().unwrap_or(Value::Null),
    }
}

fn inner(quoted: &[u8]) -> Text<'_> {
    let raw = &quoted[1..quoted.len() - 1];
    Text { raw, is_escaped: raw.contains(&b'\\') }
}

/// Takes a text letter by letter, and any other value as it is written.
pub(super) fn text(raw: &[u8]) -> Fits<Cow<'_, str>> {
    const WANTED: &str = "valid text";
    let bytes = if raw.first() == Some(&b'"') { inner(raw).bytes() } else { Some(raw.into()) };
    utf8(bytes, WANTED)
}

/// Takes any value as it is written.
pub(super) fn json(raw: &[u8]) -> Fits<Cow<'_, str>> {
    utf8(Some(raw.into()), "JSON in UTF-8")
}

fn utf8<'a>(bytes: Option<Cow<'a, [u8]>>, wanted: &'static str) -> Fits<Cow<'a, str>> {
    let invalid = (Reason::InvalidUtf8, wanted);
    match bytes.ok_or(invalid)? {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| invalid),
        Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).map_err(|_| invalid),
    }
}

fn quoted<'a>(value: &Value<'a>, wanted: &'static str) -> Fits<Cow<'a, str>> {
    let Value::Text(text) = value else { return Err((Reason::InvalidType, wanted)) };
    utf8(text.bytes(), wanted)
}

pub(super) fn integer(value: Value<'_>) -> Fits<i64> {
    let Value::Number(digits) = value else { return Err((Reason::InvalidType, "an integer")) };
    let whole = number::integer(digits).map_err(|_| (Reason::InvalidType, "an integer"))?;
    i64::try_from(whole).map_err(|_| (Reason::OutOfRange, "an integer of 64 bits"))
}

/// Reads a number, or its digits as text: JavaScript has no other way to say those above 2^53.
pub(super) fn unsigned(value: Value<'_>) -> Fits<u64> {
    const WANTED: &str = "a uint64";
    let digits = match value {
        Value::Number(digits) => digits,
        Value::Text(Text { raw, .. }) if !raw.is_empty() && raw.iter().all(u8::is_ascii_digit) => raw,
        _ => return Err((Reason::InvalidType, WANTED)),
    };
    let whole = number::integer(digits).map_err(|_| (Reason::InvalidType, WANTED))?;
    u64::try_from(whole).map_err(|_| (Reason::OutOfRange, WANTED))
}

/// Reads a number; a whole one that no double is exactly is refused, not rounded.
pub(super) fn double(value: Value<'_>) -> Fits<f64> {
    match value {
        Value::Number(digits) => {
            let number = number::double(digits).map_err(|_| (Reason::OutOfRange, "a double"))?;
            let is_lossy = is_whole(digits) && !is_exact(number, digits);
            if is_lossy { Err((Reason::OutOfRange, "a double that is this integer exactly")) } else { Ok(number) }
        }
        Value::Text(Text { raw: b"NaN", .. }) => Ok(f64::NAN),
        Value::Text(Text { raw: b"Infinity", .. }) => Ok(f64::INFINITY),
        Value::Text(Text { raw: b"-Infinity", .. }) => Ok(f64::NEG_INFINITY),
        _ => Err((Reason::InvalidType, "a number")),
    }
}

/// Says whether a number is written as an integer.
pub(super) fn is_whole(digits: &[u8]) -> bool {
    digits.iter().all(|b| b.is_ascii_digit() || *b == b'-')
}

/// Says whether a double is the integer that these digits are.
pub(super) fn is_exact(number: f64, digits: &[u8]) -> bool {
    // Fifteen digits always fit.
    digits.len() <= 15 || number == 0.0 || format!("{number:.0}").as_bytes() == digits
}

pub(super) fn boolean(value: Value<'_>) -> Fits<bool> {
    if let Value::Bool(value) = value { Ok(value) } else { Err((Reason::InvalidType, "a boolean")) }
}

/// Reads a date with or without a time, or the milliseconds since 1970 that JavaScript has.
pub(super) fn moment(value: Value<'_>) -> Fits<i64> {
    const WANTED: &str = "a timestamp (ISO 8601, or milliseconds since 1970)";
    match value {
        Value::Text(_) => {
            let text = quoted(&value, WANTED)?;
            string_to_timestamp_nanos(&text).map_err(|_| (Reason::InvalidTimestamp, WANTED))
        }
        Value::Number(digits) => {
            let millis = number::integer(digits).map_err(|_| (Reason::InvalidTimestamp, WANTED))?;
            i64::try_from(millis * 1_000_000).map_err(|_| (Reason::InvalidTimestamp, WANTED))
        }
        _ => Err((Reason::InvalidType, WANTED)),
    }
}

/// Reads `2026-11-21`.
pub(super) fn date(value: Value<'_>) -> Fits<i32> {
    const WANTED: &str = "a date (YYYY-MM-DD, from 1900 to 2299)";
    let text = quoted(&value, WANTED)?;
    let is_plain = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    let days = is_plain.then(|| arrow_array::types::Date32Type::parse(&text)).flatten();
    let days = days.ok_or((Reason::InvalidTimestamp, WANTED))?;
    if is_day(days) { Ok(days) } else { Err((Reason::OutOfRange, WANTED)) }
}

/// Says whether a day has a place in ClickHouse.
pub(super) fn is_day(days: i32) -> bool {
    DAYS.contains(&days)
}

/// Reads a UUID with its hyphens, and writes it in lower case.
pub(super) fn uuid(value: Value<'_>) -> Fits<String> {
    const WANTED: &str = "a UUID (8-4-4-4-12 hex digits)";
    let text = quoted(&value, WANTED)?;
    let lower = text.to_ascii_lowercase();
    if is_usual_uuid(&lower) { Ok(lower) } else { Err((Reason::InvalidId, WANTED)) }
}

/// Says whether a text is a UUID as ClickHouse writes it.
pub(super) fn is_usual_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => b == b'-',
            _ => matches!(b, b'0'..=b'9' | b'a'..=b'f'),
        })
}

/// Reads a number, or the same as text, without a detour over doubles; digits that have no place are refused.
pub(super) fn decimal(value: Value<'_>, (precision, scale): (u8, u8)) -> Fits<i128> {
    const WANTED: &str = "a decimal that has all its digits in the column's";
    let digits = match value {
        Value::Number(digits) => digits,
        Value::Text(Text { raw, is_escaped: false }) => raw,
        _ => return Err((Reason::InvalidType, WANTED)),
    };
    if number::number_bytes(digits) != Ok(digits.len()) || digits.is_empty() {
        return Err((Reason::InvalidType, WANTED));
    }
    scaled(digits, precision, scale).ok_or((Reason::OutOfRange, WANTED))
}

/// Moves the point of a number by `scale` digits; `None` where a digit would be lost, or there are too many.
fn scaled(digits: &[u8], precision: u8, scale: u8) -> Option<i128> {
    let text = std::str::from_utf8(digits).ok()?;
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let magnitude = mantissa.strip_prefix('-').unwrap_or(mantissa);
    let (whole, fraction) = magnitude.split_once('.').unwrap_or((magnitude, ""));
    let all = format!("{whole}{fraction}");
    let significant = all.trim_start_matches('0').trim_end_matches('0');
    if significant.is_empty() {
        return Some(0);
    }
    let trailing = i64::try_from(all.len() - all.trim_end_matches('0').len()).ok()?;
    let point = i64::try_from(fraction.len()).ok()?;
    let zeros = exponent.parse::<i64>().ok()?.checked_add(i64::from(scale))? - point + trailing;
    let zeros = u32::try_from(zeros).ok()?;
    let length = u32::try_from(significant.len()).ok()?.checked_add(zeros)?;
    if length > u32::from(precision) {
        return None;
    }
    let value = significant.parse::<i128>().ok()? * 10_i128.pow(zeros);
    Some(if mantissa.starts_with('-') { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_keeps_every_digit_or_is_refused() {
        let check = |text: &str, expected: Option<i128>| {
            assert_eq!(decimal(Value::Number(text.as_bytes()), (6, 2)).ok(), expected, "{text}");
        };
        for (text, expected) in [("12.5", 1250), ("-0.01", -1), ("1e3", 100_000), ("9999.99", 999_999), ("0e9", 0)] {
            check(text, Some(expected));
        }
        for lossy in ["0.001", "10000", "1e-3", "1e99", "99999.9"] {
            check(lossy, None);
        }
        check("1.500", Some(150));
        let widest = "9".repeat(38);
        assert!(decimal(Value::Number(widest.as_bytes()), (38, 0)).is_ok());
        assert!(decimal(Value::Number(format!("{widest}9").as_bytes()), (38, 0)).is_err());
    }

    #[test]
    fn a_whole_number_that_no_double_is_exactly_is_refused() {
        for exact in ["9007199254740992", "-9007199254740994", "18446744073709551616", "0", "-0", "1e300"] {
            assert!(double(Value::Number(exact.as_bytes())).is_ok(), "{exact}");
        }
        for lossy in ["9007199254740993", "-9223372036854775807", "123456789012345678901"] {
            assert!(double(Value::Number(lossy.as_bytes())).is_err(), "{lossy}");
        }
    }
}
