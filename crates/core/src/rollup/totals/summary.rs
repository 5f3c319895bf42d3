use tidegate_model::limits::CATALOG_HIGH_CARDINALITY;

use super::counted::Counted;

/// The scopes whose keys are counted.
const SCOPES: [&str; 4] = ["attribute", "resource", "event", "link"];

/// What all services and templates of an item come to. It lies where the item does: who ranks all items looks no further.
///
/// Sets only grow, so the greatest numbers are kept without looking at all sets again.
#[derive(Debug)]
pub struct Summary {
    /// Log records, spans, data points.
    pub records: u64,
    /// The earliest time, in Unix nanoseconds.
    pub first: i64,
    /// The latest time, in Unix nanoseconds.
    pub last: i64,
    /// Whether any of its points has buckets.
    pub has_buckets: bool,
    /// Keys by scope: attribute, resource, event, link.
    pub keys: [u64; 4],
    /// How often the most frequent of these keys came.
    pub key_records: u64,
    /// The most distinct values of a key, in any scope.
    pub top: u64,
    /// The most distinct values of one of these keys.
    pub key_top: u64,
    /// The most distinct values of a key in the scope `attribute`.
    pub label_top: u64,
    /// Of these keys, those with more values than [`CATALOG_HIGH_CARDINALITY`].
    pub high: u64,
    /// Records whose value of a key in the scope `attribute` is not counted.
    pub unlisted: u64,
    /// Whether the values of a key were given up: then only the tables know the greatest numbers.
    pub is_spilled: bool,
}

/// Which of the scopes a key is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scope(Option<u8>);

impl Scope {
    pub(super) fn named(name: &str) -> Self {
        Self(SCOPES.iter().position(|known| *known == name).and_then(|at| u8::try_from(at).ok()))
    }

    /// Says whether keys of this scope are labels of data points.
    pub(super) fn is_label(self) -> bool {
        self.0 == Some(0)
    }
}

impl Default for Summary {
    fn default() -> Self {
        Self {
            records: 0,
            first: i64::MAX,
            last: i64::MIN,
            has_buckets: false,
            keys: [0; 4],
            key_records: 0,
            top: 0,
            key_top: 0,
            label_top: 0,
            high: 0,
            unlisted: 0,
            is_spilled: false,
        }
    }
}

impl Summary {
    /// Notes a key that is new to the item.
    pub(super) fn add_key(&mut self, Scope(scope): Scope) {
        if let Some(keys) = scope.and_then(|at| self.keys.get_mut(usize::from(at))) {
            *keys += 1;
        }
    }

    /// Notes what a key has come to; it had so many values before.
    pub(super) fn note(&mut self, Scope(scope): Scope, before: Option<u64>, now: &Counted) {
        let Some(count) = now.values.count() else {
            self.is_spilled = true;
            return;
        };
        self.top = self.top.max(count);
        if scope.is_none() {
            return;
        }
        self.key_records = self.key_records.max(now.records);
        self.key_top = self.key_top.max(count);
        let was_high = before.is_some_and(|before| before > CATALOG_HIGH_CARDINALITY);
        self.high += u64::from(!was_high && count > CATALOG_HIGH_CARDINALITY);
        if scope == Some(0) {
            self.label_top = self.label_top.max(count);
        }
    }

    /// Notes rows of the item, or of one of its labels.
    pub(super) fn add_times(&mut self, first: i64, last: i64) {
        self.first = self.first.min(first);
        self.last = self.last.max(last);
    }
}
