use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::{HashMap, HashSet};
use tidegate_model::limits::{
    CATALOG_HASHES_PER_ROW, CATALOG_KEYS_MAX, CATALOG_NAMES_MAX, CATALOG_SERVICES_MAX, CATALOG_VALUES_MAX,
    CATALOG_VALUES_PER_KEY, CATALOG_WIDE_ROWS_MAX,
};
use twox_hash::XxHash3_64;

/// The name, service or key under which everything is counted that is past a limit.
pub const OVERFLOW: &str = "__overflow__";

/// Hashes of a wide row that are kept to tell how many there are.
const SKETCH: usize = 1_024;

/// Which names, services, keys and values have been seen, over all batches since the start; clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Registry {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    names: HashSet<u64>,
    services: HashSet<u64>,
    /// The values of each key whose text is stored.
    keys: HashMap<u64, Arc<HashSet<u64>>>,
    values: usize,
    wide: HashMap<u64, Sketch>,
    /// The wide rows, the oldest first.
    wide_order: VecDeque<u64>,
}

/// Values whose text a batch brings; they count as known when the batch is stored.
#[derive(Debug, Default)]
pub struct Learned(pub(super) Vec<(u64, u64)>);

impl Registry {
    /// Says whether a name may be told apart: it is known, or there is room for it.
    pub(super) fn admit_name(&self, signal: &str, name: &str) -> bool {
        admit(&mut self.lock().names, hash_of(&[signal, name]), CATALOG_NAMES_MAX)
    }

    /// The same for a service.
    pub(super) fn admit_service(&self, service: &str) -> bool {
        admit(&mut self.lock().services, hash_of(&[service]), CATALOG_SERVICES_MAX)
    }

    /// The same for an attribute's key; returns the values whose text is stored, and how many more may be.
    pub(super) fn admit_key(&self, key: u64) -> Option<(Arc<HashSet<u64>>, usize)> {
        let mut state = self.lock();
        let room = CATALOG_VALUES_MAX.saturating_sub(state.values);
        match state.keys.get(&key) {
            Some(values) => {
                let room = room.min(CATALOG_VALUES_PER_KEY.saturating_sub(values.len()));
                Some((Arc::clone(values), room))
            }
            None if state.keys.len() < CATALOG_KEYS_MAX => {
                state.keys.insert(key, Arc::default());
                Some((Arc::default(), room.min(CATALOG_VALUES_PER_KEY)))
            }
            None => None,
        }
    }

    /// Notes values whose text is stored now.
    pub(super) fn learn(&self, learned: Learned) {
        let mut state = self.lock();
        let State { keys, values, .. } = &mut *state;
        for (key, value) in learned.0 {
            if Arc::make_mut(keys.entry(key).or_default()).insert(value) {
                *values += 1;
            }
        }
    }

    /// Says whether a row of `catalog_attributes` may take further hashes, which are in order; notes those of wide rows.
    pub(super) fn admit_hashes(&self, row: u64, hashes: &[u64]) -> bool {
        let mut state = self.lock();
        let is_wide = state.wide.contains_key(&row);
        if !is_wide && hashes.len() < SKETCH {
            return true;
        }
        if !is_wide {
            if state.wide_order.len() >= CATALOG_WIDE_ROWS_MAX
                && let Some(oldest) = state.wide_order.pop_front()
            {
                state.wide.remove(&oldest);
            }
            state.wide_order.push_back(row);
        }
        let sketch = state.wide.entry(row).or_default();
        if sketch.estimate() >= CATALOG_HASHES_PER_ROW {
            return false;
        }
        sketch.add(hashes);
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves every set whole: each change is a single call.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The smallest hashes of a set, which tell how large it is to about 3 % (Bar-Yossef et al., "Counting Distinct
/// Elements in a Data Stream", 2002): they are spread evenly over all numbers.
#[derive(Debug, Default)]
struct Sketch {
    smallest: Vec<u64>,
}

impl Sketch {
    fn add(&mut self, hashes: &[u64]) {
        self.smallest.extend_from_slice(&hashes[..hashes.len().min(SKETCH)]);
        self.smallest.sort_unstable();
        self.smallest.dedup();
        self.smallest.truncate(SKETCH);
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate"
    )]
    fn estimate(&self) -> usize {
        match self.smallest.last() {
            Some(last) if self.smallest.len() == SKETCH => {
                ((SKETCH - 1) as f64 / (*last as f64 / u64::MAX as f64)) as usize
            }
            _ => self.smallest.len(),
        }
    }
}

fn admit(known: &mut HashSet<u64>, hash: u64, most: usize) -> bool {
    known.contains(&hash) || (known.len() < most && known.insert(hash))
}

/// Hashes several texts so that no two lists of them share their bytes.
pub(super) fn hash_of(texts: &[&str]) -> u64 {
    texts.iter().fold(0, |seed, text| XxHash3_64::oneshot_with_seed(seed, text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_takes_hashes_until_it_has_its_most_however_often_they_come() {
        let registry = Registry::default();
        let hashes = |from: u64, to: u64| {
            let mut hashes: Vec<u64> = (from..to).map(|n| XxHash3_64::oneshot(&n.to_le_bytes())).collect();
            hashes.sort_unstable();
            hashes
        };
        let same = hashes(0, 100_000);
        for _ in 0..2 * CATALOG_HASHES_PER_ROW / same.len() {
            assert!(registry.admit_hashes(1, &same), "the same values come again and again");
        }
        let step = 200_000;
        let most = CATALOG_HASHES_PER_ROW as u64;
        let taken = (0..20).take_while(|n| registry.admit_hashes(2, &hashes(n * step, (n + 1) * step))).count() as u64;
        assert!((most * 9 / 10..most * 12 / 10).contains(&(taken * step)), "{taken} steps were taken");
        assert!(!registry.admit_hashes(2, &[1]) && registry.admit_hashes(3, &[1]));
    }
}
