use arrow_array::RecordBatch;
use arrow_schema::ArrowError;
use hashbrown::{HashMap, HashSet, HashTable};
use tidegate_model::TableName;
use tidegate_model::tables::{CATALOG_ATTRIBUTES, CATALOG_SIGNALS};
use twox_hash::XxHash3_64;

use super::hashes::Hashes;
use super::rows::{Numbers, TextLists, Texts, number, time};
use super::words::{Word, Words};

/// What came by one name (of a metric or span; a severity) from one service, of one template.
#[derive(Debug)]
pub struct Source {
    /// The template of log records, 0 where there is none.
    pub template_id: u64,
    /// The service.
    pub service: Word,
    /// Log records, spans, data points.
    pub records: u64,
    /// Of names, bodies and attributes, as text.
    pub bytes: u64,
    /// The earliest time, in Unix nanoseconds.
    pub first: i64,
    /// The latest time, in Unix nanoseconds.
    pub last: i64,
    /// The fingerprints of a metric's series.
    pub series: Hashes,
    /// `kind:SERVER`, `event:exception`, …
    pub facets: HashSet<Word>,
    /// The beginning of a body.
    pub example: Box<str>,
    /// Of attributes, events, links: how many a producer left out, the most of one record, and of how many records.
    pub dropped: [[u64; 3]; 3],
}

/// What came of one attribute of these.
#[derive(Debug)]
pub struct Attribute {
    /// Where it is: `resource`, `scope`, `attribute`, `event`, `link`.
    pub scope: Word,
    /// Its key.
    pub key: Word,
    /// As in [`Source`].
    pub template_id: u64,
    /// As in [`Source`].
    pub service: Word,
    /// How often it came.
    pub records: u64,
    /// Of key and value, as text.
    pub bytes: u64,
    /// As in [`Source`].
    pub first: i64,
    /// As in [`Source`].
    pub last: i64,
    /// The distinct values.
    pub values: Hashes,
    /// Records whose value is not among them.
    pub unlisted: u64,
}

/// All that came by one name.
#[derive(Debug, Default)]
pub struct Item {
    /// By service and template.
    pub sources: Vec<Source>,
    /// By scope, key, service and template.
    pub attributes: Vec<Attribute>,
    source_places: HashTable<u32>,
    attribute_places: HashTable<u32>,
}

/// The text of one value wherever its key was, with that place.
type ValueTexts = Vec<(Word, Box<str>)>;

/// Everything that was counted, over all hours.
#[derive(Debug, Default)]
pub struct Catalogue {
    words: Words,
    items: HashMap<(Word, Word), Item>,
    /// The text of values, by key and hash, and where the key was.
    values: HashMap<(Word, u64), ValueTexts>,
    bytes: usize,
}

impl Catalogue {
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

    /// Returns the text of a value: where its key was at one place, or anywhere.
    #[must_use]
    pub fn value(&self, key: Word, hash: u64, scope: Option<Word>) -> Option<&str> {
        let texts = self.values.get(&(key, hash))?;
        let own = texts.iter().find(|(place, _)| Some(*place) == scope).or(texts.first());
        own.map(|(_, text)| text.as_ref())
    }

    /// Adds rows of one of the catalogue's tables.
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
        if self.bytes + self.words.bytes <= room {
            return true;
        }
        let sets = self.items.values_mut().flat_map(|item| {
            let series = item.sources.iter_mut().map(|source| &mut source.series);
            series.chain(item.attributes.iter_mut().map(|attribute| &mut attribute.values))
        });
        let mut sets: Vec<&mut Hashes> = sets.filter(|set| matches!(set, Hashes::Many(_))).collect();
        sets.sort_unstable_by_key(|set| std::cmp::Reverse(set.bytes()));
        // Some more than needed, so that not every batch comes to this.
        let mut sets = sets.into_iter();
        while self.bytes + self.words.bytes > room / 4 * 3 {
            let Some(largest) = sets.next() else { break };
            largest.spill(&mut self.bytes);
        }
        self.bytes + self.words.bytes <= room
    }

    fn add_sources(&mut self, rows: &RecordBatch) -> Result<(), ArrowError> {
        let text = |name| Texts::of(rows, name);
        let (signal, name, service) = (text("signal")?, text("name")?, text("service_name")?);
        let (template, records, bytes) =
            (number(rows, "template_id")?, number(rows, "records")?, number(rows, "bytes")?);
        let (first, last) = (time(rows, "first_timestamp")?, time(rows, "last_timestamp")?);
        let (series, facets) = (Numbers::of(rows, "series")?, TextLists::of(rows, "facets")?);
        let example = text("example")?;
        let mut dropped: [[&[u64]; 3]; 3] = Default::default();
        for (columns, what) in dropped.iter_mut().zip(["attributes", "events", "links"]) {
            for (column, of) in columns.iter_mut().zip(["", "_max", "_records"]) {
                *column = number(rows, &format!("dropped_{what}{of}"))?;
            }
        }
        for row in 0..rows.num_rows() {
            let by = (self.words.put(signal.get(row)), self.words.put(name.get(row)));
            let service = self.words.put(service.get(row));
            let item = item(&mut self.items, &mut self.bytes, by);
            let source = item.source(template[row], service, &mut self.bytes);
            source.records += records[row];
            source.bytes += bytes[row];
            source.first = source.first.min(first[row]);
            source.last = source.last.max(last[row]);
            source.series.add(series.get(row), &mut self.bytes);
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
        let (values, unlisted) = (Numbers::of(rows, "value_hashes")?, number(rows, "unlisted")?);
        for row in 0..rows.num_rows() {
            let by = (self.words.put(signal.get(row)), self.words.put(name.get(row)));
            let own = [scope.get(row), key.get(row), service.get(row)].map(|text| self.words.put(text));
            let item = item(&mut self.items, &mut self.bytes, by);
            let attribute = item.attribute(own, template[row], &mut self.bytes);
            attribute.records += records[row];
            attribute.bytes += bytes[row];
            attribute.first = attribute.first.min(first[row]);
            attribute.last = attribute.last.max(last[row]);
            attribute.unlisted += unlisted[row];
            attribute.values.add(values.get(row), &mut self.bytes);
        }
        Ok(())
    }

    fn add_values(&mut self, rows: &RecordBatch) -> Result<(), ArrowError> {
        let text = |name| Texts::of(rows, name);
        let (scope, key, value, hash) = (text("scope")?, text("key")?, text("value")?, number(rows, "value_hash")?);
        for (row, hash) in hash.iter().enumerate() {
            let (scope, key) = (self.words.put(scope.get(row)), self.words.put(key.get(row)));
            let texts = self.values.entry((key, *hash)).or_default();
            if texts.iter().all(|(known, _)| *known != scope) {
                let text: Box<str> = value.get(row).into();
                self.bytes += text.len() + 2 * size_of::<(Word, Box<str>)>() + size_of::<(Word, u64)>();
                texts.push((scope, text));
            }
        }
        Ok(())
    }
}

