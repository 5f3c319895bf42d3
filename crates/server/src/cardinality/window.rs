//! Hours of the catalogue, and times as clients write them.

use tidegate_core::rollup::totals::Hours;
use tidegate_model::{UnixNanos, day_of_civil};

use crate::errors::Failure;

const SECONDS_PER_HOUR: i64 = 3_600;
const SECONDS_PER_DAY: i64 = 24 * SECONDS_PER_HOUR;
const NANOS: i64 = 1_000_000_000;

/// The hours that an answer is about; `None` has no border.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Window {
    /// Unix seconds: the hour that it is in is the first.
    pub(super) from: Option<i64>,
    /// Unix seconds: no hour begins at it or behind it.
    pub(super) to: Option<i64>,
}

impl Window {
    /// Reads `from` and `to`.
    pub(super) fn parse(from: Option<&str>, to: Option<&str>) -> Result<Self, Failure> {
        let read = |name, text: Option<&str>| text.map(|text| read_time(name, text)).transpose();
        let (from, to) = (read("from", from)?, read("to", to)?);
        let from = from.map(|seconds| seconds - seconds.rem_euclid(SECONDS_PER_HOUR));
        if let (Some(from), Some(to)) = (from, to)
            && from >= to
        {
            return Err(Failure::invalid("`from` is not before `to`: exchange them"));
        }
        Ok(Self { from, to })
    }

    /// Says of what came between some hours whether all of it is in the window; `None`: only a part may be.
    pub(super) fn holds(self, Hours { first, last }: Hours) -> Option<bool> {
        let begins = |hour: u32| i64::from(hour) * SECONDS_PER_HOUR;
        let [is_late, ends_late] = [first, last].map(|hour| self.from.is_none_or(|from| begins(hour) >= from));
        let [begins_early, is_early] = [first, last].map(|hour| self.to.is_none_or(|to| begins(hour) < to));
        match (is_late && is_early, ends_late && begins_early) {
            (true, _) => Some(true),
            (false, true) => None,
            (false, false) => Some(false),
        }
    }

    /// Returns the SQL condition on a column of hours, with AND before it; numbers only, so nothing to bind.
    pub(super) fn condition(self) -> String {
        let mut sql = String::new();
        if let Some(from) = self.from {
            sql += &format!(" AND hour >= fromUnixTimestamp64Second({from}, 'UTC')");
        }
        if let Some(to) = self.to {
            sql += &format!(" AND hour < fromUnixTimestamp64Second({to}, 'UTC')");
        }
        sql
    }
}

fn read_time(name: &str, text: &str) -> Result<i64, Failure> {
    unix_seconds(text).ok_or_else(|| {
        Failure::invalid(format!(
            "`{name}` is a time such as 2026-01-31T09:00:00Z or a Unix time in seconds, it is `{text}`"
        ))
    })
}

/// Reads Unix seconds (or milliseconds, nanoseconds, told by their length) or `2026-01-31T09:00:00[.5]Z`.
pub(crate) fn unix_seconds(text: &str) -> Option<i64> {
    if text.len() <= 19 && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let number: i64 = text.parse().ok()?;
        return Some(match text.len() {
            0..=11 => number,
            12..=14 => number / 1_000,
            15..=17 => number / 1_000_000,
            _ => number / NANOS,
        });
    }
    let text = text.strip_suffix('Z').or(text.strip_suffix("+00:00")).unwrap_or(text);
    let (date, time) = text.split_once(['T', ' ']).unwrap_or((text, "00:00"));
    let [year, month, day] = numbers(date, '-')?;
    let time = time.split('.').next()?;
    let time = if time.len() == 5 { format!("{time}:00") } else { time.to_owned() };
    let [hour, minute, second] = numbers(&time, ':')?;
    let is_sane = (1900..=2299).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    let is_sane = is_sane && hour < 24 && minute < 60 && second < 61;
    is_sane.then(|| day_of_civil(year, month, day) * SECONDS_PER_DAY + hour * SECONDS_PER_HOUR + minute * 60 + second)
}

fn numbers(text: &str, between: char) -> Option<[i64; 3]> {
    let is_number = |part: &&str| !part.is_empty() && part.len() <= 4 && part.bytes().all(|b| b.is_ascii_digit());
    let parts: Vec<i64> = text.split(between).filter(is_number).filter_map(|part| part.parse().ok()).collect();
    let is_whole = text.split(between).count() == 3;
    parts.try_into().ok().filter(|_| is_whole)
}

/// Writes a time as RFC 3339 in UTC.
pub(crate) fn rfc3339(unix_nanos: i64) -> String {
    UnixNanos(unix_nanos).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_holds_what_came_in_its_hours_alone() {
        let hour = |hour: i64| Some(hour * SECONDS_PER_HOUR);
        let between = Window { from: hour(10), to: hour(12) };
        // Hour by hour: all of them in the window, none, or some.
        for first in 8..14 {
            for last in first..14 {
                let is_inside = |hour: u32| (10..12).contains(&hour);
                let expected = match ((first..=last).all(is_inside), (first..=last).any(is_inside)) {
                    (true, _) => Some(true),
                    (false, true) => None,
                    (false, false) => Some(false),
                };
                assert_eq!(between.holds(Hours { first, last }), expected, "{first} to {last}");
            }
        }
        assert_eq!(Window::default().holds(Hours { first: 0, last: 9 }), Some(true));
        assert_eq!(
            Window { from: None, to: Some(12 * SECONDS_PER_HOUR - 1) }.holds(Hours { first: 3, last: 11 }),
            Some(true)
        );
    }

    #[test]
    fn times_are_read_in_every_usual_form_and_written_in_one() {
        let nine = Some(1_767_258_000);
        for text in ["2026-01-01T09:00:00Z", "2026-01-01 09:00", "1767258000", "1767258000000", "1767258000000000000"] {
            assert_eq!(unix_seconds(text), nine, "{text}");
        }
        assert_eq!(rfc3339(1_767_258_000 * NANOS), "2026-01-01T09:00:00Z");
        assert_eq!(rfc3339(1_500_000_000), "1970-01-01T00:00:01.5Z");
        assert_eq!(rfc3339(-1), "1969-12-31T23:59:59.999999999Z");
        for text in ["", "x", "2026-13-01", "2026-01-01T25:00", "99999999999999999999", "2026-01", "-1-1-1", "é"] {
            assert_eq!(unix_seconds(text), None, "{text}");
        }
    }
}
