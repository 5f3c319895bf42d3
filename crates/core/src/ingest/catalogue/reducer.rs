use std::ops::Range;

use hashbrown::{HashSet, HashTable};
use tidegate_model::limits::{
    CATALOG_ATTRIBUTES_PER_REQUEST, CATALOG_EXAMPLE_BYTES, CATALOG_FACETS_MAX, CATALOG_GROUPS_PER_REQUEST,
    CATALOG_VALUE_BYTES,
};
use tidegate_model::{PARTITION_ODD, PartitionDay, Signal};
use twox_hash::XxHash3_64;

use super::registry::{OVERFLOW, Registry, hash_of};

const HOUR_NANOS: i64 = 3_600_000_000_000;
const DAY_NANOS: i64 = 24 * HOUR_NANOS;

/// Which row of `catalog_signals` a record is counted in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Who<'a> {
    pub(crate) signal: Signal,
    pub(crate) name: &'a [u8],
    pub(crate) template_id: u64,
    pub(crate) service: &'a [u8],
    pub(crate) timestamp: i64,
    pub(crate) partition: PartitionDay,
}

/// Where an attribute is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
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

/// The first and the last time of something, in Unix nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) first: i64,
    pub(super) last: i64,
}

impl Span {
    const NEVER: Self = Self { first: i64::MAX, last: i64::MIN };

    fn widen(&mut self, time: i64) {
        self.first = self.first.min(time);
        self.last = self.last.max(time);
    }
}

#[derive(Debug)]
pub(super) struct Group {
    pub(super) signal: Signal,
    pub(super) name: Vec<u8>,
    pub(super) template_id: u64,
    pub(super) service: Vec<u8>,
    pub(super) hour: i64,
    pub(super) partition: PartitionDay,
    pub(super) records: u64,
    pub(super) bytes: u64,
    pub(super) times: Span,
    pub(super) series: HashSet<u64>,
    pub(super) facets: Vec<(&'static str, Vec<u8>)>,
    pub(super) example: Vec<u8>,
    /// Of attributes, events and links.
    pub(super) dropped: [Dropped; 3],
    /// The attributes of the record before, in its order: the next one mostly has the same.
    order: Vec<usize>,
}

#[derive(Debug)]
pub(super) struct Attribute {
    pub(super) group: usize,
    pub(super) scope: Place,
    pub(super) key: Vec<u8>,
    /// Of signal, scope and key.
    pub(super) id: u64,
    pub(super) records: u64,
    pub(super) bytes: u64,
    pub(super) times: Span,
    pub(super) hashes: HashSet<u64>,
    last_hash: Option<u64>,
    wants_text: bool,
    /// The text of values seen first here.
    pub(super) texts: Vec<(u64, Range<usize>)>,
}

/// Counts one request's records and attributes.
#[derive(Debug)]
pub(crate) struct Reducer<'r> {
    pub(super) registry: &'r Registry,
    pub(super) groups: Vec<Group>,
    pub(super) attributes: Vec<Attribute>,
    group_places: HashTable<usize>,
    attribute_places: HashTable<usize>,
    pub(super) text: Vec<u8>,
    /// The group of the open record, and how many of its attributes came.
    current: usize,
    cursor: usize,
    time: i64,
}

impl<'r> Reducer<'r> {
    pub(crate) fn new(registry: &'r Registry) -> Self {
        Self {
            registry,
            groups: Vec::new(),
            attributes: Vec::new(),
            group_places: HashTable::new(),
            attribute_places: HashTable::new(),
            text: Vec::new(),
            current: 0,
            cursor: 0,
            time: 0,
        }
    }

