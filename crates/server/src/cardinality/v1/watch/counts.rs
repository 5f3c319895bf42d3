use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use serde::Deserialize;
use tidegate_core::buffer::TableTail;
use tidegate_core::rollup::Observed;
use tidegate_model::{ErrorKind, Seq, TableName};
use tokio::sync::Mutex;

use super::super::super::arguments::Page;
use super::super::super::read::{Ranked, Reader, Sql};
use super::statement::{Between, found_in_series, values};
use crate::errors::Failure;

/// What the values of one key may take in memory, in bytes; a key with more is counted in the tables at each request.
const VALUES_BYTES_MAX: usize = 16 << 20;
/// What a value takes beside its text.
const VALUE_BYTES: usize = 48;

/// How often new rows are counted, whether or not somebody asks: well before their batch leaves memory.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The values of a watched key, one by one.
#[derive(Debug)]
pub(in super::super::super) struct Counts {
    /// The newest row of each table that is counted.
    counted: Vec<(TableName, Seq)>,
    values: HashMap<String, u64>,
    /// Those that the series of data points have.
    series: HashMap<u64, Vec<String>>,
    bytes: usize,
}

/// How many distinct values and observations there are.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Totals {
    pub(super) total: u64,
    pub(super) observations: u64,
}

/// One value.
#[derive(Debug, Deserialize)]
pub(super) struct Counted {
    pub(super) text_of: String,
    pub(super) n: u64,
}

#[derive(Debug, Deserialize)]
struct OfSeries {
    fingerprint: u64,
    found: Vec<String>,
}

/// Which values are listed, and how.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) prefix: String,
    pub(super) by_value: bool,
    pub(super) rises: bool,
    pub(super) page: Page,
}

impl Counts {
    /// Counts nothing yet: rows above these.
    pub(super) fn above(heads: Vec<(TableName, Seq)>) -> Self {
        Self { counted: heads, values: HashMap::new(), series: HashMap::new(), bytes: 0 }
    }

    /// Says whether there are more values than are kept: then there are none.
    pub(super) const fn is_too_much(&self) -> bool {
        self.bytes > VALUES_BYTES_MAX
    }

    /// Counts every row that was acknowledged before.
    pub(super) async fn catch_up(&mut self, reader: &Reader, key: &str) -> Result<(), Failure> {
        let names: Vec<TableName> = self.counted.iter().map(|(table, _)| table.clone()).collect();
        let tails = reader.stages.buffer.snapshot(&names);
        let mut observed = self.of_stored(reader, key, &tails).await?;
        let (hot, heads) = self.of_hot(key, tails).await?;
        for (value, n) in hot.values {
            *observed.entry(value).or_default() += n;
        }
        let unknown: BTreeSet<u64> = hot.series.keys().filter(|id| !self.series.contains_key(*id)).copied().collect();
        if !unknown.is_empty() {
            let sql = Sql::new(found_in_series()).text("key", key).numbers("series", unknown.iter().copied());
            let found: Vec<OfSeries> = reader.rows(sql).await?;
            self.bytes += unknown.len() * VALUE_BYTES;
            self.series.extend(unknown.into_iter().map(|fingerprint| (fingerprint, Vec::new())));
            for own in found {
                self.bytes += own.found.iter().map(|value| value.len() + VALUE_BYTES).sum::<usize>();
                self.series.insert(own.fingerprint, own.found);
            }
        }
        // From here on nothing can fail: either all of these rows are counted, or none.
        for (fingerprint, n) in hot.series {
            for value in self.series.get(&fingerprint).into_iter().flatten() {
                *observed.entry_ref(value).or_default() += n;
            }
        }
        for (value, n) in observed {
            let bytes = value.len() + VALUE_BYTES;
            let known = self.values.len();
            *self.values.entry(value).or_default() += n;
            self.bytes += bytes * (self.values.len() - known);
        }
        self.counted = heads;
        if self.is_too_much() {
            (self.values, self.series) = (HashMap::new(), HashMap::new());
        }
        Ok(())
    }

    /// Counts the rows that were stored before they were counted.
    async fn of_stored(
        &self,
        reader: &Reader,
        key: &str,
        tails: &[TableTail],
    ) -> Result<HashMap<String, u64>, Failure> {
        let behind = self.counted.iter().zip(tails).filter(|((_, counted), tail)| *counted < tail.stored);
        let between: Vec<Between> = behind
            .map(|((table, counted), tail)| Between { table: table.clone(), after: *counted, to: tail.stored })
            .collect();
        let Some(values) = values(&between) else { return Ok(HashMap::new()) };
        let sql = Sql::new(format!("SELECT text_of, count() AS n FROM ({values}) GROUP BY text_of")).text("key", key);
        let rows: Vec<Counted> = reader.rows(sql).await?;
        Ok(rows.into_iter().map(|row| (row.text_of, row.n)).collect())
    }

    async fn of_hot(&self, key: &str, tails: Vec<TableTail>) -> Result<(Observed, Vec<(TableName, Seq)>), Failure> {
        let (key, counted) = (key.to_owned(), self.counted.clone());
        let counting = tokio::task::spawn_blocking(move || {
            let (mut observed, mut heads) = (Observed::default(), Vec::new());
            for ((table, counted), tail) in counted.into_iter().zip(tails) {
                for chunk in tail.chunks.into_iter().filter(|chunk| chunk.range.last > counted) {
                    let rows = chunk.above(counted).rows().map_err(|error| Failure::of(error.kind(), &error))?;
                    let added = observed.add(&table, &rows, &key);
                    added.map_err(|error| Failure::of(ErrorKind::Internal, &error))?;
                }
                heads.push((table, tail.head));
            }
            Ok((observed, heads))
        });
        counting.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }

    /// Returns how many values there are, and a page of those that are wanted.
    pub(super) fn listed(&self, wanted: &Wanted) -> (Totals, Ranked<Counted>) {
        let totals = Totals { total: self.values.len() as u64, observations: self.values.values().sum() };
        let own = self.values.iter().filter(|(value, _)| value.starts_with(&wanted.prefix));
        let mut own: Vec<(&String, u64)> = own.map(|(value, n)| (value, *n)).collect();
        let (total, samples) = (own.len() as u64, own.iter().map(|(_, n)| n).sum());
        own.sort_unstable_by(|a, b| {
            let by_text = a.0.cmp(b.0);
            let rising = if wanted.by_value { by_text } else { a.1.cmp(&b.1) };
            (if wanted.rises { rising } else { rising.reverse() }).then(by_text)
        });
        let page = wanted.page.of(own).map(|(value, n)| Counted { text_of: value.clone(), n });
        (totals, Ranked { rows: page.collect(), total, samples })
    }
}

/// Counts new rows as long as the key is watched.
pub(super) async fn keep_up(reader: Reader, key: String, counts: Arc<Mutex<Counts>>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let watch = reader.stages.cardinality.watches().get(&key).cloned();
        if watch.is_none_or(|watch| !Arc::ptr_eq(&watch.counts, &counts)) {
            return;
        }
        let mut counts = counts.lock().await;
        if counts.is_too_much() {
            return;
        }
        if let Err(failure) = counts.catch_up(&reader, &key).await {
            tracing::debug!(key, failure = failure.message, "a watch could not count, trying again");
        }
    }
}
