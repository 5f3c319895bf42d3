use std::ops::Range;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet, HashTable};
use tidegate_model::limits::{
    CATALOG_ATTRIBUTES_PER_BATCH, CATALOG_EXAMPLE_BYTES, CATALOG_FACETS_MAX, CATALOG_GROUPS_PER_BATCH,
    CATALOG_VALUE_BYTES,
};
use tidegate_model::{PARTITION_ODD, PartitionDay, Signal};
use twox_hash::XxHash3_64;

use super::distinct::Distinct;
use super::registry::{OVERFLOW, Registry, hash_of};

const HOUR_NANOS: i64 = 3_600_000_000_000;
const DAY_NANOS: i64 = 24 * HOUR_NANOS;

/// Which row of `catalog_signals` a record is counted in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Who<'a> {
    pub(super) signal: Signal,
    pub(super) name: &'a str,
    pub(super) template_id: u64,
    pub(super) service: &'a str,
    pub(super) hour: i64,
    pub(super) partition: PartitionDay,
}

/// Where an attribute is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Place {
    Resource,
    Scope,
    Attribute,
    Event,
    Link,
}

impl Place {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Resource => "resource",
            Self::Scope => "scope",
            Self::Attribute => "attribute",
            Self::Event => "event",
            Self::Link => "link",
        }
    }
}

/// A count of things that a producer left out of its records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Dropped {
    pub(super) total: u64,
    pub(super) max: u64,
    pub(super) records: u64,
}

/// How often something came, and when first and last, in Unix nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tally {
    pub(super) records: u64,
    pub(super) first: i64,
    pub(super) last: i64,
}

impl Tally {
    const NONE: Self = Self { records: 0, first: i64::MAX, last: i64::MIN };

    pub(super) const fn once(time: i64) -> Self {
        Self { records: 1, first: time, last: time }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.records += other.records;
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }
}

/// What is noted of a record at once: mostly the same as of one before, and then not looked at again.
pub(super) type Quality = [u32; 6];

/// One row of `catalog_signals`.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) template_id: u64,
    pub(super) service: String,
    pub(super) hour: i64,
    pub(super) partition: PartitionDay,
    pub(super) tally: Tally,
    pub(super) bytes: u64,
    /// Of the attributes of its series, which are counted at the end.
    pub(super) attribute_bytes: u64,
    pub(super) attributes: Vec<Attribute>,
    pub(super) series: HashMap<u64, Tally>,
    pub(super) facets: Vec<(&'static str, String)>,
    pub(super) example: String,
    /// Of attributes, events and links.
    pub(super) dropped: [Dropped; 3],
    recent: [Quality; 2],
}

/// One row of `catalog_attributes`.
#[derive(Debug)]
pub(super) struct Attribute {
    pub(super) key: usize,
    pub(super) tally: Tally,
    pub(super) bytes: u64,
    pub(super) values: Distinct,
}

/// One key in one place.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) place: Place,
    pub(super) text: String,
    /// Of signal, place and text.
    pub(super) id: u64,
    /// Values whose text is stored.
    known: Arc<HashSet<u64>>,
    /// How many more may be.
    room: usize,
    noted: HashSet<u64>,
    pub(super) texts: Vec<ValueText>,
}

/// The text of a value that nobody told before.
#[derive(Debug)]
pub(super) struct ValueText {
    pub(super) hash: u64,
    pub(super) text: Range<usize>,
    pub(super) partition: PartitionDay,
    pub(super) time: i64,
}

/// Counts rows of one table, and their attributes.
#[derive(Debug)]
pub struct Reducer {
    pub(super) registry: Registry,
    pub(super) groups: Vec<Group>,
    pub(super) keys: Vec<Key>,
    pub(super) text: String,
    group_places: HashTable<usize>,
    key_places: HashMap<u64, usize>,
    /// The place of each attribute of each group; most are found without it.
    attribute_places: HashMap<(usize, usize), usize>,
    attributes: usize,
    /// How many record batches were counted: numbers of words mean something within one.
    pub(super) batches: u32,
    pub(super) signal: Signal,
}

impl Reducer {
    pub(super) fn new(registry: Registry) -> Self {
        Self {
            registry,
            groups: Vec::new(),
            keys: Vec::new(),
            text: String::new(),
            group_places: HashTable::new(),
            key_places: HashMap::new(),
            attribute_places: HashMap::new(),
            attributes: 0,
            batches: 0,
            signal: Signal::Logs,
        }
    }

