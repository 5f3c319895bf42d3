use crate::UnixNanos;
use crate::time::{civil, day_of_civil};

/// A partition: the value of a row's `_partition` column, in days since 1970-01-01 UTC.
///
/// It fits ClickHouse's `Date` (0 to 65,535).
pub type PartitionDay = u16;

/// The one partition of all rows whose time is absurd: the day 1970-01-01.
pub const PARTITION_ODD: PartitionDay = 0;

const DAYS_KEPT_APART_PAST: i64 = 7;
const DAYS_KEPT_APART_FUTURE: i64 = 1;
const DAYS_KEPT_BY_MONTH_PAST: i64 = 3_653;

/// Returns the partition of a row by its own time and the time it was received.
///
/// - within 7 days before and 1 day after its receipt: its UTC day;
/// - older, up to ten years: the first day of its UTC month;
/// - anything else (the far past, the future): [`PARTITION_ODD`].
///
/// Producers choose timestamps, so a partition by the bare day would let one request of scattered
/// times open thousands of parts ("Too many partitions for single INSERT block", part storms).
/// Like this one request opens at most 9 daily partitions, 121 monthly ones and the odd one.
#[must_use]
pub fn partition_day(timestamp: UnixNanos, received: UnixNanos) -> PartitionDay {
    let (day, today) = (timestamp.day(), received.day());
    let age_days = today - day;
    let partition = if (-DAYS_KEPT_APART_FUTURE..=DAYS_KEPT_APART_PAST).contains(&age_days) {
        day
    } else if (0..=DAYS_KEPT_BY_MONTH_PAST).contains(&age_days) {
        first_day_of_month(day)
    } else {
        i64::from(PARTITION_ODD)
    };
    PartitionDay::try_from(partition).unwrap_or(PARTITION_ODD)
}

fn first_day_of_month(day: i64) -> i64 {
    let (_, _, day_of_month) = civil(day);
    day - (day_of_month - 1)
}

/// Writes a partition as the date of the day with which it begins, `2026-01-31`.
#[must_use]
pub fn partition_date(partition: PartitionDay) -> String {
    let (year, month, day) = civil(i64::from(partition));
    format!("{year:04}-{month:02}-{day:02}")
}

/// Reads a partition from the date of its first day; `None`: it is no date, or none of a partition.
#[must_use]
pub fn partition_of_date(date: &str) -> Option<PartitionDay> {
    let mut parts = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let is_near = (1970..=2199).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    let partition = is_near.then(|| PartitionDay::try_from(day_of_civil(year, month, day)).ok())??;
    (partition_date(partition) == date).then_some(partition)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000_000_000;
    /// 2026-11-21T05:00:00Z.
    const NOW: UnixNanos = UnixNanos(20_778 * DAY + 5 * 3_600_000_000_000);

    fn check(timestamp: i64, partition: PartitionDay) {
        assert_eq!(partition_day(UnixNanos(timestamp), NOW), partition);
    }

    #[test]
    fn a_partition_is_written_and_read_as_a_date() {
        for (partition, date) in [(0, "1970-01-01"), (20_777, "2026-11-20"), (PartitionDay::MAX, "2149-06-06")] {
            assert_eq!((partition_date(partition).as_str(), partition_of_date(date)), (date, Some(partition)));
        }
        for wrong in ["", "2026", "2026-02-30", "2026-1-1", "1969-12-31", "2149-06-07", "x-y-z", "2026-01-01T00"] {
            assert_eq!(partition_of_date(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn recent_rows_go_by_day_and_old_ones_by_month() {
        check(NOW.0, 20_778);
        check(20_778 * DAY, 20_778);
        check(20_778 * DAY - 1, 20_777);
        check(20_779 * DAY, 20_779);
        check(20_771 * DAY, 20_771);
        check(20_770 * DAY, 20_758); // 2026-11-13 goes with 2026-11-01
        check(20_757 * DAY, 20_727); // 2026-10-31 goes with 2026-10-01
    }

    #[test]
    fn absurd_times_share_one_partition() {
        for timestamp in [0, 1, -1, i64::MIN, i64::MAX, 20_780 * DAY, 17_000 * DAY] {
            check(timestamp, PARTITION_ODD);
        }
    }

    #[test]
    fn no_receipt_time_opens_more_than_a_few_partitions() {
        let mut partitions: Vec<_> =
            (-20_000_i64..20_000).map(|day| partition_day(UnixNanos((20_778 + day) * DAY), NOW)).collect();
        partitions.sort_unstable();
        partitions.dedup();
        assert_eq!(partitions.len(), 9 + 121 + 1);
    }
}
