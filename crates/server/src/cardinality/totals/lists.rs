use std::collections::BTreeSet;

use hashbrown::{HashMap, HashSet};
use tidegate_core::rollup::totals::{Item, Word, distinct};

use super::super::answer::OVERFLOW;
use super::super::arguments::Page;
use super::super::keys::Key;
use super::super::read::Ranked;
use super::super::series::Buckets;
use super::super::sessions::{ItemRow, KeyRow};
use super::super::v1::logs::OfService;
use super::super::v1::ranking::{Complex, HIGH, High};
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
    let high = keys.iter().filter(|(_, _, cardinality)| *cardinality > HIGH).count() as u64;
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
    let known = |text| seen.catalogue.word(text);
    let scopes = ["attribute", "resource", "event", "link"].map(known);
    let histograms = ["type:histogram", "type:exponential_histogram"].map(known);
    for (signal, name, item) in seen.items(signal) {
        by_place(seen, item, &mut groups);
        let (mut keys, mut samples) = ([0; 4], 0);
        for ((scope, _), sum) in &groups {
            if let Some(at) = scopes.iter().position(|known| *known == Some(*scope)) {
                keys[at] += 1;
                samples = sum.n.max(samples);
            }
        }
        let mut row = Complex { total_keys: keys.iter().sum(), ..Complex::default() };
        let has_keys = row.total_keys > 0;
        [row.attribute_keys, row.resource_keys, row.event_keys, row.link_keys] = keys;
        let mut facets = seen.sources(item).flat_map(|source| &source.facets);
        if facets.any(|facet| histograms.contains(&Some(*facet))) {
            let facets = seen.sources(item).flat_map(|source| &source.facets).map(|facet| seen.text(*facet));
            row.total_keys += Buckets::keys_of(facets)?;
        }
        if !has_keys || row.total_keys < threshold {
            continue;
        }
        // Values are counted only of what is told.
        for (_, sum) in groups.iter().filter(|((scope, _), _)| scopes.contains(&Some(*scope))) {
            let cardinality = sum.cardinality()?;
            row.top = row.top.max(cardinality);
            row.high += u64::from(cardinality > HIGH);
        }
        rows.push((samples, [signal, name].map(|word| seen.text(word)), row));
    }
    type Row<'a> = (u64, [&'a str; 2], Complex);
    let order = |(_, one, a): &Row<'_>, (_, other, b): &Row<'_>| {
        (b.total_keys, b.top).cmp(&(a.total_keys, a.top)).then_with(|| one.cmp(other))
    };
    let found = ranked(rows, page, |(samples, ..)| *samples, order);
    let named = |[signal, name]: [&str; 2], row| Complex { signal_of: signal.to_owned(), item: name.to_owned(), ..row };
    let rows = found.rows.into_iter().map(|(_, of, row)| named(of, row)).collect();
    Some(Ranked { rows, total: found.total, samples: found.samples })
}

/// Ranks metrics by the labels of their points.
pub(in super::super) fn label_scores(seen: Seen<'_>, score_min: u64, page: Page) -> Option<Ranked<Labels>> {
    let (mut rows, mut groups) = (Vec::new(), Vec::new());
    let own = seen.catalogue.word("attribute");
    for (_, name, item) in seen.items(Some("metrics")) {
        let mut row = Labels { first_seen: i64::MAX, last_seen: i64::MIN, ..Labels::default() };
        for source in seen.sources(item) {
            row.n += source.records;
            row.first_seen = row.first_seen.min(source.first);
            row.last_seen = row.last_seen.max(source.last);
        }
        by_place(seen, item, &mut groups);
        for (_, sum) in groups.iter().filter(|((scope, _), _)| Some(*scope) == own) {
            row.label_count += 1;
            row.top = row.top.max(sum.cardinality()?);
            row.unlisted += sum.unlisted;
            row.first_seen = row.first_seen.min(sum.first);
            row.last_seen = row.last_seen.max(sum.last);
        }
        row.score = row.label_count.saturating_mul(row.top);
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
