use std::collections::BTreeSet;

use hashbrown::{HashMap, HashSet};
use tidegate_core::rollup::totals::{Item, Summary, Word, distinct};
use tidegate_model::limits::CATALOG_HIGH_CARDINALITY;

use super::super::answer::OVERFLOW;
use super::super::arguments::Page;
use super::super::keys::Key;
use super::super::read::Ranked;
use super::super::series::Buckets;
use super::super::sessions::{ItemRow, KeyRow};
use super::super::v1::logs::OfService;
use super::super::v1::ranking::{Complex, High};
use super::super::v1::services::{KeyTotals, Totals};
use super::super::v1::spans::Named;
use super::super::v2::Labels;
use super::keys::{Sum, by_place, key_counts};
use super::{Seen, ranked};

/// Counts everything.
pub(in super::super) fn summary(seen: Seen<'_>) -> Option<(Totals, KeyTotals)> {
    let mut totals = Totals::default();
    let (mut services, mut series) = (HashSet::new(), Vec::new());
    for (signal, name, item) in seen.items(None) {
        let records: u64 = seen.sources(item).map(|source| source.records).sum();
        if seen.sources(item).next().is_none() {
            continue;
        }
        let (names, samples) = match seen.text(signal) {
            "metrics" => (&mut totals.metric_names, &mut totals.data_points),
            "traces" => (&mut totals.span_names, &mut totals.span_records),
            _ => (&mut totals.severities, &mut totals.log_records),
        };
        *names += 1;
        *samples += records;
        totals.capped |= seen.text(name) == OVERFLOW;
        for source in seen.sources(item) {
            services.insert(source.service);
            totals.size += source.bytes;
            if !seen.sees_all() {
                series.push(&source.series);
            }
        }
    }
    totals.capped |= services.iter().any(|service| seen.text(*service) == OVERFLOW);
    totals.services = services.len() as u64;
    totals.series_count = if seen.sees_all() { seen.catalogue.series().count() } else { distinct(series) }?;
    let keys = key_counts(seen)?;
    let high = keys.iter().filter(|(_, _, cardinality)| *cardinality > CATALOG_HIGH_CARDINALITY).count() as u64;
    Some((totals, KeyTotals { total: keys.len() as u64, high }))
}

/// Counts log records by service and severity.
pub(in super::super) fn services_of_severities(seen: Seen<'_>, page: Page) -> Ranked<OfService> {
    let mut counts: HashMap<(&str, &str), u64> = HashMap::new();
    for (_, severity, item) in seen.items(Some("logs")) {
        for source in seen.sources(item) {
            *counts.entry((seen.text(source.service), seen.text(severity))).or_default() += source.records;
        }
    }
    let found = ranked(counts.into_iter().collect(), page, |(_, n)| *n, |a, b| a.0.cmp(&b.0));
    let told = found.rows.into_iter().map(|((service, severity), n)| OfService {
        service: service.to_owned(),
        severity: severity.to_owned(),
        n,
    });
    Ranked { rows: told.collect(), total: found.total, samples: found.samples }
}

/// Returns all names of spans, the most frequent first.
pub(in super::super) fn span_names(seen: Seen<'_>) -> Vec<Named> {
    let mut told = Vec::new();
    for (_, name, item) in seen.items(Some("traces")) {
        let sources = || seen.sources(item);
        if sources().next().is_none() {
            continue;
        }
        let services: BTreeSet<&str> = sources().map(|source| seen.text(source.service)).collect();
        let facets = sources().flat_map(|source| &source.facets).map(|facet| seen.text(*facet));
        let kinds: BTreeSet<&str> = facets.filter(|facet| facet.starts_with("kind:")).collect();
        told.push(Named {
            item: seen.text(name).to_owned(),
            n: sources().map(|source| source.records).sum(),
            services: services.into_iter().map(str::to_owned).collect(),
            kinds: kinds.into_iter().map(str::to_owned).collect(),
        });
    }
    told.sort_unstable_by(|a, b| b.n.cmp(&a.n).then_with(|| a.item.cmp(&b.item)));
    told
}

