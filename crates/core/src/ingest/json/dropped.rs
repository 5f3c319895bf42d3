use tidegate_model::{TableName, tables};

/// The records that were left out, as runs of their places in the request.
///
/// The protobuf walker numbers what it is given; this gives the numbers of the request back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dropped {
    /// First place and length, in order.
    runs: Vec<(u64, u64)>,
    /// How many of each table, in the order of [`Self::tables`].
    counts: [u64; TABLES],
}

const TABLES: usize = 6;

impl Dropped {
    /// Adds a place, and the field that holds the record's list; places come in order.
    pub(super) fn add(&mut self, index: u64, holder: &str) {
        self.counts[table_of(holder)] += 1;
        match self.runs.last_mut() {
            Some((first, length)) if *first + *length == index => *length += 1,
            _ => self.runs.push((index, 1)),
        }
    }

    /// Remembers how far it got.
    pub(super) fn mark(&self) -> DroppedMark {
        DroppedMark { runs: self.runs.len(), last: self.runs.last().copied(), counts: self.counts }
    }

    /// Forgets what was added since.
    pub(super) fn go_back(&mut self, mark: DroppedMark) {
        self.counts = mark.counts;
        self.runs.truncate(mark.runs);
        if let (Some(run), Some(last)) = (self.runs.last_mut(), mark.last) {
            *run = last;
        }
    }

    /// Returns how many records of which table were left out.
    pub fn by_table(&self) -> impl Iterator<Item = (TableName, u64)> {
        Self::tables().into_iter().zip(self.counts).filter(|(_, count)| *count > 0)
    }

    fn tables() -> [TableName; TABLES] {
        let metrics = [&tables::METRIC_SAMPLES, &tables::METRIC_HISTOGRAMS, &tables::METRIC_EXPONENTIAL_HISTOGRAMS];
        let [samples, histograms, exponentials] = metrics.map(|table| table.name.clone());
        let [logs, spans] = [&tables::LOGS, &tables::SPANS].map(|table| table.name.clone());
        [logs, spans, samples, histograms, exponentials, tables::METRIC_SUMMARIES.name.clone()]
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
    counts: [u64; TABLES],
}

/// Returns the place in [`Dropped::tables`] of what the field holds.
fn table_of(holder: &str) -> usize {
    match holder {
        "scopeLogs" => 0,
        "scopeSpans" => 1,
        "histogram" => 3,
        "exponentialHistogram" => 4,
        "summary" => 5,
        _ => 2,
    }
}
