use hashbrown::HashSet;
use tidegate_model::limits::CATALOG_HASHES_PER_ROW;

/// Hashes that are looked through one by one: for so few that is faster than a table, and a fifth of its size.
const FEW: usize = 32;

/// A set of hashes.
#[derive(Debug)]
pub enum Hashes {
    /// Each once, in no order.
    Few(Vec<u64>),
    /// Too many for a list.
    Many(HashSet<u64>),
    /// There was no room for them; the tables have them.
    Spilled,
}

impl Default for Hashes {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Hashes {
    /// Returns how many there are; `None`: the tables know.
    #[must_use]
    pub fn count(&self) -> Option<u64> {
        match self {
            Self::Few(few) => Some(few.len() as u64),
            Self::Many(many) => Some(many.len() as u64),
            Self::Spilled => None,
        }
    }

    /// Returns the hashes, in no order; none where they were spilled.
    pub fn iter(&self) -> impl Iterator<Item = u64> {
        let (few, many) = match self {
            Self::Few(few) => (few.as_slice(), None),
            Self::Many(many) => (&[][..], Some(many.iter())),
            Self::Spilled => (&[][..], None),
        };
        few.iter().chain(many.into_iter().flatten()).copied()
    }

    /// Adds hashes; `bytes` is what all take together.
    pub(super) fn add(&mut self, hashes: &[u64], bytes: &mut usize) {
        let before = self.bytes();
        if let Self::Few(few) = self
            && few.is_empty()
        {
            few.reserve_exact(hashes.len().min(FEW));
        }
        for hash in hashes {
            match self {
                Self::Few(few) if few.contains(hash) => {}
                Self::Few(few) if few.len() < FEW => few.push(*hash),
                Self::Few(few) => {
                    let mut many: HashSet<u64> = few.drain(..).collect();
                    many.reserve(hashes.len());
                    many.insert(*hash);
                    *self = Self::Many(many);
                }
                Self::Many(many) => {
                    many.insert(*hash);
                }
                Self::Spilled => break,
            }
        }
        if self.count().is_some_and(|count| count >= CATALOG_HASHES_PER_ROW as u64) {
            *self = Self::Spilled;
        }
        *bytes = *bytes + self.bytes() - before;
    }

    /// Forgets the hashes; `bytes` is what all take together.
    pub(super) fn spill(&mut self, bytes: &mut usize) {
        *bytes -= self.bytes();
        *self = Self::Spilled;
    }

    /// Returns the bytes that they take on the heap.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Few(few) => few.capacity() * size_of::<u64>(),
            Self::Many(many) => many.allocation_size(),
            Self::Spilled => 0,
        }
    }
}

/// Counts the distinct hashes of several sets; `None`: the tables know.
pub fn distinct<'a>(sets: impl IntoIterator<Item = &'a Hashes>) -> Option<u64> {
    let mut sets = sets.into_iter().filter(|set| set.count() != Some(0));
    let Some(first) = sets.next() else { return Some(0) };
    let Some(second) = sets.next() else { return first.count() };
    let mut union: HashSet<u64> = HashSet::new();
    for set in [first, second].into_iter().chain(sets) {
        union.reserve(usize::try_from(set.count()?).unwrap_or_default().saturating_sub(union.len()));
        union.extend(set.iter());
    }
    Some(union.len() as u64)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    #[test]
    fn sets_and_their_union_hold_what_was_added() {
        for seed in 0..60 {
            let mut draw = StdRng::seed_from_u64(seed);
            let (mut bytes, mut union) = (0, BTreeSet::new());
            let mut sets: Vec<Hashes> = (0..draw.random_range(1..5)).map(|_| Hashes::default()).collect();
            let values = 1_u64 << draw.random_range(0..9);
            for set in &mut sets {
                let mut own = BTreeSet::new();
                for _ in 0..draw.random_range(0..12) {
                    let count = draw.random_range(0..40);
                    let hashes: Vec<u64> = (0..count).map(|_| draw.random_range(0..values)).collect();
                    set.add(&hashes, &mut bytes);
                    own.extend(hashes);
                }
                assert_eq!(set.iter().collect::<BTreeSet<_>>(), own);
                assert_eq!(set.count(), Some(own.len() as u64));
                union.extend(own);
            }
            assert_eq!(distinct(&sets), Some(union.len() as u64));
            assert_eq!(bytes, sets.iter().map(Hashes::bytes).sum::<usize>());
            let spilled = sets.iter_mut().max_by_key(|set| set.count()).expect("a set");
            spilled.spill(&mut bytes);
            spilled.add(&[1, 2, 3], &mut bytes);
            assert_eq!((spilled.count(), distinct(&sets).is_none()), (None, true));
            assert_eq!(bytes, sets.iter().map(Hashes::bytes).sum::<usize>());
        }
    }
}
