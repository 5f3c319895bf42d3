use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Column;

/// How large the columns of the last request became: those of the next begin with that room, in proportion to its
/// bytes. Columns that grow by doubling are copied several times over, and keep up to twice the memory in the tail.
#[derive(Debug)]
pub(crate) struct Room(Mutex<Last>);

#[derive(Debug)]
struct Last {
    body_bytes: usize,
    sizes: Vec<usize>,
}

/// A body gets at most so many times the room of the last one, however much larger it is.
const GROWTH_MAX: usize = 2;

impl Room {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(Last { body_bytes: 0, sizes: Vec::new() }))
    }

    /// Makes room in empty columns.
    pub(crate) fn make(&self, columns: &mut impl Column, body_bytes: usize) {
        let last = self.lock();
        if last.body_bytes > 0 {
            let bytes = body_bytes.min(GROWTH_MAX * last.body_bytes);
            let wanted = |size: &usize| size.saturating_mul(bytes) / last.body_bytes;
            columns.reserve(&mut last.sizes.iter().map(wanted).map(|size| size + size / 16));
        }
    }

    /// Remembers how large they became.
    pub(crate) fn note(&self, columns: &impl Column, body_bytes: usize) {
        let mut last = self.lock();
        last.sizes.clear();
        columns.measure(&mut last.sizes);
        last.body_bytes = body_bytes;
    }

    fn lock(&self) -> MutexGuard<'_, Last> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
