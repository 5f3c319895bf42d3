use hashbrown::HashSet;
use tidegate_model::limits::CATALOG_HASHES_PER_ROW;

/// Hashes that lie beside what they belong to.
const INLINE: usize = 4;

/// Hashes that are looked through one by one: for so few that is faster than a table, and a fifth of its size.
const FEW: usize = 32;

/// So many are united faster by putting them in order.
const SORTED_MAX: u64 = 1_024;

/// A set of hashes.
#[derive(Debug, Clone)]
pub enum Hashes {
    /// As many of these as `count` says, each once: most sets have so few, and are read without another look into memory.
    Inline {
        /// How many there are.
        count: u8,
        /// They and zeros.
        hashes: [u64; INLINE],
    },
    /// Each once, in no order.
    Few(Vec<u64>),
    /// Too many for a list.
    Many(HashSet<u64>),
    /// There was no room for them; the tables have them.
    Spilled,
}

impl Default for Hashes {
    fn default() -> Self {
        Self::Inline { count: 0, hashes: [0; INLINE] }
    }
}

impl Hashes {
    /// Returns how many there are; `None`: the tables know.
    #[must_use]
    pub fn count(&self) -> Option<u64> {
        match self {
            Self::Inline { count, .. } => Some(u64::from(*count)),
            Self::Few(few) => Some(few.len() as u64),
            Self::Many(many) => Some(many.len() as u64),
            Self::Spilled => None,
        }
    }

    /// Returns the hashes, in no order; none where they were spilled.
    pub fn iter(&self) -> impl Iterator<Item = u64> {
        let (few, many) = match self {
            Self::Inline { count, hashes } => (&hashes[..usize::from(*count)], None),
            Self::Few(few) => (few.as_slice(), None),
            Self::Many(many) => (&[][..], Some(many.iter())),
            Self::Spilled => (&[][..], None),
        };
        few.iter().chain(many.into_iter().flatten()).copied()
    }

    /// Adds hashes; `bytes` is what all take together. Those that it had not go to `fresh`, which are all of them where it
    /// was spilled: what holds them beside others needs no further ones.
    pub(super) fn add(&mut self, hashes: &[u64], bytes: &mut usize, fresh: &mut Vec<u64>) {
        let before = self.bytes();
        for hash in hashes {
            if self.add_one(*hash, hashes.len()) {
                fresh.push(*hash);
            }
        }
        if self.count().is_some_and(|count| count >= CATALOG_HASHES_PER_ROW as u64) {
            *self = Self::Spilled;
        }
        *bytes = *bytes + self.bytes() - before;
    }

    /// Adds one; `false`: it was there.
    fn add_one(&mut self, hash: u64, expected: usize) -> bool {
        match self {
            Self::Inline { count, hashes } => {
                let used = usize::from(*count);
                if hashes[..used].contains(&hash) {
                    return false;
                }
                if used < INLINE {
                    hashes[used] = hash;
                    *count += 1;
                    return true;
                }
                let mut few = Vec::with_capacity(FEW.min(used + expected));
                few.extend_from_slice(hashes);
                few.push(hash);
                *self = Self::Few(few);
                true
            }
            Self::Few(few) if few.contains(&hash) => false,
            Self::Few(few) if few.len() < FEW => {
                few.push(hash);
                true
            }
            Self::Few(few) => {
                let mut many: HashSet<u64> = few.drain(..).collect();
                many.reserve(expected);
                many.insert(hash);
                *self = Self::Many(many);
                true
            }
            Self::Many(many) => many.insert(hash),
            Self::Spilled => true,
        }
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
            Self::Inline { .. } | Self::Spilled => 0,
        }
    }
}

/// Counts the distinct hashes of several sets; `None`: the tables know.
pub fn distinct<'a>(sets: impl IntoIterator<Item = &'a Hashes>) -> Option<u64> {
    let mut sets = sets.into_iter().filter(|set| set.count() != Some(0));
    let Some(first) = sets.next() else { return Some(0) };
    let Some(second) = sets.next() else { return first.count() };
    let sets: Vec<&Hashes> = [first, second].into_iter().chain(sets).collect();
    let counts: Option<u64> = sets.iter().map(|set| set.count()).sum();
    if counts? <= SORTED_MAX {
        let mut union: Vec<u64> = sets.iter().flat_map(|set| set.iter()).collect();
        union.sort_unstable();
        union.dedup();
        return Some(union.len() as u64);
    }
    let mut union: HashSet<u64> = HashSet::new();
    for set in sets {
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
                    let mut fresh = Vec::new();
                    set.add(&hashes, &mut bytes, &mut fresh);
                    let new = hashes.iter().filter(|hash| own.insert(**hash));
                    assert_eq!(new.copied().collect::<Vec<_>>(), fresh);
                }
                assert_eq!(set.iter().collect::<BTreeSet<_>>(), own);
                assert_eq!(set.count(), Some(own.len() as u64));
                union.extend(own);
            }
            assert_eq!(distinct(&sets), Some(union.len() as u64));
            assert_eq!(bytes, sets.iter().map(Hashes::bytes).sum::<usize>());
            let spilled = sets.iter_mut().max_by_key(|set| set.count()).expect("a set");
            spilled.spill(&mut bytes);
            let mut fresh = Vec::new();
            spilled.add(&[1, 2, 3], &mut bytes, &mut fresh);
            assert_eq!(fresh, [1, 2, 3], "nobody knows whether it had them");
            assert_eq!((spilled.count(), distinct(&sets).is_none()), (None, true));
            assert_eq!(bytes, sets.iter().map(Hashes::bytes).sum::<usize>());
        }
    }
}
