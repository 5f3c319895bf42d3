use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidegate_model::limits::{
    CATALOG_KEYS_MAX, CATALOG_NAMES_MAX, CATALOG_SERVICES_MAX, CATALOG_VALUES_MAX, CATALOG_VALUES_PER_KEY,
};
use twox_hash::XxHash3_64;

/// The name, service or key under which everything is counted that is past a limit.
pub const OVERFLOW: &str = "__overflow__";

/// Which names, services, keys and values have been seen, over all requests since the start; clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Registry {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    names: HashSet<u64>,
    services: HashSet<u64>,
    /// The values of each key whose text is stored.
    keys: HashMap<u64, HashSet<u64>>,
    values: usize,
}

/// Values whose text a request brings; they count as known when the request is durable.
#[derive(Debug, Default)]
pub(crate) struct Learned(pub(super) Vec<(u64, u64)>);

impl Registry {
    /// Says whether a name may be told apart: it is known, or there is room for it.
    pub(super) fn admit_name(&self, signal: &str, name: &[u8]) -> bool {
        admit(&mut self.lock().names, hash_of(&[signal.as_bytes(), name]), CATALOG_NAMES_MAX)
    }

    /// The same for a service.
    pub(super) fn admit_service(&self, service: &[u8]) -> bool {
        admit(&mut self.lock().services, hash_of(&[service]), CATALOG_SERVICES_MAX)
    }

    /// The same for an attribute's key; says also whether the text of new values is wanted.
    pub(super) fn admit_key(&self, key: u64) -> (bool, bool) {
        let mut state = self.lock();
        let has_room = state.values < CATALOG_VALUES_MAX;
        match state.keys.get(&key) {
            Some(values) => (true, has_room && values.len() < CATALOG_VALUES_PER_KEY),
            None if state.keys.len() < CATALOG_KEYS_MAX => {
                state.keys.insert(key, HashSet::new());
                (true, has_room)
            }
            None => (false, false),
        }
    }

    /// Keeps those values of a key whose text is not stored and for which there is room.
    pub(super) fn retain_new<T>(&self, key: u64, values: &mut Vec<T>, hash: impl Fn(&T) -> u64) {
        let state = self.lock();
        let known = state.keys.get(&key);
        let room = CATALOG_VALUES_PER_KEY.saturating_sub(known.map_or(0, HashSet::len));
        values.retain(|value| known.is_none_or(|known| !known.contains(&hash(value))));
        values.truncate(room);
    }

    /// Notes values whose text is durable now.
    pub(crate) fn learn(&self, learned: Learned) {
        let mut state = self.lock();
        for (key, value) in learned.0 {
            if state.keys.entry(key).or_default().insert(value) {
                state.values += 1;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves every set whole: each change is a single call.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn admit(known: &mut HashSet<u64>, hash: u64, most: usize) -> bool {
    known.contains(&hash) || (known.len() < most && known.insert(hash))
}

/// Hashes several texts so that no two lists of them share their bytes.
pub(super) fn hash_of(texts: &[&[u8]]) -> u64 {
    texts.iter().fold(0, |seed, text| XxHash3_64::oneshot_with_seed(seed, text))
}