    /// Forgets everything, for a request that is decoded again.
    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.registry);
    }

    /// Begins a record; what follows is counted for it.
    pub(crate) fn begin(&mut self, who: &Who<'_>, bytes: usize) {
        let hour = hour_of(who);
        let is_same = self.groups.get(self.current).is_some_and(|group| group.is(who, hour));
        if !is_same {
            self.current = self.find_group(who, hour);
        }
        self.cursor = 0;
        self.time = who.timestamp;
        let group = &mut self.groups[self.current];
        group.records += 1;
        group.bytes += bytes as u64;
        group.times.widen(who.timestamp);
    }

    /// Counts an attribute of the open record.
    pub(crate) fn attribute(&mut self, scope: Place, key: &[u8], value: &[u8]) {
        let expected = self.groups[self.current].order.get(self.cursor).copied();
        let place = match expected {
            Some(place) if self.attributes[place].scope == scope && self.attributes[place].key == key => place,
            _ => self.find_attribute(scope, key),
        };
        self.cursor += 1;
        let bytes = (key.len() + value.len()) as u64;
        self.groups[self.current].bytes += bytes;
        let attribute = &mut self.attributes[place];
        attribute.records += 1;
        attribute.bytes += bytes;
        attribute.times.widen(self.time);
        let hash = XxHash3_64::oneshot(value);
        if attribute.last_hash == Some(hash) {
            return;
        }
        attribute.last_hash = Some(hash);
        if attribute.hashes.insert(hash) && attribute.wants_text {
            let start = self.text.len();
            self.text.extend_from_slice(cut(value, CATALOG_VALUE_BYTES));
            attribute.texts.push((hash, start..self.text.len()));
        }
    }

    /// Notes a quality of the open record, such as a span's kind.
    pub(crate) fn facet(&mut self, name: &'static str, value: &[u8]) {
        let facets = &mut self.groups[self.current].facets;
        if facets.iter().any(|(known, text)| *known == name && text == value) {
            return;
        }
        let value = if facets.len() < CATALOG_FACETS_MAX { value } else { OVERFLOW.as_bytes() };
        if facets.len() <= CATALOG_FACETS_MAX {
            facets.push((name, value.to_vec()));
        }
    }

    /// Notes the series of the open record.
    pub(crate) fn series(&mut self, fingerprint: u64) {
        self.groups[self.current].series.insert(fingerprint);
    }

    /// Offers the open record's body as an example of its group.
    pub(crate) fn example(&mut self, body: &[u8]) {
        let example = &mut self.groups[self.current].example;
        let body = cut(body, CATALOG_EXAMPLE_BYTES);
        // An empty body, the smallest text, is no example where there is another.
        if body > example.as_slice() {
            example.clear();
            example.extend_from_slice(body);
        }
    }

    /// Counts what the open record's producer left out: attributes, events, links.
    pub(crate) fn dropped(&mut self, counts: [u32; 3]) {
        for (dropped, count) in self.groups[self.current].dropped.iter_mut().zip(counts.map(u64::from)) {
            dropped.total += count;
            dropped.max = dropped.max.max(count);
            dropped.records += u64::from(count > 0);
        }
    }

    fn find_group(&mut self, who: &Who<'_>, hour: i64) -> usize {
        if let Some(place) = self.known_group(who, hour) {
            return place;
        }
        let overflow = OVERFLOW.as_bytes();
        let (mut who, mut hour) = (*who, hour);
        if self.groups.len() >= CATALOG_GROUPS_PER_REQUEST {
            (who.name, who.service, who.template_id) = (overflow, overflow, 0);
            hour = i64::from(who.partition) * DAY_NANOS;
        }
        if !self.registry.admit_name(who.signal.as_str(), who.name) {
            (who.name, who.template_id) = (overflow, 0);
        }
        if !self.registry.admit_service(who.service) {
            who.service = overflow;
        }
        if let Some(place) = self.known_group(&who, hour) {
            return place;
        }
        let place = self.groups.len();
        self.groups.push(Group {
            signal: who.signal,
            name: who.name.to_vec(),
            template_id: who.template_id,
            service: who.service.to_vec(),
            hour,
            partition: who.partition,
            records: 0,
            bytes: 0,
            times: Span::NEVER,
            series: HashSet::new(),
            facets: Vec::new(),
            example: Vec::new(),
            dropped: [Dropped::default(); 3],
            order: Vec::new(),
        });
        let groups = &self.groups;
        self.group_places.insert_unique(group_hash(&who, hour), place, |place| groups[*place].hash());
        place
    }

    fn known_group(&self, who: &Who<'_>, hour: i64) -> Option<usize> {
        self.group_places.find(group_hash(who, hour), |place| self.groups[*place].is(who, hour)).copied()
    }

    fn find_attribute(&mut self, scope: Place, key: &[u8]) -> usize {
        let group = self.current;
        let place = self.known_attribute(scope, key).unwrap_or_else(|| self.new_attribute(scope, key));
        let order = &mut self.groups[group].order;
        match order.get_mut(self.cursor) {
            Some(expected) => *expected = place,
            None => order.push(place),
        }
        place
    }

    fn known_attribute(&self, scope: Place, key: &[u8]) -> Option<usize> {
        let is_it = |place: &usize| {
            let known = &self.attributes[*place];
            known.group == self.current && known.scope == scope && known.key == key
        };
        self.attribute_places.find(attribute_hash(self.current, scope, key), is_it).copied()
    }

    fn new_attribute(&mut self, scope: Place, key: &[u8]) -> usize {
        let signal = self.groups[self.current].signal.as_str();
        let mut key = key;
        let mut id = hash_of(&[signal.as_bytes(), scope.name().as_bytes(), key]);
        let (mut is_admitted, mut wants_text) = self.registry.admit_key(id);
        is_admitted &= self.attributes.len() < CATALOG_ATTRIBUTES_PER_REQUEST;
        if !is_admitted {
            key = OVERFLOW.as_bytes();
            id = hash_of(&[signal.as_bytes(), scope.name().as_bytes(), key]);
            wants_text = false;
            if let Some(place) = self.known_attribute(scope, key) {
                return place;
            }
        }
        let place = self.attributes.len();
        self.attributes.push(Attribute {
            group: self.current,
            scope,
            key: key.to_vec(),
            id,
            records: 0,
            bytes: 0,
            times: Span::NEVER,
            hashes: HashSet::new(),
            last_hash: None,
            wants_text,
            texts: Vec::new(),
        });
        let attributes = &self.attributes;
        self.attribute_places
            .insert_unique(attribute_hash(self.current, scope, key), place, |place| attributes[*place].hash());
        place
    }
}

