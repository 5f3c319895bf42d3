use crate::plan::VectorFunction;

/// A moment in the Gregorian calendar, in UTC.
pub(super) struct Date {
    year: i64,
    /// From 1.
    month: i64,
    /// From 1.
    day: i64,
    days: i64,
    second_of_day: i64,
}

const DAY_SECONDS: i64 = 86_400;

impl Date {
    /// Returns the date of a moment in seconds since 1970; `None` where that is no number of a year.
    pub(super) fn of(seconds: f64) -> Option<Self> {
        if !seconds.is_finite() || seconds.abs() > 1e15 {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, reason = "checked just above")]
        let seconds = seconds as i64;
        let days = seconds.div_euclid(DAY_SECONDS);
        let (year, month, day) = civil(days);
        Some(Self { year, month, day, days, second_of_day: seconds.rem_euclid(DAY_SECONDS) })
    }

    #[expect(clippy::cast_precision_loss, reason = "parts of a date are small")]
    pub(super) fn part(&self, function: VectorFunction) -> f64 {
        let part = match function {
            VectorFunction::Minute => self.second_of_day / 60 % 60,
            VectorFunction::Hour => self.second_of_day / 3_600,
            VectorFunction::DayOfMonth => self.day,
            // 1970 began on a Thursday.
            VectorFunction::DayOfWeek => (self.days + 4).rem_euclid(7),
            VectorFunction::DayOfYear => self.days - first_day(self.year, 1) + 1,
            VectorFunction::DaysInMonth if self.month == 12 => 31,
            VectorFunction::DaysInMonth => first_day(self.year, self.month + 1) - first_day(self.year, self.month),
            VectorFunction::Month => self.month,
            _ => self.year,
        };
        part as f64
    }
}

/// Turns days since 1970 into year, month and day. Years begin in March, so that the leap day is their last.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Returns the days from 1970 to the first of a month.
fn first_day(year: i64, month: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}