    /// Returns the fingerprints of all series that were counted.
    pub fn fingerprints(&self) -> impl Iterator<Item = u64> {
        self.groups.iter().flat_map(|group| group.series.keys().copied())
    }

    /// Returns the group of a record.
    pub(super) fn group(&mut self, who: &Who<'_>) -> usize {
        if let Some(place) = self.known_group(who) {
            return place;
        }
        let mut who = *who;
        if self.groups.len() >= CATALOG_GROUPS_PER_BATCH {
            (who.name, who.service, who.template_id) = (OVERFLOW, OVERFLOW, 0);
            who.hour = i64::from(who.partition) * DAY_NANOS;
        }
        if !self.registry.admit_name(who.signal.as_str(), who.name) {
            (who.name, who.template_id) = (OVERFLOW, 0);
        }
        if !self.registry.admit_service(who.service) {
            who.service = OVERFLOW;
        }
        self.known_group(&who).unwrap_or_else(|| self.add_group(&who))
    }

    fn known_group(&self, who: &Who<'_>) -> Option<usize> {
        self.group_places.find(who.hash(), |place| self.groups[*place].is(who)).copied()
    }

    fn add_group(&mut self, who: &Who<'_>) -> usize {
        let (place, signal) = (self.groups.len(), who.signal);
        self.groups.push(Group {
            name: who.name.to_owned(),
            template_id: who.template_id,
            service: who.service.to_owned(),
            hour: who.hour,
            partition: who.partition,
            tally: Tally::NONE,
            bytes: 0,
            attribute_bytes: 0,
            attributes: Vec::new(),
            series: HashMap::new(),
            facets: Vec::new(),
            example: String::new(),
            dropped: [Dropped::default(); 3],
            recent: [[u32::MAX; 6]; 2],
        });
        let groups = &self.groups;
        self.group_places.insert_unique(who.hash(), place, |place| groups[*place].who(signal).hash());
        place
    }

    /// Returns the number of a key of this reducer.
    pub(super) fn key(&mut self, place: Place, text: &str) -> usize {
        let id_of = |text: &str| hash_of(&[self.signal.as_str(), place.name(), text]);
        let id = id_of(text);
        if let Some(key) = self.key_places.get(&id) {
            return *key;
        }
        let (text, admitted) = match self.registry.admit_key(id) {
            Some(known) => (text, known),
            None => (OVERFLOW, (Arc::default(), 0)),
        };
        let admitted_id = id_of(text);
        if let Some(key) = self.key_places.get(&admitted_id) {
            return *key;
        }
        let (known, room) = admitted;
        let (noted, texts) = (HashSet::new(), Vec::new());
        self.keys.push(Key { place, text: text.to_owned(), id: admitted_id, known, room, noted, texts });
        self.key_places.insert(admitted_id, self.keys.len() - 1);
        self.keys.len() - 1
    }

    /// Counts an attribute in a group; `expected` is where it probably is among the group's. Returns where it was.
    pub(super) fn attribute(
        &mut self,
        (group, expected): (usize, usize),
        key: usize,
        value: &str,
        tally: &Tally,
    ) -> usize {
        let hash = XxHash3_64::oneshot(value.as_bytes());
        let (at, is_new) = self.count_attribute((group, expected), key, (hash, value.len()), tally);
        let group = &mut self.groups[group];
        group.bytes += tally.records * (self.keys[key].text.len() + value.len()) as u64;
        if is_new {
            let (key, partition) = (group.attributes[at].key, group.partition);
            self.note_value(key, (hash, value), (partition, tally.first));
        }
        at
    }

    /// The same for a value of which only the hash and the length are known.
    pub(super) fn count_attribute(
        &mut self,
        (group, expected): (usize, usize),
        key: usize,
        (hash, bytes): (u64, usize),
        tally: &Tally,
    ) -> (usize, bool) {
        let at = match self.groups[group].attributes.get(expected) {
            Some(attribute) if attribute.key == key => expected,
            _ => self.find_attribute(group, key),
        };
        let attribute = &mut self.groups[group].attributes[at];
        attribute.bytes += tally.records * (self.keys[key].text.len() + bytes) as u64;
        attribute.tally.add(tally);
        (at, attribute.values.add(hash))
    }

