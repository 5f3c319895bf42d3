/// Hashes noted before they are put in order for the first time.
const UNSORTED_MIN: usize = 512;

/// A set of hashes, gathered as they come and put in order now and then: ten times cheaper than a table that no cache
/// holds when most values are new, and as cheap when few values repeat.
#[derive(Debug, Clone, Default)]
pub(super) struct Distinct {
    /// The hash that came last of each remainder.
    recent: [u64; 8],
    hashes: Vec<u64>,
    /// How many of them were left when they were put in order.
    sorted: usize,
}

impl Distinct {
    /// Adds a hash; `false`: it was there.
    pub(super) fn add(&mut self, hash: u64) -> bool {
        let slot = &mut self.recent[usize::from(hash.to_le_bytes()[0] & 7)];
        if *slot == hash && hash != 0 {
            return false;
        }
        *slot = hash;
        self.hashes.push(hash);
        if self.hashes.len() >= 2 * self.sorted.max(UNSORTED_MIN) {
            self.sort();
        }
        true
    }

    /// Returns the hashes, each once, in order.
    pub(super) fn sorted(&mut self) -> &[u64] {
        if self.hashes.len() > self.sorted {
            self.sort();
        }
        &self.hashes
    }

    fn sort(&mut self) {
        self.hashes.sort_unstable();
        self.hashes.dedup();
        self.sorted = self.hashes.len();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    #[test]
    fn it_holds_what_a_set_holds() {
        for seed in 0..40 {
            let mut draw = StdRng::seed_from_u64(seed);
            let (mut distinct, mut set) = (Distinct::default(), BTreeSet::new());
            let values = 1_u64 << draw.random_range(0..13);
            for _ in 0..draw.random_range(0..6_000) {
                let hash = draw.random_range(0..values).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                distinct.add(hash);
                set.insert(hash);
                if draw.random_bool(0.001) {
                    assert_eq!(distinct.sorted(), set.iter().copied().collect::<Vec<_>>());
                }
            }
            assert_eq!(distinct.sorted(), set.into_iter().collect::<Vec<_>>());
        }
    }
}
