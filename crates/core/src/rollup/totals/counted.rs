use super::hashes::Hashes;
use super::hours::Hours;
use super::values::{Text, Values};
use super::words::Word;

/// Values of which the text is told.
pub const SAMPLES: usize = 10;

/// Texts among which these are the first in their order, so that what is told does not depend on how rows came.
const LOOKED_AT: u8 = 24;

/// What came of an attribute: of one item, or of several together.
#[derive(Debug, Clone)]
pub struct Counted {
    /// How often it came.
    pub records: u64,
    /// Of key and value, as text.
    pub bytes: u64,
    /// The earliest time, in Unix nanoseconds.
    pub first: i64,
    /// The latest time, in Unix nanoseconds.
    pub last: i64,
    /// Between which hours.
    pub hours: Hours,
    /// Records whose value is not among `values`.
    pub unlisted: u64,
    /// The distinct values.
    pub values: Hashes,
    samples: Samples,
}

/// One row about an attribute.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) key: Word,
    pub(super) records: u64,
    pub(super) bytes: u64,
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) hours: Hours,
    pub(super) unlisted: u64,
    pub(super) hashes: &'a [u64],
}

/// Texts of values: beside the numbers, because who lists attributes wants both.
#[derive(Debug, Clone, Copy, Default)]
struct Samples {
    looked_at: u8,
    count: u8,
    texts: [Text; SAMPLES],
}

impl Default for Counted {
    fn default() -> Self {
        Self {
            records: 0,
            bytes: 0,
            first: i64::MAX,
            last: i64::MIN,
            hours: Hours::NONE,
            unlisted: 0,
            values: Hashes::default(),
            samples: Samples::default(),
        }
    }
}

impl Counted {
    /// Returns some of the values, in the order of their texts, none twice.
    #[must_use]
    pub fn samples(&self) -> &[Text] {
        &self.samples.texts[..usize::from(self.samples.count)]
    }

    /// Adds a row; `bytes` is what all sets take together, and `fresh` gets the values that were not there.
    pub(super) fn add(&mut self, row: Row<'_>, texts: &Values, bytes: &mut usize, fresh: &mut Vec<u64>) {
        self.records += row.records;
        self.bytes += row.bytes;
        self.first = self.first.min(row.first);
        self.last = self.last.max(row.last);
        self.hours.add(row.hours);
        self.unlisted += row.unlisted;
        let before = fresh.len();
        self.values.add(row.hashes, bytes, fresh);
        for hash in &fresh[before..] {
            if self.samples.looked_at == LOOKED_AT {
                break;
            }
            if let Some(text) = texts.find(row.key, *hash) {
                self.samples.add(text, texts);
            }
        }
    }
}

impl Samples {
    fn add(&mut self, text: Text, texts: &Values) {
        let used = usize::from(self.count);
        // What was spilled says of any value that it is new.
        if self.texts[..used].contains(&text) {
            return;
        }
        self.looked_at += 1;
        let at = self.texts[..used].partition_point(|known| texts.text(*known) < texts.text(text));
        if at < SAMPLES {
            let used = SAMPLES.min(used + 1);
            self.texts[at..used].rotate_right(1);
            self.texts[at] = text;
            self.count = u8::try_from(used).unwrap_or(u8::MAX);
        }
    }
}
