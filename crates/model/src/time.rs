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
