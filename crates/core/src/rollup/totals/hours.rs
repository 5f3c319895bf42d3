const HOUR_NANOS: i64 = 3_600_000_000_000;

/// The first and the last hour in which something came, counted from 1970.
///
/// They are the hours under which the tables have it, which say of an absurd time that it was in the first of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hours {
    /// The first.
    pub first: u32,
    /// The last.
    pub last: u32,
}

impl Hours {
    /// Before anything came.
    pub const NONE: Self = Self { first: u32::MAX, last: 0 };

    /// Returns those that begin at these Unix nanoseconds.
    pub(super) fn beginning(first: i64, last: i64) -> Self {
        let hour = |begins: i64| u32::try_from(begins.div_euclid(HOUR_NANOS)).unwrap_or(0);
        Self { first: hour(first), last: hour(last) }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }
}
