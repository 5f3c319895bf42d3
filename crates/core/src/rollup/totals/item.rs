use hashbrown::{HashSet, HashTable};
use twox_hash::XxHash3_64;

use super::counted::{Counted, Row};
use super::hashes::Hashes;
use super::hours::Hours;
use super::summary::{Scope, Summary};
use super::values::Values;
use super::words::Word;

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
    /// Between which hours.
    pub hours: Hours,
    /// The fingerprints of a metric's series.
    pub series: Hashes,
    /// `kind:SERVER`, `event:exception`, …
    pub facets: HashSet<Word>,
    /// The beginning of a body.
    pub example: Box<str>,
    /// Of attributes, events, links: how many a producer left out, the most of one record, and of how many records.
    pub dropped: [[u64; 3]; 3],
    /// Which addition was the last to it or to one of its attributes: greater than that of any read before it.
    pub changed: u64,
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
    /// How much came.
    pub counted: Counted,
    /// Which of the item's places it is in.
    place: u32,
}

/// All that came by one name.
#[derive(Debug, Default)]
pub struct Item {
    /// All services and templates together.
    pub summary: Summary,
    /// By service and template.
    pub sources: Vec<Source>,
    /// By scope, key, service and template.
    pub attributes: Vec<Attribute>,
    source_numbers: HashTable<u32>,
    attribute_numbers: HashTable<u32>,
    places: Vec<Place>,
    place_numbers: HashTable<u32>,
}

#[derive(Debug)]
struct Place {
    scope: Word,
    key: Word,
    of: Together<u32>,
}

/// What several attributes come to; of one it is what that one is.
#[derive(Debug)]
pub(super) enum Together<At> {
    One(At),
    Several(Box<Counted>),
}

impl Item {
    /// Returns what came of each attribute, of all services and templates together: scope, key, how much.
    pub fn places(&self) -> impl ExactSizeIterator<Item = (Word, Word, &Counted)> {
        self.places.iter().map(|place| (place.scope, place.key, counted(place, &self.attributes)))
    }

    /// Returns every set of hashes.
    pub(super) fn sets(&mut self) -> impl Iterator<Item = &mut Hashes> {
        let series = self.sources.iter_mut().map(|source| &mut source.series);
        let places = self.places.iter_mut().filter_map(|place| match &mut place.of {
            Together::One(_) => None,
            Together::Several(counted) => Some(&mut counted.values),
        });
        series.chain(self.attributes.iter_mut().map(|own| &mut own.counted.values)).chain(places)
    }

    pub(super) fn source(&mut self, template_id: u64, service: Word, bytes: &mut usize) -> &mut Source {
        let is_it = |at: &u32| {
            let source = &self.sources[index(*at)];
            source.service == service && source.template_id == template_id
        };
        let hashed = hash(&[service], template_id);
        let at = match self.source_numbers.find(hashed, is_it) {
            Some(at) => index(*at),
            None => {
                let at = self.sources.len();
                push(&mut self.sources, Source::new(template_id, service));
                let sources = &self.sources;
                let hash_of = |at: &u32| hash(&[sources[index(*at)].service], sources[index(*at)].template_id);
                self.source_numbers.insert_unique(hashed, number(at), hash_of);
                *bytes += size_of::<Source>() + 2 * size_of::<u32>();
                at
            }
        };
        &mut self.sources[at]
    }

    /// Adds a row of an attribute in a scope of this kind; returns which attribute it is of. `fresh` gets the values that
    /// it did not have.
    pub(super) fn add(
        &mut self,
        (kind, [scope, key, service], template_id): (Scope, [Word; 3], u64),
        row: Row<'_>,
        (values, bytes, fresh): (&Values, &mut usize, &mut Vec<u64>),
    ) -> u32 {
        let at = self.attribute((kind, [scope, key, service], template_id), bytes);
        let number = index(self.attributes[index(at)].place);
        let before = counted(&self.places[number], &self.attributes).values.count();
        let attribute = &mut self.attributes[index(at)];
        attribute.counted.add(row, values, bytes, fresh);
        let (attributes, place) = (&self.attributes, &mut self.places[number]);
        place.of.add(at, Row { hashes: fresh, ..row }, (values, bytes), |at| &attributes[index(*at)].counted);
        self.summary.note(kind, before, counted(&self.places[number], &self.attributes));
        if kind.is_label() {
            self.summary.unlisted += row.unlisted;
            self.summary.add_times(row.first, row.last);
        }
        at
    }

