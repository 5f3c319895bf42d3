use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;
use hashbrown::HashMap;
use tidegate_model::TableName;
use tidegate_model::tables::{CATALOG_ATTRIBUTES, CATALOG_SIGNALS};

use super::counted::{Counted, Row};
use super::hashes::Hashes;
use super::item::{Item, Together, index};
use super::rows::{Numbers, TextLists, Texts, hours, number, time};
use super::summary::Scope;
use super::values::{Text, Values};
use super::words::{Word, Words};

/// Where an attribute is: signal and name of its item, its number there.
type AttributeAt = ((Word, Word), u32);

/// Facets of metrics whose points have buckets.
const WITH_BUCKETS: [&str; 2] = ["type:histogram", "type:exponential_histogram"];

/// What a name takes among those of its signal.
const NAME_BYTES: usize = 2 * size_of::<Arc<str>>();

/// The names of one signal.
#[derive(Debug, Default)]
pub struct Names {
    /// How many log records, spans or data points came by all of them.
    pub records: u64,
    sorted: BTreeSet<Arc<str>>,
}

/// Everything that was counted, over all hours.
#[derive(Debug, Default)]
pub struct Catalogue {
    words: Words,
    items: HashMap<(Word, Word), Item>,
    /// What came of a key in one scope of one signal, of all items together.
    keys: HashMap<[Word; 3], Together<AttributeAt>>,
    /// The names of each signal.
    names: HashMap<Word, Names>,
    /// Of all metrics.
    series: Hashes,
    values: Values,
    bytes: usize,
    /// How many additions there were to this catalogue and to those that were held before it.
    additions: Arc<AtomicU64>,
}

impl Catalogue {
    /// Returns one that is empty; its additions are counted on from those of others.
    pub(super) fn after(additions: Arc<AtomicU64>) -> Self {
        Self { additions, ..Self::default() }
    }

    /// Returns a text's number; `None`: it never came.
    #[must_use]
    pub fn word(&self, text: &str) -> Option<Word> {
        self.words.find(text)
    }

    /// Returns a number's text.
    #[must_use]
    pub fn text(&self, word: Word) -> &str {
        self.words.text(word)
    }

    /// Returns all that came by one name.
    #[must_use]
    pub fn item(&self, signal: &str, name: &str) -> Option<&Item> {
        self.items.get(&(self.word(signal)?, self.word(name)?))
    }

    /// Returns everything, in no order: signal, name, what came.
    pub fn items(&self) -> impl Iterator<Item = (Word, Word, &Item)> {
        self.items.iter().map(|((signal, name), item)| (*signal, *name, item))
    }

    /// Returns the names of a signal; `None`: nothing of it came.
    #[must_use]
    pub fn names(&self, signal: &str) -> Option<&Names> {
        self.names.get(&self.word(signal)?)
    }

    /// Returns what came of each key, of all items together, in no order: signal, scope, key, how much.
    pub fn keys(&self) -> impl Iterator<Item = ([Word; 3], &Counted)> {
        let of = |(item, at): &'_ AttributeAt| &self.items[item].attributes[index(*at)].counted;
        self.keys.iter().map(move |(by, key)| (*by, key.counted(of)))
    }

    /// Returns the fingerprints of all series.
    #[must_use]
    pub const fn series(&self) -> &Hashes {
        &self.series
    }

    /// Returns the text of a value.
    #[must_use]
    pub fn value(&self, text: Text) -> Option<&Arc<str>> {
        self.values.text(text)
    }

    /// Adds rows of one of the catalogue's tables. Rows that tell the text of values come before those that count them.
    pub fn add(&mut self, table: &TableName, rows: &RecordBatch) -> Result<(), ArrowError> {
        if *table == CATALOG_SIGNALS.name {
            self.add_sources(rows)
        } else if *table == CATALOG_ATTRIBUTES.name {
            self.add_attributes(rows)
        } else {
            self.add_values(rows)
        }
    }

    /// Gives up the largest sets of values until the rest fits into so many bytes; `false`: it never will.
    pub fn fits(&mut self, room: usize) -> bool {
        if self.size() <= room {
            return true;
        }
        let of_keys = self.keys.values_mut().filter_map(|key| match key {
            Together::One(_) => None,
            Together::Several(counted) => Some(&mut counted.values),
        });
        let sets = self.items.values_mut().flat_map(Item::sets).chain(of_keys).chain([&mut self.series]);
        let mut sets: Vec<&mut Hashes> = sets.filter(|set| matches!(set, Hashes::Many(_))).collect();
        sets.sort_unstable_by_key(|set| std::cmp::Reverse(set.bytes()));
        // Some more than needed, so that not every batch comes to this.
        let mut sets = sets.into_iter();
        while self.bytes + self.words.bytes + self.values.bytes > room / 4 * 3 {
            let Some(largest) = sets.next() else { break };
            largest.spill(&mut self.bytes);
        }
        self.items.values_mut().for_each(Item::note_spilled);
        self.size() <= room
    }

    fn size(&self) -> usize {
        self.bytes + self.words.bytes + self.values.bytes
    }

