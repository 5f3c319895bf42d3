use std::fmt;
use std::str::FromStr;

use crate::{Seq, SeqRange, UnixNanos};

/// Where a manifest is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ManifestState {
    /// Its rows are on their way into the store.
    Draft,
    /// Its rows are in the store, and it says what they are.
    Published,
    /// A later version says what its rows have become.
    Superseded,
    /// Its rows were removed: they were past their retention.
    Expired,
}

impl ManifestState {
    /// Every state, in the order in which a manifest has them.
    pub const ALL: [Self; 4] = [Self::Draft, Self::Published, Self::Superseded, Self::Expired];

    /// Returns the state's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Published => "published",
            Self::Superseded => "superseded",
            Self::Expired => "expired",
        }
    }
}

impl fmt::Display for ManifestState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ManifestState {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|state| state.as_str() == word);
        found.ok_or_else(|| {
            format!("`{word}` is no state of a manifest: there are draft, published, superseded and expired")
        })
    }
}

/// What some rows are, taken together; the order in which they were added does not matter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RowsSum {
    /// How many they are.
    pub rows: u64,
    /// Their bytes, as the checksum reads them.
    pub bytes: u64,
    /// The sum of their hashes, modulo 2^64.
    pub checksum: u64,
    /// The least and the greatest of their numbers.
    pub range: Option<SeqRange>,
    /// Their first and last time, if they have any.
    pub times: Option<(UnixNanos, UnixNanos)>,
}

impl RowsSum {
    /// Adds one row.
    pub fn add(&mut self, seq: Seq, hash: u64, bytes: u64, time: Option<UnixNanos>) {
        let range = Some(SeqRange { first: seq, last: seq });
        self.merge(&Self { rows: 1, bytes, checksum: hash, range, times: time.map(|time| (time, time)) });
    }

    /// Adds other rows.
    pub fn merge(&mut self, other: &Self) {
        self.rows += other.rows;
        self.bytes += other.bytes;
        self.checksum = self.checksum.wrapping_add(other.checksum);
        self.range = match (self.range, other.range) {
            (Some(own), Some(added)) => {
                Some(SeqRange { first: own.first.min(added.first), last: own.last.max(added.last) })
            }
            (own, added) => own.or(added),
        };
        self.times = match (self.times, other.times) {
            (Some(own), Some(added)) => Some((own.0.min(added.0), own.1.max(added.1))),
            (own, added) => own.or(added),
        };
    }
}
