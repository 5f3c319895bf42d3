use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash;
use std::sync::Arc;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use tidegate_core::rollup::totals::{Attribute, Counted, Item, SAMPLES, Text, Word, distinct};

use super::super::arguments::Page;
use super::super::keys::KeyView;
use super::super::read::Ranked;
use super::super::v1::attributes::{Bearer, Row, Use};
use super::{Seen, ranked};

/// What attributes of one group come to.
#[derive(Debug)]
pub(super) struct Sum<'a> {
    pub(super) n: u64,
    pub(super) size: u64,
    pub(super) unlisted: u64,
    pub(super) first: i64,
    pub(super) last: i64,
    /// Most groups are one.
    one: &'a Counted,
    more: Vec<&'a Counted>,
}

impl<'a> Sum<'a> {
    pub(super) fn of(one: &'a Counted) -> Self {
        let Counted { records, bytes, first, last, unlisted, .. } = *one;
        Self { n: records, size: bytes, unlisted, first, last, one, more: Vec::new() }
    }

    fn add(&mut self, counted: &'a Counted) {
        self.n += counted.records;
        self.size += counted.bytes;
        self.unlisted += counted.unlisted;
        self.first = self.first.min(counted.first);
        self.last = self.last.max(counted.last);
        self.more.push(counted);
    }

    fn all(&self) -> impl Iterator<Item = &'a Counted> {
        std::iter::once(self.one).chain(self.more.iter().copied())
    }

    pub(super) fn cardinality(&self) -> Option<u64> {
        if self.more.is_empty() { self.one.values.count() } else { distinct(self.all().map(|one| &one.values)) }
    }

    /// Counts the distinct values where there may be so many; `Some(None)`: there are fewer.
    pub(super) fn at_least(&self, least: u64) -> Option<Option<u64>> {
        let most: Option<u64> = self.all().map(|one| one.values.count()).sum();
        if most? < least {
            return Some(None);
        }
        Some(Some(self.cardinality()?).filter(|count| *count >= least))
    }

    /// Returns the text of some values, in their order.
    pub(super) fn samples(&self, seen: Seen<'a>) -> Vec<&'a Arc<str>> {
        let text = |text: &Text| seen.catalogue.value(*text);
        let mut samples: Vec<Text> = Vec::with_capacity(SAMPLES);
        samples.extend_from_slice(self.one.samples());
        for sample in self.more.iter().flat_map(|more| more.samples()) {
            if samples.len() == SAMPLES {
                break;
            }
            // Most groups have the same values in each of their parts, which is seen without a look at any text.
            if !samples.contains(sample) {
                let at = samples.partition_point(|known| text(known) < text(sample));
                samples.insert(at, *sample);
            }
        }
        samples.iter().filter_map(text).collect()
    }

    fn view(&self, seen: Seen<'a>, (scope, key): (Word, Word)) -> Option<KeyView<'a>> {
        Some(KeyView {
            place: seen.text(scope),
            label: seen.text(key),
            n: self.n,
            size: self.size,
            cardinality: self.cardinality()?,
            unlisted: self.unlisted,
            samples: self.samples(seen).into_iter().map(|text| &**text).collect(),
        })
    }
}

/// Groups attributes.
pub(super) fn summed<'a, K: Hash + Eq>(rows: impl Iterator<Item = (K, &'a Counted)>) -> HashMap<K, Sum<'a>> {
    let mut groups: HashMap<K, Sum<'a>> = HashMap::new();
    for (by, counted) in rows {
        groups.entry(by).and_modify(|sum| sum.add(counted)).or_insert_with(|| Sum::of(counted));
    }
    groups
}

/// Groups the attributes of one item by scope and key; `groups` is filled anew.
pub(super) fn by_place<'a>(seen: Seen<'a>, item: &'a Item, groups: &mut Vec<((Word, Word), Sum<'a>)>) {
    groups.clear();
    if seen.sees_all() {
        groups.extend(item.places().map(|(scope, key, counted)| ((scope, key), Sum::of(counted))));
        return;
    }
    groups.extend(summed(seen.attributes(item).map(|own| ((own.scope, own.key), &own.counted))));
}

/// Returns the attributes of an item, by place and label.
pub(super) fn keys_of<'a>(
    seen: Seen<'a>,
    item: &'a Item,
    groups: &mut Vec<((Word, Word), Sum<'a>)>,
) -> Option<Vec<KeyView<'a>>> {
    by_place(seen, item, groups);
    let mut keys: Vec<_> = groups.iter().map(|(by, sum)| sum.view(seen, *by)).collect::<Option<_>>()?;
    keys.sort_unstable_by(|a: &KeyView<'_>, b| (a.place, a.label).cmp(&(b.place, b.label)));
    Some(keys)
}