    /// What comes of attributes comes with their sources.
    fn add_sources(&mut self, rows: &RecordBatch) -> Result<(), ArrowError> {
        let addition = self.additions.fetch_add(1, Ordering::Relaxed) + 1;
        let text = |name| Texts::of(rows, name);
        let (signal, name, service) = (text("signal")?, text("name")?, text("service_name")?);
        let (template, records, bytes) =
            (number(rows, "template_id")?, number(rows, "records")?, number(rows, "bytes")?);
        let (first, last) = (time(rows, "first_timestamp")?, time(rows, "last_timestamp")?);
        let hours = hours(rows)?;
        let (series, facets) = (Numbers::of(rows, "series")?, TextLists::of(rows, "facets")?);
        let example = text("example")?;
        let mut dropped: [[&[u64]; 3]; 3] = Default::default();
        for (columns, what) in dropped.iter_mut().zip(["attributes", "events", "links"]) {
            for (column, of) in columns.iter_mut().zip(["", "_max", "_records"]) {
                *column = number(rows, &format!("dropped_{what}{of}"))?;
            }
        }
        let mut fresh = Vec::new();
        for row in 0..rows.num_rows() {
            let by = (self.words.put(signal.get(row)), self.words.put(name.get(row)));
            let service = self.words.put(service.get(row));
            let item = item(&mut self.items, &mut self.bytes, by);
            let source = item.source(template[row], service, &mut self.bytes);
            source.changed = addition;
            source.records += records[row];
            source.bytes += bytes[row];
            source.first = source.first.min(first[row]);
            source.last = source.last.max(last[row]);
            source.hours.add(hours(row));
            fresh.clear();
            source.series.add(series.get(row), &mut self.bytes, &mut fresh);
            self.series.add(&fresh, &mut self.bytes, &mut Vec::new());
            let before = source.facets.allocation_size();
            source.facets.extend(facets.get(row).map(|facet| self.words.put(facet)));
            self.bytes += source.facets.allocation_size() - before;
            if example.get(row) > source.example.as_ref() {
                self.bytes += example.get(row).len();
                source.example = example.get(row).into();
            }
            for (own, [total, max, records]) in source.dropped.iter_mut().zip(&dropped) {
                *own = [own[0] + total[row], own[1].max(max[row]), own[2] + records[row]];
            }
            let is_new = item.summary.records == 0;
            item.summary.records += records[row];
            item.summary.add_times(first[row], last[row]);
            item.summary.has_buckets |= facets.get(row).any(|facet| WITH_BUCKETS.contains(&facet));
            let named = self.names.entry(by.0).or_default();
            named.records += records[row];
            if is_new {
                named.sorted.insert(self.words.shared(by.1));
                self.bytes += NAME_BYTES;
            }
        }
        Ok(())
    }

    fn add_attributes(&mut self, rows: &RecordBatch) -> Result<(), ArrowError> {
        let text = |name| Texts::of(rows, name);
        let (signal, name, service) = (text("signal")?, text("name")?, text("service_name")?);
        let (scope, key) = (text("scope")?, text("key")?);
        let (template, records, bytes) =
            (number(rows, "template_id")?, number(rows, "records")?, number(rows, "bytes")?);
        let (first, last) = (time(rows, "first_timestamp")?, time(rows, "last_timestamp")?);
        let hours = hours(rows)?;
        let (hashes, unlisted) = (Numbers::of(rows, "value_hashes")?, number(rows, "unlisted")?);
        let mut fresh = Vec::new();
        for row in 0..rows.num_rows() {
            let by = (self.words.put(signal.get(row)), self.words.put(name.get(row)));
            let own = [scope.get(row), key.get(row), service.get(row)].map(|text| self.words.put(text));
            let counted = Row {
                key: own[1],
                records: records[row],
                bytes: bytes[row],
                first: first[row],
                last: last[row],
                hours: hours(row),
                unlisted: unlisted[row],
                hashes: hashes.get(row),
            };
            fresh.clear();
            let item = item(&mut self.items, &mut self.bytes, by);
            let of = (Scope::named(scope.get(row)), own, template[row]);
            let at = item.add(of, counted, (&self.values, &mut self.bytes, &mut fresh));
            self.add_to_key((by, at), [by.0, own[0], own[1]], Row { hashes: &fresh, ..counted });
        }
        Ok(())
    }

    fn add_to_key(&mut self, at: AttributeAt, by: [Word; 3], row: Row<'_>) {
        let Self { items, keys, values, bytes, .. } = self;
        let key = keys.entry(by).or_insert_with(|| {
            *bytes += 2 * size_of::<([Word; 3], Together<AttributeAt>)>();
            Together::One(at)
        });
        key.add(at, row, (values, bytes), |(item, at)| &items[item].attributes[index(*at)].counted);
    }

    fn add_values(&mut self, rows: &RecordBatch) -> Result<(), ArrowError> {
        let text = |name| Texts::of(rows, name);
        let (key, value, hash) = (text("key")?, text("value")?, number(rows, "value_hash")?);
        for (row, hash) in hash.iter().enumerate() {
            let key = self.words.put(key.get(row));
            self.values.put(key, *hash, value.get(row));
        }
        Ok(())
    }
}

impl Names {
    /// Returns them in their order.
    pub fn sorted(&self) -> impl ExactSizeIterator<Item = &str> {
        self.sorted.iter().map(|name| &**name)
    }

    /// Says whether one of them came.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.sorted.contains(name)
    }
}

fn item<'i>(items: &'i mut HashMap<(Word, Word), Item>, bytes: &mut usize, by: (Word, Word)) -> &'i mut Item {
    items.entry(by).or_insert_with(|| {
        *bytes += 2 * size_of::<Item>();
        Item::default()
    })
}
