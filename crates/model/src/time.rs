use std::fmt;

use serde::{Deserialize, Serialize};

/// Nanoseconds since 1970-01-01 UTC; the range is ClickHouse's `DateTime64(9)`: up to 2262.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct UnixNanos(pub i64);

impl UnixNanos {
    const PER_DAY: i64 = 86_400_000_000_000;

    /// Returns the UTC day, counted from 1970-01-01.
    #[must_use]
    pub const fn day(self) -> i64 {
        self.0.div_euclid(Self::PER_DAY)
    }
}

impl fmt::Display for UnixNanos {
    /// Writes `2026-01-31T09:00:00.5Z`: the fraction as short as it is exact.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanos) = (self.0.div_euclid(1_000_000_000), self.0.rem_euclid(1_000_000_000));
        let (year, month, day) = civil(self.day());
        let second = seconds.rem_euclid(86_400);
        // Answers have a time in every row: its digits are put into their places, without a format for each.
        let mut text = *b"0000-00-00T00:00:00.000000000";
        let places = [(0..4, year), (5..7, month), (8..10, day), (11..13, second / 3_600)];
        let rest = [(14..16, second / 60 % 60), (17..19, second % 60), (20..29, nanos)];
        for (place, number) in places.into_iter().chain(rest) {
            put_digits(&mut text[place], number);
        }
        let text = std::str::from_utf8(&text).map_err(|_| fmt::Error)?;
        f.write_str(if nanos > 0 { text.trim_end_matches('0') } else { &text[..19] })?;
        f.write_str("Z")
    }
}

/// Writes a number that is not negative into a place of so many digits, with zeros before it.
pub fn put_digits(place: &mut [u8], mut number: i64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
    }
}

/// Returns year, month and day of a day counted from 1970-01-01, in the calendar of today carried back.
///
/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms": years begin in March, so that leap days end them.
#[must_use]
pub const fn civil(day: i64) -> (i64, i64, i64) {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day_of_year - (153 * march_month + 2) / 5 + 1)
}

/// Returns the day, counted from 1970-01-01, of a date.
#[must_use]
pub const fn day_of_civil(year: i64, month: i64, day: i64) -> i64 {
    let march_year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (march_year.div_euclid(400), march_year.rem_euclid(400));
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_iso_8601_has_it() {
        let check = |nanos: i64, text: &str| assert_eq!(UnixNanos(nanos).to_string(), text);
        check(0, "1970-01-01T00:00:00Z");
        check(-1, "1969-12-31T23:59:59.999999999Z");
        check(951_782_400_000_000_000, "2000-02-29T00:00:00Z");
        check(1_769_850_000_500_000_000, "2026-01-31T09:00:00.5Z");
        check(i64::MAX, "2262-04-11T23:47:16.854775807Z");
        check(i64::MIN, "1677-09-21T00:12:43.145224192Z");
    }

    #[test]
    fn days_and_dates_are_each_others_inverse() {
        for day in (-110_000..110_000).step_by(7) {
            let (year, month, date) = civil(day);
            assert_eq!(day_of_civil(year, month, date), day);
        }
    }
}