/// Returns attributes of log records by a number of the caller's (which severities, templates and services have one) and
/// service.
pub(in super::super) fn keys_where<'a>(
    seen: Seen<'a>,
    number: impl Fn(&str, u64, &str) -> Option<u64>,
) -> Option<BTreeMap<(u64, &'a str), Vec<KeyView<'a>>>> {
    let mut rows = Vec::new();
    for (_, name, of) in seen.items(Some("logs")) {
        let name = seen.text(name);
        // The attributes of one template and service mostly stand together.
        let (mut last, mut numbered) = (None, None);
        for own in seen.attributes(of) {
            let by = Some((own.template_id, own.service));
            if last != by {
                (last, numbered) = (by, number(name, own.template_id, seen.text(own.service)));
            }
            rows.extend(numbered.map(|number| (number, own)));
        }
    }
    // Texts are compared once for each attribute that there is, not for each row.
    let mut places: Vec<(Word, Word)> = rows.iter().map(|(_, own)| (own.scope, own.key)).collect();
    places.sort_unstable();
    places.dedup();
    places.sort_unstable_by_key(|(scope, key)| (seen.text(*scope), seen.text(*key)));
    let ranks: HashMap<_, _> = places.into_iter().enumerate().map(|(rank, place)| (place, rank)).collect();
    let mut ranked: Vec<_> =
        rows.into_iter().map(|(number, own)| (number, own.service, ranks[&(own.scope, own.key)], own)).collect();
    ranked.sort_unstable_by_key(|(number, service, rank, _)| (*number, *service, *rank));
    let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for group in ranked.chunk_by(|a, b| (a.0, a.1, a.2) == (b.0, b.1, b.2)) {
        let (number, service, _, own) = group[0];
        let mut sum = Sum::of(&own.counted);
        group[1..].iter().for_each(|(.., own)| sum.add(&own.counted));
        let keys = found.entry((number, seen.text(service))).or_default();
        keys.push(sum.view(seen, (own.scope, own.key))?);
    }
    Some(found)
}

/// What narrows the attributes that are listed by key.
#[derive(Debug, Default, Clone)]
pub(in super::super) struct KeyFilter {
    pub(in super::super) signal: Option<&'static str>,
    pub(in super::super) scope: Option<&'static str>,
    pub(in super::super) key: Option<String>,
    /// The fewest and the most distinct values.
    pub(in super::super) cardinality: Option<(u64, u64)>,
}

/// The order of attributes by key.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Order {
    /// As the parameter `sort_by` names it.
    pub(in super::super) by: &'static str,
    pub(in super::super) rises: bool,
}

/// An attribute over all items.
struct OfKey<'a> {
    label: &'a str,
    cardinality: u64,
    sum: Sum<'a>,
    signals: BTreeSet<&'a str>,
    places: BTreeSet<&'a str>,
}

impl Order {
    /// The highest cardinality first.
    pub(in super::super) const HIGHEST: Self = Self { by: "highest", rises: false };
    pub(in super::super) const BY_KEY: Self = Self { by: "key", rises: true };

    fn compare(self, a: &OfKey<'_>, b: &OfKey<'_>) -> Ordering {
        let rising = match self.by {
            "count" => a.sum.n.cmp(&b.sum.n),
            "first_seen" => a.sum.first.cmp(&b.sum.first),
            "last_seen" => a.sum.last.cmp(&b.sum.last),
            "key" => a.label.cmp(b.label),
            "highest" => (a.cardinality, a.sum.n).cmp(&(b.cardinality, b.sum.n)),
            _ => a.cardinality.cmp(&b.cardinality),
        };
        let first = if self.rises { rising } else { rising.reverse() };
        first.then_with(|| a.label.cmp(b.label))
    }
}

/// Ranks attributes by key over all items.
pub(in super::super) fn key_rows(seen: Seen<'_>, wanted: &KeyFilter, order: Order, page: Page) -> Option<Ranked<Row>> {
    let found = ranked(by_key(seen, wanted)?, page, |own| own.sum.n, |a, b| order.compare(a, b));
    let told = found.rows.into_iter().map(|OfKey { label, cardinality, sum, signals, places }| Row {
        label: label.to_owned(),
        n: sum.n,
        size: sum.size,
        cardinality,
        unlisted: sum.unlisted,
        signals: signals.into_iter().map(str::to_owned).collect(),
        places: places.into_iter().map(str::to_owned).collect(),
        first_seen: sum.first,
        last_seen: sum.last,
        hashes: Vec::new(),
        samples: sum.samples(seen).into_iter().cloned().collect(),
    });
    Some(Ranked { rows: told.collect(), total: found.total, samples: found.samples })
}

