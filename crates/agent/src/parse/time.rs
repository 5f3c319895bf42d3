use serde::{Deserialize, Serialize};
use tidegate_model::{UnixNanos, day_of_civil};

const NANOS: i64 = 1_000_000_000;
const DAY_SECONDS: i64 = 86_400;
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A zone as its distance from UTC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UtcOffset {
    seconds: i64,
}

impl TryFrom<String> for UtcOffset {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let whole = |rest: &str| rest.is_empty();
        match zone(&text) {
            Some((seconds, rest)) if whole(rest) => Ok(Self { seconds }),
            _ => Err(format!("`{text}` is not a distance from UTC: write it like \"+02:00\", \"-0530\" or \"Z\"")),
        }
    }
}

impl From<UtcOffset> for String {
    fn from(offset: UtcOffset) -> Self {
        let sign = if offset.seconds < 0 { '-' } else { '+' };
        let minutes = offset.seconds.abs() / 60;
        format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

/// Reads a time: ISO 8601 and its relatives, seconds to nanoseconds since 1970, or syslog's `Jan  2 15:04:05`.
pub(super) fn read(text: &str, default: UtcOffset, now: UnixNanos) -> Option<UnixNanos> {
    let text = text.trim().trim_start_matches('[').trim_end_matches(']');
    epoch(text)
        .or_else(|| dated(text, default).filter(|(_, rest)| rest.is_empty()).map(|(time, _)| time))
        .or_else(|| without_year(text, default, now).filter(|(_, rest)| rest.is_empty()).map(|(time, _)| time))
        .or_else(|| of_web_servers(text, default))
}

/// Reads `10/Oct/2000:13:55:36 -0700`, as access logs have it.
fn of_web_servers(text: &str, default: UtcOffset) -> Option<UnixNanos> {
    let (day, rest) = number(text, 2)?;
    let (name, rest) = rest.strip_prefix('/')?.split_at_checked(3)?;
    let (year, rest) = number(rest.strip_prefix('/')?, 4)?;
    let (nanos, rest) = clock(rest.strip_prefix(':')?)?;
    let (offset, rest) = zone(rest).unwrap_or((default.seconds, rest));
    if !rest.is_empty() {
        return None;
    }
    at(year, month_named(name)?, day, nanos, offset)
}

fn month_named(name: &str) -> Option<i64> {
    Some(i64::try_from(MONTHS.iter().position(|month| *month == name)?).ok()? + 1)
}

/// Reads a number of seconds, milli-, micro- or nanoseconds since 1970, told apart by its size.
pub(super) fn epoch(text: &str) -> Option<UnixNanos> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let scale: i64 = match whole.len() {
        9..=10 => NANOS,
        12..=13 => 1_000_000,
        15..=16 => 1_000,
        18..=19 => 1,
        _ => return None,
    };
    let fraction: i64 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    let nanos = whole.parse::<i64>().ok()?.checked_mul(scale)?;
    Some(UnixNanos(nanos.checked_add(fraction / (NANOS / scale))?))
}

/// Reads `2026-01-31T09:00:00.5+02:00`, with `T` or a blank, point or comma; returns what follows.
pub(super) fn dated(text: &str, default: UtcOffset) -> Option<(UnixNanos, &str)> {
    let (year, rest) = number(text, 4)?;
    let rest = rest.strip_prefix(['-', '/'])?;
    let (month, rest) = number(rest, 2)?;
    let rest = rest.strip_prefix(['-', '/'])?;
    let (day, rest) = number(rest, 2)?;
    let (nanos, rest) = clock(rest.strip_prefix(['T', 't', ' '])?)?;
    let (offset, rest) = zone(rest).unwrap_or((default.seconds, rest));
    Some((at(year, month, day, nanos, offset)?, rest))
}

/// Reads `Jan  2 15:04:05`: of the years that fit, the last that is not more than a day ahead of now.
pub(super) fn without_year(text: &str, default: UtcOffset, now: UnixNanos) -> Option<(UnixNanos, &str)> {
    let month = month_named(text.get(..3)?)?;
    let rest = text.get(3..)?.strip_prefix(' ')?.trim_start();
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (day, rest) = number(rest, digits.clamp(1, 2))?;
    let (nanos, rest) = clock(rest.strip_prefix(' ')?)?;
    let latest = UnixNanos(now.0.saturating_add(DAY_SECONDS * NANOS));
    let this_year = tidegate_model::civil(latest.day()).0;
    let times = (this_year - 8..=this_year).rev().filter_map(|year| at(year, month, day, nanos, default.seconds));
    times.into_iter().find(|time| *time <= latest).map(|time| (time, rest))
}

/// Reads `15:04:05.123`; returns nanoseconds of the day.
fn clock(text: &str) -> Option<(i64, &str)> {
    let (hour, rest) = number(text, 2)?;
    let (minute, rest) = number(rest.strip_prefix(':')?, 2)?;
    let (second, mut rest) = number(rest.strip_prefix(':')?, 2)?;
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut nanos = (hour * 3_600 + minute * 60 + second) * NANOS;
    if let Some(fraction) = rest.strip_prefix(['.', ',']) {
        let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
        nanos += format!("{:0<9}", &fraction[..digits]).get(..9)?.parse::<i64>().ok()?;
        rest = &fraction[digits..];
    }
    Some((nanos, rest))
}

/// Reads `Z`, `+02:00`, `+0200`, `-05`, also behind a blank; returns seconds.
fn zone(text: &str) -> Option<(i64, &str)> {
    let trimmed = text.strip_prefix(' ').unwrap_or(text);
    if let Some(rest) = trimmed.strip_prefix(['Z', 'z']) {
        return Some((0, rest));
    }
    let sign = match trimmed.bytes().next()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, rest) = number(&trimmed[1..], 2)?;
    let minutes = rest.strip_prefix(':').unwrap_or(rest);
    let (minutes, rest) = number(minutes, 2).unwrap_or((0, rest));
    (hours < 15 && minutes < 60).then_some((sign * (hours * 3_600 + minutes * 60), rest))
}

fn at(year: i64, month: i64, day: i64, nanos_of_day: i64, offset_seconds: i64) -> Option<UnixNanos> {
    let is_date = (1..=12).contains(&month)
        && day >= 1
        && tidegate_model::civil(day_of_civil(year, month, day)) == (year, month, day);
    is_date.then_some(())?;
    let seconds = day_of_civil(year, month, day) * DAY_SECONDS - offset_seconds;
    Some(UnixNanos(seconds.checked_mul(NANOS)?.checked_add(nanos_of_day)?))
}

/// Reads exactly so many digits.
fn number(text: &str, digits: usize) -> Option<(i64, &str)> {
    let (number, rest) = text.split_at_checked(digits)?;
    number.bytes().all(|byte| byte.is_ascii_digit()).then_some(())?;
    Some((number.parse().ok()?, rest))
}