    /// Keeps the text of a value that nobody told before.
    pub(super) fn note_value(
        &mut self,
        key: usize,
        (hash, value): (u64, &str),
        (partition, time): (PartitionDay, i64),
    ) {
        let key = &mut self.keys[key];
        if key.noted.len() >= key.room || key.known.contains(&hash) || !key.noted.insert(hash) {
            return;
        }
        let start = self.text.len();
        self.text.push_str(cut(value, CATALOG_VALUE_BYTES));
        key.texts.push(ValueText { hash, text: start..self.text.len(), partition, time });
    }

    /// Forgets where a group's attributes are, which are about to be taken out of it.
    pub(super) fn forget_places(&mut self, group: usize) {
        for attribute in &self.groups[group].attributes {
            self.attribute_places.remove(&(group, attribute.key));
        }
        self.attributes -= self.groups[group].attributes.len();
    }

    fn find_attribute(&mut self, group: usize, key: usize) -> usize {
        if let Some(at) = self.attribute_places.get(&(group, key)) {
            return *at;
        }
        if self.attributes >= CATALOG_ATTRIBUTES_PER_BATCH && self.keys[key].text != OVERFLOW {
            let overflow = self.key(self.keys[key].place, OVERFLOW);
            return self.find_attribute(group, overflow);
        }
        let attributes = &mut self.groups[group].attributes;
        attributes.push(Attribute { key, tally: Tally::NONE, bytes: 0, values: Distinct::default() });
        self.attributes += 1;
        self.attribute_places.insert((group, key), attributes.len() - 1);
        attributes.len() - 1
    }
}

impl Group {
    /// Notes qualities of a record by name, such as a span's kind, unless the same ones were noted just before.
    pub(super) fn note(&mut self, quality: Quality, facets: impl Fn(&mut Self)) {
        let slot = usize::from(quality[1].to_le_bytes()[0] & 1);
        if self.recent[slot] != quality {
            self.recent[slot] = quality;
            facets(self);
        }
    }

    /// Notes one quality.
    pub(super) fn facet(&mut self, name: &'static str, value: &str) {
        if self.facets.iter().any(|(known, text)| *known == name && text == value) {
            return;
        }
        let value = if self.facets.len() < CATALOG_FACETS_MAX { value } else { OVERFLOW };
        if self.facets.len() <= CATALOG_FACETS_MAX {
            self.facets.push((name, value.to_owned()));
        }
    }

    /// Offers a body as the group's example.
    pub(super) fn example(&mut self, body: &str) {
        let body = cut(body, CATALOG_EXAMPLE_BYTES);
        // The greatest, so that an empty one never stands for others.
        if body > self.example.as_str() {
            self.example.clear();
            self.example.push_str(body);
        }
    }

    /// Counts what a record's producer left out: attributes, events, links.
    pub(super) fn dropped(&mut self, counts: [u32; 3]) {
        for (dropped, count) in self.dropped.iter_mut().zip(counts.map(u64::from)) {
            dropped.total += count;
            dropped.max = dropped.max.max(count);
            dropped.records += u64::from(count > 0);
        }
    }

    fn is(&self, who: &Who<'_>) -> bool {
        self.hour == who.hour
            && self.template_id == who.template_id
            && self.partition == who.partition
            && self.name == who.name
            && self.service == who.service
    }

    fn who(&self, signal: Signal) -> Who<'_> {
        Who {
            signal,
            name: &self.name,
            template_id: self.template_id,
            service: &self.service,
            hour: self.hour,
            partition: self.partition,
        }
    }
}

impl Who<'_> {
    fn hash(&self) -> u64 {
        let seed = self.hour.cast_unsigned() ^ self.template_id ^ u64::from(self.partition) << 48;
        let seed = XxHash3_64::oneshot_with_seed(seed, self.name.as_bytes());
        XxHash3_64::oneshot_with_seed(seed, self.service.as_bytes())
    }
}

/// Returns the beginning of a record's hour; all absurd times share one.
pub(super) fn hour_of(time: i64, partition: PartitionDay) -> i64 {
    if partition == PARTITION_ODD { 0 } else { time - time.rem_euclid(HOUR_NANOS) }
}

/// Returns at most so many bytes of a text, whole characters only.
fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}
