use tidegate_model::{UnixNanos, day_of_civil};

use crate::error::shown;
use crate::{Invalid, Json};

const HELP: &str = "a time is ISO 8601 (without a zone it is UTC), or seconds, milliseconds, microseconds or nanoseconds \
    since 1970 with 10, 13, 16 or 19 digits, from 1677 to 2262";

/// Reads a time as clients send it, as a text or as a number.
pub fn read_moment(value: &Json, place: &str) -> Result<UnixNanos, Invalid> {
    let text = match value {
        Json::Text(text) => text.as_str(),
        Json::Number(number) => number.as_str(),
        other => return Err(Invalid::at(place, format!("{} is no time", other.kind()), HELP)),
    };
    moment(text).ok_or_else(|| Invalid::at(place, format!("`{}` is no time", shown(text)), HELP))
}

/// Reads a time: ISO 8601 with or without a zone, or a Unix time whose number of digits tells its unit.
#[must_use]
pub fn moment(text: &str) -> Option<UnixNanos> {
    let is_epoch = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') && !text.is_empty();
    let nanos = if is_epoch { epoch(text)? } else { iso(text)? };
    Some(UnixNanos(nanos))
}

fn epoch(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let unit_digits: usize = match whole.len() {
        10 => 9,
        13 => 6,
        16 => 3,
        19 => 0,
        _ => return None,
    };
    let number: i64 = whole.parse().ok()?;
    number.checked_mul(10_i64.pow(u32::try_from(unit_digits).ok()?))?.checked_add(decimals(fraction, unit_digits)?)
}

/// Reads the digits behind a point as a number of so many; further ones must be zeros, or are beyond a nanosecond.
fn decimals(text: &str, digits: usize) -> Option<i64> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let kept = &text[..text.len().min(digits)];
    format!("0{kept:0<digits$}").parse().ok()
}

fn iso(text: &str) -> Option<i64> {
    let text = text.trim();
    let (date, rest) = text.split_at_checked(10)?;
    let (year, month, day) = (number(date, 0, 4)?, number(date, 5, 2)?, number(date, 8, 2)?);
    let is_date = date.as_bytes()[4] == b'-' && date.as_bytes()[7] == b'-';
    if !is_date || !(1..=12).contains(&month) || !(1..=days_of(year, month)).contains(&day) {
        return None;
    }
    let midnight = day_of_civil(year, month, day).checked_mul(86_400)?;
    if rest.is_empty() {
        return midnight.checked_mul(1_000_000_000);
    }
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (clock, zone) = rest.split_at(rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len()));
    let (seconds, nanos) = time_of_day(clock)?;
    let seconds = midnight.checked_add(seconds)?.checked_sub(offset(zone)?)?;
    // Before 1970 the whole seconds alone may lie beyond the range that they have with their fraction.
    i64::try_from(i128::from(seconds) * 1_000_000_000 + i128::from(nanos)).ok()
}

fn number(text: &str, from: usize, digits: usize) -> Option<i64> {
    let part = text.get(from..from + digits)?;
    part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok())?
}

fn days_of(year: i64, month: i64) -> i64 {
    let next = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    day_of_civil(next.0, next.1, 1) - day_of_civil(year, month, 1)
}

/// Returns seconds since midnight, and nanoseconds.
fn time_of_day(clock: &str) -> Option<(i64, i64)> {
    let (whole, fraction) = clock.split_once(['.', ',']).unwrap_or((clock, ""));
    let (hour, minute) = (number(whole, 0, 2)?, number(whole, 3, 2)?);
    let second = match whole.len() {
        5 if fraction.is_empty() => 0,
        8 if whole.as_bytes()[5] == b':' => number(whole, 6, 2)?,
        _ => return None,
    };
    let is_time = whole.as_bytes()[2] == b':' && hour < 24 && minute < 60 && second < 60;
    is_time.then_some(())?;
    Some((hour * 3_600 + minute * 60 + second, decimals(fraction, 9)?))
}

/// Returns the seconds that a zone is ahead of UTC.
fn offset(zone: &str) -> Option<i64> {
    if matches!(zone, "" | "Z" | "z") {
        return Some(0);
    }
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let digits = zone[1..].replace(':', "");
    let hours = number(&digits, 0, 2)?;
    let minutes = match digits.len() {
        2 => 0,
        4 => number(&digits, 2, 2)?,
        _ => return None,
    };
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3_600 + minutes * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_utc_in_every_form() {
        let check = |text: &str, wanted: &str| {
            assert_eq!(moment(text).map(|time| time.to_string()), Some(wanted.to_owned()), "{text}");
        };
        check("2026-01-31T09:00:00.5Z", "2026-01-31T09:00:00.5Z");
        check("2026-01-31T09:00:00.123456789", "2026-01-31T09:00:00.123456789Z");
        check("2026-01-31 09:00:00+02:00", "2026-01-31T07:00:00Z");
        check("2026-01-31T09:00-0530", "2026-01-31T14:30:00Z");
        check("2026-01-31", "2026-01-31T00:00:00Z");
        check("1769850000", "2026-01-31T09:00:00Z");
        check("1769850000.25", "2026-01-31T09:00:00.25Z");
        check("1769850000500", "2026-01-31T09:00:00.5Z");
        check("1769850000500001", "2026-01-31T09:00:00.500001Z");
        check("1769850000500000001", "2026-01-31T09:00:00.500000001Z");
        check("1677-09-21T00:12:43.145224192Z", "1677-09-21T00:12:43.145224192Z");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "soon",
            "17698500",
            "176985000",
            "17698500000",
            "2026-02-29",
            "2026-13-01",
            "2026-01-31T24:00:00Z",
            "2026-01-31T09:61Z",
            "2026-01-31T09:00:00+25:00",
            "2026-01-31T",
            "2300-01-01",
            "9999999999999999999",
            "é026-01-31",
            "2026-01-31T09:00:00.5.5Z",
            "1769850000.2.5",
        ] {
            assert_eq!(moment(text), None, "{text}");
        }
        assert!(read_moment(&Json::Bool(true), "oldest").is_err());
    }
}
