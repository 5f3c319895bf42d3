use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::limits::TABLE_NAME_BYTES_MAX;

/// The name of a table in ClickHouse and in the WAL: `[a-z][a-z0-9_]*`, at most 120 bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TableName(Arc<str>);

/// A name that cannot be a table's: says which, and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` cannot name a table: use a to z, 0 to 9 and _, start with a letter, at most {TABLE_NAME_BYTES_MAX} bytes"
)]
pub struct InvalidTableName(pub String);

impl TableName {
    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TableName {
    type Err = InvalidTableName;

    fn from_str(name: &str) -> Result<Self, InvalidTableName> {
        let starts_with_letter = name.as_bytes().first().is_some_and(u8::is_ascii_lowercase);
        let all_allowed = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if starts_with_letter && all_allowed && name.len() <= TABLE_NAME_BYTES_MAX {
            Ok(Self(name.into()))
        } else {
            Err(InvalidTableName(name.to_owned()))
        }
    }
}

impl TryFrom<String> for TableName {
    type Error = InvalidTableName;

    fn try_from(name: String) -> Result<Self, InvalidTableName> {
        name.parse()
    }
}

impl From<TableName> for String {
    fn from(name: TableName) -> Self {
        name.0.as_ref().to_owned()
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A row's number in its table, gap-free, starting at 1; 0 stands for "before the first row".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Seq(pub u64);

impl Seq {
    /// The number before the first row.
    pub const ZERO: Self = Self(0);

    /// Returns the number of the row after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A closed range of row numbers; it holds at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SeqRange {
    /// The first number in the range.
    pub first: Seq,
    /// The last number in the range.
    pub last: Seq,
}

impl SeqRange {
    /// Returns the range of `rows` numbers that begins at `first`; `rows` is at least 1.
    #[must_use]
    pub fn starting_at(first: Seq, rows: u64) -> Self {
        assert!(rows > 0, "a range of rows holds at least one");
        Self { first, last: Seq(first.0 + rows - 1) }
    }

    /// Returns how many numbers the range holds.
    #[must_use]
    pub const fn rows(self) -> u64 {
        self.last.0 - self.first.0 + 1
    }
}

impl fmt::Display for SeqRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..={}", self.first, self.last)
    }
}

/// The identity of one buffer, drawn once when its folder is made.
///
/// Row numbers restart with a new buffer, so dedup tokens carry this id: the rows of a new
/// buffer are never taken for copies of an old one's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BufferId(pub u64);

impl fmt::Display for BufferId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The identity of one batch, and the dedup token of its insert: `buffer:table:first-last`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BatchId(String);

impl BatchId {
    /// Derives the id from what makes a batch unique.
    #[must_use]
    pub fn of(buffer: BufferId, table: &TableName, range: SeqRange) -> Self {
        Self(format!("{buffer}:{table}:{}-{}", range.first, range.last))
    }

    /// Returns the id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_names_are_plain_identifiers() {
        for good in ["logs", "a", "team_7_events"] {
            assert_eq!(good.parse::<TableName>().map(String::from), Ok(good.to_owned()));
        }
        for bad in ["", "7logs", "_logs", "Logs", "a-b", "a b", "a`b", &"x".repeat(TABLE_NAME_BYTES_MAX + 1)] {
            assert_eq!(bad.parse::<TableName>(), Err(InvalidTableName(bad.to_owned())));
        }
    }

    #[test]
    fn batch_ids_tell_buffers_apart() {
        let table: TableName = "logs".parse().expect("a valid name");
        let range = SeqRange::starting_at(Seq(5), 3);
        assert_eq!(range.to_string(), "5..=7");
        assert_eq!(range.rows(), 3);
        assert_eq!(BatchId::of(BufferId(0xab), &table, range).as_str(), "00000000000000ab:logs:5-7");
    }
}
