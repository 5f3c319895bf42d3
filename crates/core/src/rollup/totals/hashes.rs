use hashbrown::HashSet;

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

    /// Adds hashes; returns how many bytes more they take.
    pub(super) fn add(&mut self, hashes: &[u64]) -> usize {
        let before = self.bytes();
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
        self.bytes().saturating_sub(before)
    }

    /// Forgets the hashes; returns how many bytes that frees.
    pub(super) fn spill(&mut self) -> usize {
        let bytes = self.bytes();
        *self = Self::Spilled;
        bytes
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