fn by_key<'a>(seen: Seen<'a>, wanted: &KeyFilter) -> Option<Vec<OfKey<'a>>> {
    let mut groups: HashMap<Word, (Sum<'a>, Vec<Word>, Vec<Word>)> = HashMap::new();
    each_key(seen, wanted, |[signal, scope, key], counted| match groups.entry(key) {
        Entry::Vacant(entry) => {
            entry.insert((Sum::of(counted), vec![signal], vec![scope]));
        }
        Entry::Occupied(mut entry) => {
            let (sum, signals, places) = entry.get_mut();
            sum.add(counted);
            for (words, word) in [(signals, signal), (places, scope)] {
                if !words.contains(&word) {
                    words.push(word);
                }
            }
        }
    });
    let (least, most) = wanted.cardinality.unwrap_or((0, u64::MAX));
    let mut rows = Vec::new();
    for (key, (sum, signals, places)) in groups {
        let cardinality = sum.cardinality()?;
        if (least..=most).contains(&cardinality) {
            let [signals, places] =
                [signals, places].map(|words| words.into_iter().map(|word| seen.text(word)).collect());
            rows.push(OfKey { label: seen.text(key), cardinality, sum, signals, places });
        }
    }
    Some(rows)
}

/// Gives what is counted of the wanted keys: of all items together, or of each by itself where one service is asked for.
fn each_key<'a>(seen: Seen<'a>, wanted: &KeyFilter, mut give: impl FnMut([Word; 3], &'a Counted)) {
    let word = |text: &str| seen.catalogue.word(text);
    let signal = wanted.signal.map(word);
    let (scope, key) = (wanted.scope.map(word), wanted.key.as_deref().map(word));
    let is = |asked: Option<Option<Word>>, own| asked.is_none_or(|asked| asked == Some(own));
    if seen.sees_all() {
        let all = seen.catalogue.keys();
        let own = all.filter(|([of, place, label], _)| is(signal, *of) && is(scope, *place) && is(key, *label));
        own.for_each(|(by, counted)| give(by, counted));
        return;
    }
    for (signal, _, item) in seen.items(wanted.signal) {
        for own in seen.attributes(item).filter(|own| is(scope, own.scope) && is(key, own.key)) {
            give([signal, own.scope, own.key], &own.counted);
        }
    }
}

/// Returns every key: its name, how often it came, its distinct values.
pub(super) fn key_counts<'a>(seen: Seen<'a>) -> Option<Vec<(&'a str, u64, u64)>> {
    let keys = by_key(seen, &KeyFilter::default())?.into_iter();
    Some(keys.map(|own| (own.label, own.sum.n, own.cardinality)).collect())
}

/// Returns who sends a key: service, signal, how often.
pub(in super::super) fn uses(seen: Seen<'_>, key: &str) -> Vec<Use> {
    let groups = summed(bearers(seen, key).map(|(signal, _, own)| ((own.service, signal), &own.counted)));
    let told = groups.into_iter().map(|((service, signal), sum)| Use {
        service: seen.text(service).to_owned(),
        signal: seen.text(signal).to_owned(),
        n: sum.n,
    });
    let mut told: Vec<Use> = told.collect();
    told.sort_unstable_by(|a, b| b.n.cmp(&a.n).then_with(|| (&a.service, &a.signal).cmp(&(&b.service, &b.signal))));
    told
}

/// Returns what has a key.
pub(in super::super) fn signals_of(seen: Seen<'_>, key: &str) -> Option<Vec<Bearer>> {
    let mut services: HashMap<(Word, Word), BTreeSet<&str>> = HashMap::new();
    for (signal, name, own) in bearers(seen, key) {
        services.entry((signal, name)).or_default().insert(seen.text(own.service));
    }
    let groups = summed(bearers(seen, key).map(|(signal, name, own)| ((signal, name), &own.counted)));
    let mut told = Vec::new();
    for ((signal, name), sum) in groups {
        told.push(Bearer {
            signal: seen.text(signal).to_owned(),
            item: seen.text(name).to_owned(),
            services: services.remove(&(signal, name)).into_iter().flatten().map(str::to_owned).collect(),
            n: sum.n,
            cardinality: sum.cardinality()?,
            unlisted: sum.unlisted,
        });
    }
    told.sort_unstable_by(|a, b| b.cardinality.cmp(&a.cardinality).then_with(|| a.item.cmp(&b.item)));
    Some(told)
}

fn bearers<'a>(seen: Seen<'a>, key: &str) -> impl Iterator<Item = (Word, Word, &'a Attribute)> {
    let key = seen.catalogue.word(key);
    let own = move |item: &'a Item| seen.attributes(item).filter(move |own| Some(own.key) == key);
    seen.items(None).flat_map(move |(signal, name, item)| own(item).map(move |own| (signal, name, own)))
}