/// Ranks keys of items by their distinct values.
pub(in super::super) fn high(seen: Seen<'_>, signal: Option<&str>, threshold: u64, page: Page) -> Option<Ranked<High>> {
    let (mut rows, mut groups) = (Vec::new(), Vec::new());
    for (signal, name, item) in seen.items(signal) {
        if !item.summary.is_spilled && item.summary.top < threshold {
            continue;
        }
        by_place(seen, item, &mut groups);
        for ((scope, key), sum) in groups.drain(..) {
            if let Some(cardinality) = sum.at_least(threshold)? {
                let of = [signal, name, scope, key].map(|word| seen.text(word));
                rows.push((cardinality, of, sum));
            }
        }
    }
    type Row<'a> = (u64, [&'a str; 4], Sum<'a>);
    let order = |a: &Row<'_>, b: &Row<'_>| b.0.cmp(&a.0).then_with(|| b.2.n.cmp(&a.2.n)).then_with(|| a.1.cmp(&b.1));
    let found = ranked(rows, page, |(_, _, sum)| sum.n, order);
    let told = found.rows.into_iter().map(|(cardinality, [signal, name, place, label], sum)| High {
        signal_of: signal.to_owned(),
        key: Key {
            item: name.to_owned(),
            place: place.to_owned(),
            label: label.to_owned(),
            n: sum.n,
            size: sum.size,
            cardinality,
            unlisted: sum.unlisted,
            hashes: Vec::new(),
            samples: sum.samples(seen).into_iter().cloned().collect(),
        },
    });
    Some(Ranked { rows: told.collect(), total: found.total, samples: found.samples })
}

/// Ranks items by their keys and buckets.
pub(in super::super) fn complexity(
    seen: Seen<'_>,
    signal: Option<&str>,
    threshold: u64,
    page: Page,
) -> Option<Ranked<Complex>> {
    let (mut rows, mut groups) = (Vec::new(), Vec::new());
    let scopes = ["attribute", "resource", "event", "link"].map(|scope| seen.catalogue.word(scope));
    for (signal, name, item) in seen.items(signal) {
        let own = keys_in(seen, item, scopes, &mut groups)?;
        let mut total_keys: u64 = own.keys.iter().sum();
        if total_keys == 0 {
            continue;
        }
        if item.summary.has_buckets {
            let facets = seen.sources(item).flat_map(|source| &source.facets).map(|facet| seen.text(*facet));
            total_keys += Buckets::keys_of(facets)?;
        }
        if total_keys >= threshold {
            rows.push((total_keys, [signal, name].map(|word| seen.text(word)), own));
        }
    }
    type Row<'a> = (u64, [&'a str; 2], KeysIn);
    let order = |(keys, one, a): &Row<'_>, (others, other, b): &Row<'_>| {
        (others, b.top).cmp(&(keys, a.top)).then_with(|| one.cmp(other))
    };
    let found = ranked(rows, page, |(.., own)| own.records, order);
    let told = found.rows.into_iter().map(|(total_keys, [signal, name], own)| {
        let [attribute_keys, resource_keys, event_keys, link_keys] = own.keys;
        let (signal_of, item, top, high) = (signal.to_owned(), name.to_owned(), own.top, own.high);
        Complex { signal_of, item, total_keys, attribute_keys, resource_keys, event_keys, link_keys, top, high }
    });
    Some(Ranked { rows: told.collect(), total: found.total, samples: found.samples })
}

/// The keys of an item in the four scopes that have any.
struct KeysIn {
    keys: [u64; 4],
    /// Of the most frequent key.
    records: u64,
    top: u64,
    high: u64,
}

fn keys_in<'a>(
    seen: Seen<'a>,
    item: &'a Item,
    scopes: [Option<Word>; 4],
    groups: &mut Vec<((Word, Word), Sum<'a>)>,
) -> Option<KeysIn> {
    let summary = &item.summary;
    if seen.sees_all() {
        let Summary { keys, key_records, key_top, high, .. } = *summary;
        return (!summary.is_spilled).then_some(KeysIn { keys, records: key_records, top: key_top, high });
    }
    let mut own = KeysIn { keys: [0; 4], records: 0, top: 0, high: 0 };
    by_place(seen, item, groups);
    for ((scope, _), sum) in groups {
        let Some(at) = scopes.iter().position(|known| *known == Some(*scope)) else { continue };
        let cardinality = sum.cardinality()?;
        own.keys[at] += 1;
        own.records = own.records.max(sum.n);
        own.top = own.top.max(cardinality);
        own.high += u64::from(cardinality > CATALOG_HIGH_CARDINALITY);
    }
    Some(own)
}