fn item<'i>(items: &'i mut HashMap<(Word, Word), Item>, bytes: &mut usize, by: (Word, Word)) -> &'i mut Item {
    items.entry(by).or_insert_with(|| {
        *bytes += 2 * size_of::<Item>();
        Item::default()
    })
}

impl Item {
    fn source(&mut self, template_id: u64, service: Word, bytes: &mut usize) -> &mut Source {
        let hash_of = |source: &Source| hash(&[source.service], source.template_id);
        let is_it = |at: &u32| {
            let source = &self.sources[place(*at)];
            source.service == service && source.template_id == template_id
        };
        let hashed = hash(&[service], template_id);
        let at = match self.source_places.find(hashed, is_it) {
            Some(at) => place(*at),
            None => {
                let at = self.sources.len();
                push(&mut self.sources, Source::new(template_id, service));
                let sources = &self.sources;
                self.source_places.insert_unique(hashed, number_of(at), |at| hash_of(&sources[place(*at)]));
                *bytes += size_of::<Source>() + 2 * size_of::<u32>();
                at
            }
        };
        &mut self.sources[at]
    }

    fn attribute(&mut self, [scope, key, service]: [Word; 3], template_id: u64, bytes: &mut usize) -> &mut Attribute {
        let hash_of = |own: &Attribute| hash(&[own.scope, own.key, own.service], own.template_id);
        let is_it = |at: &u32| {
            let own = &self.attributes[place(*at)];
            (own.scope, own.key, own.service, own.template_id) == (scope, key, service, template_id)
        };
        let hashed = hash(&[scope, key, service], template_id);
        let at = match self.attribute_places.find(hashed, is_it) {
            Some(at) => place(*at),
            None => {
                let at = self.attributes.len();
                push(&mut self.attributes, Attribute::new([scope, key, service], template_id));
                let attributes = &self.attributes;
                self.attribute_places.insert_unique(hashed, number_of(at), |at| hash_of(&attributes[place(*at)]));
                *bytes += size_of::<Attribute>() + 2 * size_of::<u32>();
                at
            }
        };
        &mut self.attributes[at]
    }
}

impl Source {
    fn new(template_id: u64, service: Word) -> Self {
        Self {
            template_id,
            service,
            records: 0,
            bytes: 0,
            first: i64::MAX,
            last: i64::MIN,
            series: Hashes::default(),
            facets: HashSet::new(),
            example: Box::default(),
            dropped: [[0; 3]; 3],
        }
    }
}

impl Attribute {
    fn new([scope, key, service]: [Word; 3], template_id: u64) -> Self {
        let (first, last) = (i64::MAX, i64::MIN);
        Self {
            scope,
            key,
            template_id,
            service,
            records: 0,
            bytes: 0,
            first,
            last,
            values: Hashes::default(),
            unlisted: 0,
        }
    }
}

fn hash(words: &[Word], template_id: u64) -> u64 {
    words.iter().fold(template_id, |seed, word| XxHash3_64::oneshot_with_seed(seed, &word.number().to_le_bytes()))
}

fn number_of(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

fn place(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Adds to a list of which there are very many: most have one entry or a few, so it grows by little.
fn push<T>(list: &mut Vec<T>, entry: T) {
    if list.len() == list.capacity() {
        list.reserve_exact(list.len() / 2 + 1);
    }
    list.push(entry);
}