    /// Notes which sets were given up.
    pub(super) fn note_spilled(&mut self) {
        let is_spilled = self.places().any(|(_, _, counted)| counted.values.count().is_none());
        self.summary.is_spilled = is_spilled;
    }

    fn attribute(
        &mut self,
        (kind, [scope, key, service], template_id): (Scope, [Word; 3], u64),
        bytes: &mut usize,
    ) -> u32 {
        let is_it = |at: &u32| {
            let own = &self.attributes[index(*at)];
            (own.scope, own.key, own.service, own.template_id) == (scope, key, service, template_id)
        };
        let hashed = hash(&[scope, key, service], template_id);
        if let Some(at) = self.attribute_numbers.find(hashed, is_it) {
            return *at;
        }
        let at = number(self.attributes.len());
        let place = self.place((kind, scope, key), at, bytes);
        let attribute = Attribute { scope, key, template_id, service, counted: Counted::default(), place };
        push(&mut self.attributes, attribute);
        let attributes = &self.attributes;
        let hash_of = |at: &u32| {
            let own = &attributes[index(*at)];
            hash(&[own.scope, own.key, own.service], own.template_id)
        };
        self.attribute_numbers.insert_unique(hashed, at, hash_of);
        *bytes += size_of::<Attribute>() + 2 * size_of::<u32>();
        at
    }

    /// Returns the place of an attribute; a new one is this attribute's alone.
    fn place(&mut self, (kind, scope, key): (Scope, Word, Word), first: u32, bytes: &mut usize) -> u32 {
        let is_it = |at: &u32| {
            let place = &self.places[index(*at)];
            (place.scope, place.key) == (scope, key)
        };
        let hashed = hash(&[scope, key], 0);
        if let Some(at) = self.place_numbers.find(hashed, is_it) {
            return *at;
        }
        let at = number(self.places.len());
        self.summary.add_key(kind);
        push(&mut self.places, Place { scope, key, of: Together::One(first) });
        let places = &self.places;
        let hash_of = |at: &u32| hash(&[places[index(*at)].scope, places[index(*at)].key], 0);
        self.place_numbers.insert_unique(hashed, at, hash_of);
        *bytes += size_of::<Place>() + 2 * size_of::<u32>();
        at
    }
}

fn counted<'a>(place: &'a Place, attributes: &'a [Attribute]) -> &'a Counted {
    place.of.counted(|at| &attributes[index(*at)].counted)
}

impl<At> Together<At> {
    /// Returns what it comes to; `of` is what an attribute comes to.
    pub(super) fn counted<'a>(&'a self, of: impl FnOnce(&'a At) -> &'a Counted) -> &'a Counted {
        match self {
            Self::One(at) => of(at),
            Self::Several(counted) => counted,
        }
    }
}

impl<At: PartialEq> Together<At> {
    /// Adds a row that was added to the attribute `at`; `of` is what an attribute comes to.
    pub(super) fn add<'a>(
        &mut self,
        at: At,
        row: Row<'_>,
        (values, bytes): (&Values, &mut usize),
        of: impl FnOnce(&At) -> &'a Counted,
    ) {
        match self {
            Self::One(only) if *only == at => {}
            Self::One(only) => {
                let mut counted = Box::new(of(only).clone());
                *bytes += size_of::<Counted>() + counted.values.bytes();
                counted.add(row, values, bytes, &mut Vec::new());
                *self = Self::Several(counted);
            }
            Self::Several(counted) => counted.add(row, values, bytes, &mut Vec::new()),
        }
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
            hours: Hours::NONE,
            series: Hashes::default(),
            facets: HashSet::new(),
            example: Box::default(),
            dropped: [[0; 3]; 3],
            changed: 0,
        }
    }
}

fn hash(words: &[Word], template_id: u64) -> u64 {
    words.iter().fold(template_id, |seed, word| XxHash3_64::oneshot_with_seed(seed, &word.number().to_le_bytes()))
}

fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

pub(super) fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Adds to a list of which there are very many: most have one entry or a few, so it grows by little.
fn push<T>(list: &mut Vec<T>, entry: T) {
    if list.len() == list.capacity() {
        list.reserve_exact(list.len() / 2 + 1);
    }
    list.push(entry);
}