impl Group {
    fn is(&self, who: &Who<'_>, hour: i64) -> bool {
        self.hour == hour
            && self.template_id == who.template_id
            && self.partition == who.partition
            && self.name == who.name
            && self.service == who.service
            && self.signal == who.signal
    }

    fn hash(&self) -> u64 {
        let who = Who {
            signal: self.signal,
            name: &self.name,
            template_id: self.template_id,
            service: &self.service,
            timestamp: self.hour,
            partition: self.partition,
        };
        group_hash(&who, self.hour)
    }
}

impl Attribute {
    fn hash(&self) -> u64 {
        attribute_hash(self.group, self.scope, &self.key)
    }
}

fn group_hash(who: &Who<'_>, hour: i64) -> u64 {
    let seed = hour.cast_unsigned() ^ who.template_id ^ u64::from(who.partition) << 48 ^ (who.signal as u64);
    XxHash3_64::oneshot_with_seed(XxHash3_64::oneshot_with_seed(seed, who.name), who.service)
}

fn attribute_hash(group: usize, scope: Place, key: &[u8]) -> u64 {
    XxHash3_64::oneshot_with_seed((group as u64) << 3 | scope as u64, key)
}

/// Returns the beginning of a record's hour; all absurd times share one.
fn hour_of(who: &Who<'_>) -> i64 {
    if who.partition == PARTITION_ODD { 0 } else { who.timestamp - who.timestamp.rem_euclid(HOUR_NANOS) }
}

/// Returns at most so many bytes of a text, whole characters only.
fn cut(text: &[u8], most: usize) -> &[u8] {
    if text.len() <= most {
        return text;
    }
    let is_start = |at: &usize| text[*at] & 0b1100_0000 != 0b1000_0000;
    let end = (0..=most).rev().find(is_start).unwrap_or(0);
    &text[..end]
}