/// Ranks metrics by the labels of their points.
pub(in super::super) fn label_scores(seen: Seen<'_>, score_min: u64, page: Page) -> Option<Ranked<Labels>> {
    let (mut rows, mut groups) = (Vec::new(), Vec::new());
    let own = seen.catalogue.word("attribute");
    for (_, name, item) in seen.items(Some("metrics")) {
        let row = labels_of(seen, item, own, &mut groups)?;
        if row.last_seen >= row.first_seen && row.score >= score_min {
            rows.push((seen.text(name), item, row));
        }
    }
    type Row<'a> = (&'a str, &'a Item, Labels);
    let order = |a: &Row<'_>, b: &Row<'_>| b.2.score.cmp(&a.2.score).then_with(|| a.0.cmp(b.0));
    let found = ranked(rows, page, |(_, _, row)| row.n, order);
    let told = found.rows.into_iter().map(|(name, item, row)| {
        by_place(seen, item, &mut groups);
        let labels = groups.iter().filter(|((scope, _), _)| Some(*scope) == own);
        let told = |((_, key), sum): &((Word, Word), Sum<'_>)| Some((seen.text(*key).to_owned(), sum.cardinality()?));
        let mut labels: Vec<_> = labels.map(told).collect::<Option<_>>()?;
        labels.sort_unstable();
        Some(Labels { item: name.to_owned(), labels, ..row })
    });
    Some(Ranked { rows: told.collect::<Option<_>>()?, total: found.total, samples: found.samples })
}

/// Returns what the labels of a metric come to; they themselves are left out.
fn labels_of<'a>(
    seen: Seen<'a>,
    item: &'a Item,
    own: Option<Word>,
    groups: &mut Vec<((Word, Word), Sum<'a>)>,
) -> Option<Labels> {
    let summary = &item.summary;
    let mut row = Labels { first_seen: i64::MAX, last_seen: i64::MIN, ..Labels::default() };
    if seen.sees_all() {
        if summary.is_spilled {
            return None;
        }
        (row.label_count, row.top, row.unlisted) = (summary.keys[0], summary.label_top, summary.unlisted);
        (row.n, row.first_seen, row.last_seen) = (summary.records, summary.first, summary.last);
    } else {
        for source in seen.sources(item) {
            row.n += source.records;
            row.first_seen = row.first_seen.min(source.first);
            row.last_seen = row.last_seen.max(source.last);
        }
        by_place(seen, item, groups);
        for (_, sum) in groups.iter().filter(|((scope, _), _)| Some(*scope) == own) {
            row.label_count += 1;
            row.top = row.top.max(sum.cardinality()?);
            row.unlisted += sum.unlisted;
            row.first_seen = row.first_seen.min(sum.first);
            row.last_seen = row.last_seen.max(sum.last);
        }
    }
    row.score = row.label_count.saturating_mul(row.top);
    Some(row)
}

/// Returns what a session says: items, their keys, and all keys together.
pub(in super::super) fn content(seen: Seen<'_>) -> Option<(Vec<ItemRow>, Vec<KeyRow>, Vec<KeyRow>)> {
    let (mut items, mut keys, mut groups) = (Vec::new(), Vec::new(), Vec::new());
    for (signal, name, item) in seen.items(None) {
        let [signal_of, item_of] = [signal, name].map(|word| seen.text(word).to_owned());
        let services: BTreeSet<&str> = seen.sources(item).map(|source| seen.text(source.service)).collect();
        items.push(ItemRow {
            n: seen.sources(item).map(|source| source.records).sum(),
            size: seen.sources(item).map(|source| source.bytes).sum(),
            active: distinct(seen.sources(item).map(|source| &source.series))?,
            spread: services.into_iter().map(str::to_owned).collect(),
            signal_of: signal_of.clone(),
            item: item_of.clone(),
        });
        by_place(seen, item, &mut groups);
        for ((scope, key), sum) in groups.drain(..) {
            keys.push(KeyRow {
                signal_of: signal_of.clone(),
                item: item_of.clone(),
                place: seen.text(scope).to_owned(),
                label: seen.text(key).to_owned(),
                n: sum.n,
                cardinality: sum.cardinality()?,
            });
        }
    }
    let all = key_counts(seen)?.into_iter();
    let all =
        all.map(|(label, n, cardinality)| KeyRow { label: label.to_owned(), n, cardinality, ..KeyRow::default() });
    let all = all.collect();
    items.sort_unstable_by(|a, b| (&a.signal_of, &a.item).cmp(&(&b.signal_of, &b.item)));
    Some((items, keys, all))
}
