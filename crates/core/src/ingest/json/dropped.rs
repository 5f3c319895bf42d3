/// The records that were left out, as runs of their places in the request.
///
/// The protobuf walker numbers what it is given; this gives the numbers of the request back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dropped {
    /// First place and length, in order.
    runs: Vec<(u64, u64)>,
}

impl Dropped {
    /// Adds a place; places come in order.
    pub(super) fn add(&mut self, index: u64) {
        match self.runs.last_mut() {
            Some((first, length)) if *first + *length == index => *length += 1,
            _ => self.runs.push((index, 1)),
        }
    }

    /// Remembers how far it got.
    pub(super) fn mark(&self) -> DroppedMark {
        DroppedMark { runs: self.runs.len(), last: self.runs.last().copied() }
    }

    /// Forgets what was added since.
    pub(super) fn go_back(&mut self, mark: DroppedMark) {
        self.runs.truncate(mark.runs);
        if let (Some(run), Some(last)) = (self.runs.last_mut(), mark.last) {
            *run = last;
        }
    }

    /// Returns how many records were left out.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.runs.iter().map(|(_, length)| length).sum()
    }

    /// Returns the place in the request of the record that is `index`th among those kept.
    #[must_use]
    pub fn request_index(&self, index: u64) -> u64 {
        self.runs.iter().fold(index, |place, (first, length)| if *first <= place { place + length } else { place })
    }
}

/// An earlier state of a [`Dropped`].
pub(super) struct DroppedMark {
    runs: usize,
    last: Option<(u64, u64)>,
}
