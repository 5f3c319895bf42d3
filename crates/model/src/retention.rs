use serde::{Deserialize, Serialize};

use crate::{PartitionDay, UnixNanos};

const NANOS_OF_SECOND: i64 = 1_000_000_000;
const NANOS_OF_DAY: i64 = 86_400 * NANOS_OF_SECOND;

/// What is kept of a table, and where; times are seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// A row may go when its time is so long ago, and never before.
    pub max_age: Option<u64>,
    /// The oldest partitions go while the table takes more bytes than this in ClickHouse.
    pub max_bytes: Option<u64>,
    /// A row whose age is past `max_age` goes with its partition, at latest when it is past by so much more.
    pub grace: u64,
    /// A partition goes to the cold volume when its last row is so old.
    pub cold_after: Option<u64>,
}

/// A partition as ClickHouse and the catalog know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionState {
    /// The partition.
    pub partition: PartitionDay,
    /// Its rows.
    pub rows: u64,
    /// Bytes that it takes on disk.
    pub bytes: u64,
    /// The earliest and the latest time of a row.
    pub times: (UnixNanos, UnixNanos),
    /// Whether all of it is in the cold volume.
    pub is_cold: bool,
}

/// What is to be done with a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upkeep {
    /// It goes, for its age.
    DropOld,
    /// It goes, for the table's size.
    DropLarge,
    /// Its rows from before a time go.
    Trim(UnixNanos),
    /// It goes to the cold volume.
    Cool,
}

impl Retention {
    /// Returns the time before which rows may go; `None`: none goes for its age.
    #[must_use]
    pub fn cutoff(&self, now: UnixNanos) -> Option<UnixNanos> {
        self.max_age.map(|age| before(now, age))
    }

    /// Returns the time before which no row is left behind by a run.
    #[must_use]
    pub fn latest(&self, now: UnixNanos) -> Option<UnixNanos> {
        self.cutoff(now).map(|cutoff| before(cutoff, self.grace))
    }

    /// Says whether nothing is asked for.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.max_age.is_none() && self.max_bytes.is_none() && self.cold_after.is_none()
    }

    /// Says what is to be done with the partitions of a table, each at most one thing.
    ///
    /// A partition is dropped when its last row is past `max_age`; one whose first row is past the grace as well is
    /// trimmed row by row. Of a table that is too large the oldest partitions go, but never the newest.
    #[must_use]
    pub fn plan(&self, now: UnixNanos, partitions: &[PartitionState]) -> Vec<(PartitionState, Upkeep)> {
        let mut sorted = partitions.to_vec();
        sorted.sort_unstable_by_key(|state| state.partition);
        let cutoff = self.cutoff(now).unwrap_or(UnixNanos(i64::MIN));
        let (mut planned, kept): (Vec<_>, Vec<_>) = sorted.into_iter().partition(|state| state.times.1 < cutoff);
        let mut bytes: u64 = kept.iter().map(|state| state.bytes).sum();
        let newest = kept.last().map(|state| state.partition);
        let (mut large, mut left) = (Vec::new(), Vec::new());
        for state in kept {
            if self.max_bytes.is_some_and(|most| bytes > most) && Some(state.partition) != newest {
                bytes -= state.bytes;
                large.push((state, Upkeep::DropLarge));
            } else {
                left.push(state);
            }
        }
        let mut all: Vec<_> = planned.drain(..).map(|state| (state, Upkeep::DropOld)).chain(large).collect();
        all.extend(left.into_iter().filter_map(|state| Some((state, self.upkeep_of_kept(now, &state)?))));
        all
    }

    fn upkeep_of_kept(&self, now: UnixNanos, state: &PartitionState) -> Option<Upkeep> {
        if let (Some(cutoff), Some(latest)) = (self.cutoff(now), self.latest(now))
            && state.times.0 < latest
        {
            return Some(Upkeep::Trim(cutoff));
        }
        let is_due = self.cold_after.is_some_and(|age| state.times.1 < before(now, age));
        (is_due && !state.is_cold).then_some(Upkeep::Cool)
    }
}

/// Returns the first and the last moment of a partition's first day: the times of rows that have none of their own.
#[must_use]
pub fn day_times(partition: PartitionDay) -> (UnixNanos, UnixNanos) {
    let begin = i64::from(partition) * NANOS_OF_DAY;
    (UnixNanos(begin), UnixNanos(begin + NANOS_OF_DAY - 1))
}

fn before(now: UnixNanos, seconds: u64) -> UnixNanos {
    let nanos = i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(NANOS_OF_SECOND);
    UnixNanos(now.0.saturating_sub(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;
    const NOW: UnixNanos = UnixNanos(100 * NANOS_OF_DAY);

    fn state(partition: PartitionDay, bytes: u64) -> PartitionState {
        PartitionState { partition, rows: 1, bytes, times: day_times(partition), is_cold: false }
    }

    fn check(retention: Retention, partitions: &[PartitionState], expected: &[(PartitionDay, Upkeep)]) {
        let plan = retention.plan(NOW, partitions);
        let found: Vec<_> = plan.into_iter().map(|(state, upkeep)| (state.partition, upkeep)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_partition_goes_when_its_last_row_is_too_old_and_not_before() {
        let week = Retention { max_age: Some(7 * DAY), grace: DAY, ..Retention::default() };
        check(week, &[state(93, 1), state(92, 1), state(99, 1)], &[(92, Upkeep::DropOld)]);
        let mut late = state(92, 1);
        late.times.1 = UnixNanos(93 * NANOS_OF_DAY);
        check(week, &[late], &[]);
        late.times.1 = UnixNanos(93 * NANOS_OF_DAY - 1);
        check(week, &[late], &[(92, Upkeep::DropOld)]);
    }

    #[test]
    fn rows_past_the_grace_go_out_of_a_partition_that_stays() {
        let week = Retention { max_age: Some(7 * DAY), grace: DAY, ..Retention::default() };
        let mut month = state(60, 1);
        month.times.1 = NOW;
        check(week, &[month], &[(60, Upkeep::Trim(UnixNanos(93 * NANOS_OF_DAY)))]);
        month.times.0 = UnixNanos(92 * NANOS_OF_DAY);
        check(week, &[month], &[]);
        let strict = Retention { grace: 0, ..week };
        check(strict, &[month], &[(60, Upkeep::Trim(UnixNanos(93 * NANOS_OF_DAY)))]);
    }

    #[test]
    fn the_oldest_partitions_of_a_large_table_go_and_the_newest_stays() {
        let small = Retention { max_bytes: Some(10), ..Retention::default() };
        let all = [state(99, 8), state(97, 5), state(98, 2), state(0, 1)];
        check(small, &all, &[(0, Upkeep::DropLarge), (97, Upkeep::DropLarge)]);
        check(small, &[state(99, 800)], &[]);
        let both = Retention { max_age: Some(2 * DAY), ..small };
        check(both, &all, &[(0, Upkeep::DropOld), (97, Upkeep::DropOld)]);
    }

    #[test]
    fn what_is_old_enough_goes_to_the_cold_volume_once() {
        let cooling = Retention { cold_after: Some(2 * DAY), ..Retention::default() };
        let cold = PartitionState { is_cold: true, ..state(96, 1) };
        check(cooling, &[state(98, 1), state(97, 1), cold], &[(97, Upkeep::Cool)]);
    }
}
