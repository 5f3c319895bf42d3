use std::fmt;

use serde::{Deserialize, Serialize};
use tidegate_model::limits::REJECTIONS_LISTED_MAX;

/// Why a row was refused: a closed set, so that it can label a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Text that is not UTF-8.
    InvalidUtf8,
    /// A trace or span id of a wrong length, or not hex.
    InvalidId,
    /// A time past what is storable (the year 2262), or not a time at all.
    InvalidTimestamp,
    /// A value of another type than its field or column.
    InvalidType,
    /// A number that its column cannot hold.
    OutOfRange,
    /// Attribute values nested deeper than the limit.
    TooDeep,
    /// A value that is needed is missing.
    Missing,
    /// A field or column that does not exist.
    Unknown,
    /// A row or value larger than its limit.
    TooLarge,
    /// Text that is not in the format that it claims (a JSON line, a CSV record).
    Malformed,
}

impl Reason {
    /// Every reason, in the order of this enum.
    pub const ALL: [Self; 10] = [
        Self::InvalidUtf8,
        Self::InvalidId,
        Self::InvalidTimestamp,
        Self::InvalidType,
        Self::OutOfRange,
        Self::TooDeep,
        Self::Missing,
        Self::Unknown,
        Self::TooLarge,
        Self::Malformed,
    ];

    /// Returns the name, as in metrics and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidUtf8 => "invalid_utf8",
            Self::InvalidId => "invalid_id",
            Self::InvalidTimestamp => "invalid_timestamp",
            Self::InvalidType => "invalid_type",
            Self::OutOfRange => "out_of_range",
            Self::TooDeep => "too_deep",
            Self::Missing => "missing",
            Self::Unknown => "unknown",
            Self::TooLarge => "too_large",
            Self::Malformed => "malformed",
        }
    }

    const fn sentence(self) -> &'static str {
        match self {
            Self::InvalidUtf8 => "is not valid UTF-8",
            Self::InvalidId => "is not an id of the right length",
            Self::InvalidTimestamp => "is past the year 2262",
            Self::InvalidType => "has a wrong type",
            Self::OutOfRange => "is out of range",
            Self::TooDeep => "is nested too deep",
            Self::Missing => "is missing",
            Self::Unknown => "is unknown",
            Self::TooLarge => "is too large",
            Self::Malformed => "is malformed",
        }
    }
}

/// Why the row in hand is refused: the reason and the field; it becomes a [`Rejection`] where the row's place is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) reason: Reason,
    pub(crate) field: &'static str,
}

impl Fault {
    pub(crate) const fn new(reason: Reason, field: &'static str) -> Self {
        Self { reason, field }
    }

    pub(crate) fn at(self, index: u64) -> Rejection {
        Rejection::new(index, self.reason, format!("{} {}", self.field, self.reason.sentence()))
    }
}

/// One refused row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// The row's place in the request, from 0: log records, spans or data points in the order sent.
    pub index: u64,
    /// Why, in one word.
    pub reason: Reason,
    /// Why, in a sentence that names the field.
    pub detail: String,
}

impl Rejection {
    /// Refuses the row at `index`.
    pub fn new(index: u64, reason: Reason, detail: impl Into<String>) -> Self {
        Self { index, reason, detail: detail.into() }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "row {}: {}", self.index, self.detail)
    }
}

/// The refused rows of one request: all are counted, the first ones are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rejections {
    /// How many rows were refused for each reason, in the order of [`Reason::ALL`].
    pub counts: [u64; Reason::ALL.len()],
    /// The first refused rows, up to [`REJECTIONS_LISTED_MAX`].
    pub listed: Vec<Rejection>,
}

impl Rejections {
    /// Counts a refused row, and lists it while there is room.
    pub fn push(&mut self, rejection: Rejection) {
        self.counts[rejection.reason as usize] += 1;
        if self.listed.len() < REJECTIONS_LISTED_MAX {
            self.listed.push(rejection);
        }
    }

    /// Adds those of the part of a request that has so many rows before it.
    pub fn add(&mut self, part: Self, before: u64) {
        for (all, count) in self.counts.iter_mut().zip(part.counts) {
            *all += count;
        }
        let room = REJECTIONS_LISTED_MAX.saturating_sub(self.listed.len());
        let placed = part.listed.into_iter().take(room);
        self.listed.extend(placed.map(|rejection| Rejection { index: before + rejection.index, ..rejection }));
    }

    /// Returns how many rows were refused.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }
}
