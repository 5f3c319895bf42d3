//! What templates have in services, kept as JSON until a row changes it: most of a long list is as it was at the last read.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::value::RawValue;
use tidegate_core::rollup::totals::Source;
use tidegate_model::limits::CATALOG_KEPT_BYTES;

/// Of which rows something was told: sources only come and change, and each change has a greater number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Stamp {
    sources: u64,
    changed: u64,
}

impl Stamp {
    /// Adds a source that it is told of, too.
    pub(super) fn add(&mut self, source: &Source) {
        self.sources += 1;
        self.changed = self.changed.max(source.changed);
    }
}

/// JSON by template and service.
pub(super) type Texts<'a> = BTreeMap<(u64, &'a str), Arc<RawValue>>;

/// Texts of the last reads, of which rows each was told.
#[derive(Debug, Default)]
pub(super) struct Kept {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    texts: HashMap<u64, HashMap<String, (Stamp, Arc<RawValue>)>>,
    bytes: usize,
}

impl Kept {
    /// Returns what is still as it was.
    pub(super) fn find<'a>(&self, stamps: &BTreeMap<(u64, &'a str), Stamp>) -> Texts<'a> {
        let state = self.lock();
        let text = |(by, stamp): (&(u64, &'a str), &Stamp)| {
            let (told_of, text) = state.texts.get(&by.0)?.get(by.1)?;
            (told_of == stamp).then(|| (*by, Arc::clone(text)))
        };
        stamps.iter().filter_map(text).collect()
    }

    /// Keeps what was told of these rows.
    pub(super) fn keep<'a>(&self, told: impl IntoIterator<Item = ((u64, &'a str), Stamp, Arc<RawValue>)>) {
        let mut state = self.lock();
        for ((template, service), stamp, text) in told {
            let bytes = |text: &RawValue| service.len() + text.get().len();
            let added = bytes(&text);
            if state.bytes + added > CATALOG_KEPT_BYTES {
                *state = State::default();
            }
            let before = state.texts.entry(template).or_default().insert(service.to_owned(), (stamp, text));
            state.bytes += added;
            state.bytes -= before.map_or(0, |(_, text)| bytes(&text));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere costs at most what is kept: what is found is checked against its rows.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(length: usize) -> Arc<RawValue> {
        let text = format!("\"{}\"", "x".repeat(length));
        RawValue::from_string(text).expect("a JSON string").into()
    }

    fn stamps(sources: u64, changed: u64) -> BTreeMap<(u64, &'static str), Stamp> {
        BTreeMap::from([((7, "cart"), Stamp { sources, changed })])
    }

    #[test]
    fn what_was_told_is_found_until_a_row_comes_or_templates_are_merged() {
        let kept = Kept::default();
        let told = stamps(2, 40);
        kept.keep([((7, "cart"), told[&(7, "cart")], json(3))]);
        assert_eq!(kept.find(&told).len(), 1);
        for (sources, changed) in [(2, 41), (3, 40), (1, 40)] {
            assert!(kept.find(&stamps(sources, changed)).is_empty(), "{sources} sources, {changed} additions");
        }
    }

    #[test]
    fn what_is_kept_has_a_limit() {
        let kept = Kept::default();
        let stamp = stamps(1, 1)[&(7, "cart")];
        for template in 0..64 {
            kept.keep([((template, "cart"), stamp, json(CATALOG_KEPT_BYTES / 8))]);
            kept.keep([((template, "cart"), stamp, json(CATALOG_KEPT_BYTES / 16))]);
            let state = kept.lock();
            let texts = state.texts.values().flatten().map(|(service, (_, text))| service.len() + text.get().len());
            assert_eq!(texts.sum::<usize>(), state.bytes);
            assert!(state.bytes <= CATALOG_KEPT_BYTES);
        }
    }
}
