use tidegate_model::UnixNanos;

use crate::Window;

/// Buckets of one answer.
const BUCKETS_MAX: i128 = 1_024;
/// The lengths of buckets that are taken where those asked for are too many, in minutes: 1 minute to 30 days.
const STRIDES: &[u32] = &[1, 5, 15, 30, 60, 120, 240, 360, 720, 1_440, 2_880, 5_760, 10_080, 20_160, 43_200];
const MINUTE: i64 = 60_000_000_000;
/// The window where none is given.
const DEFAULT_DAYS: i64 = 30;

/// Buckets of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// When the first begins.
    pub oldest: UnixNanos,
    /// When the last ends.
    pub newest: UnixNanos,
    /// How long each is, in minutes, as answers tell it.
    pub interval: u32,
    /// How many there are.
    pub count: usize,
    width: i128,
}

impl Plan {
    /// Plans the buckets of a window: without bounds the last 30 days, without an interval one bucket. An interval of which
    /// there were more than 1,024 gives way to the shortest usual one that fits, which the answer tells.
    #[must_use]
    pub fn of(window: &Window, now: UnixNanos) -> Self {
        let newest = window.newest.unwrap_or(now);
        let default = UnixNanos(newest.0.saturating_sub(DEFAULT_DAYS * 1_440 * MINUTE));
        let oldest = window.oldest.unwrap_or(default).min(newest);
        let length = (i128::from(newest.0) - i128::from(oldest.0)).max(1);
        let Some(asked) = window.interval else {
            let minutes = (length / i128::from(MINUTE)).max(1);
            return Self {
                oldest,
                newest,
                interval: u32::try_from(minutes).unwrap_or(u32::MAX),
                count: 1,
                width: length,
            };
        };
        let count = |minutes: u32| (length - 1) / (i128::from(minutes) * i128::from(MINUTE)) + 1;
        let fits = |minutes: &u32| count(*minutes) <= BUCKETS_MAX;
        let coarser = STRIDES.iter().copied().find(|minutes| *minutes > asked && fits(minutes));
        // Centuries in buckets of 30 days are too many still: then there are as many as may be.
        let widest = u32::try_from(length / i128::from(MINUTE) / BUCKETS_MAX + 1).unwrap_or(u32::MAX);
        let interval = if fits(&asked) { asked } else { coarser.unwrap_or(widest) };
        let buckets = usize::try_from(count(interval)).unwrap_or(1);
        Self { oldest, newest, interval, count: buckets, width: i128::from(interval) * i128::from(MINUTE) }
    }

    /// Returns the bucket of a moment.
    #[must_use]
    pub fn bucket(&self, time: UnixNanos) -> Option<usize> {
        let is_within = time >= self.oldest && time < self.newest;
        is_within.then(|| usize::try_from((i128::from(time.0) - i128::from(self.oldest.0)) / self.width).ok())?
    }

    /// Returns when a bucket begins.
    #[must_use]
    pub fn begins(&self, bucket: usize) -> UnixNanos {
        let index = i128::try_from(bucket).unwrap_or_default();
        // A bucket begins before the window ends.
        UnixNanos(i64::try_from(i128::from(self.oldest.0) + self.width * index).unwrap_or(self.newest.0))
    }
}
