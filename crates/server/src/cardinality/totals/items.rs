use std::collections::BTreeMap;

use hashbrown::HashSet;
use tidegate_core::rollup::totals::{Item, Source, distinct};

use super::super::answer::OVERFLOW;
use super::super::arguments::Page;
use super::super::items::{Detail, Names};
use super::super::keys::KeyView;
use super::keys::keys_of;
use super::{Seen, page_of};

/// Series whose points are looked at for buckets that were not noted.
const SERIES_MAX: usize = 4;

/// Returns a page of names, or of services.
pub(in super::super) fn names(seen: Seen<'_>, is_service: bool, signal: Option<&str>, page: Page) -> Names {
    if let Some(signal) = signal.filter(|_| seen.sees_all() && !is_service) {
        let Some(names) = seen.catalogue.names(signal) else { return Names::default() };
        let sorted = names.sorted();
        let (total, samples, capped) = (sorted.len() as u64, names.records, names.has(OVERFLOW));
        return Names { total, samples, capped, items: page.of(sorted).map(str::to_owned).collect() };
    }
    let (mut found, mut samples) = (HashSet::new(), 0);
    for (_, name, item) in seen.items(signal) {
        for source in seen.sources(item) {
            found.insert(if is_service { source.service } else { name });
            samples += source.records;
        }
    }
    let capped = seen.catalogue.word(OVERFLOW).is_some_and(|overflow| found.contains(&overflow));
    let found: Vec<&str> = found.into_iter().map(|word| seen.text(word)).collect();
    let total = found.len() as u64;
    let items = page_of(found, page, Ord::cmp).into_iter().map(str::to_owned).collect();
    Names { total, samples, capped, items }
}

/// Returns what is known of some names of a signal, in the order of the names.
pub(in super::super) fn details(seen: Seen<'_>, signal: &str, names: &[String]) -> Option<Vec<Detail>> {
    known(seen, signal, names).map(|(name, item)| detail(seen, name, &sources_of(seen, item))).collect()
}

/// Tells of some names of a signal, in the order of the names: what is known of each, and its attributes.
pub(in super::super) fn tell<T>(
    seen: Seen<'_>,
    signal: &str,
    names: &[String],
    tell: impl Fn(&Detail, &[KeyView<'_>]) -> T,
) -> Option<Vec<T>> {
    let mut groups = Vec::new();
    let told = known(seen, signal, names).map(|(name, item)| {
        let detail = detail(seen, name, &sources_of(seen, item))?;
        Some(tell(&detail, &keys_of(seen, item, &mut groups)?))
    });
    told.collect()
}

fn known<'a>(seen: Seen<'a>, signal: &str, names: &'a [String]) -> impl Iterator<Item = (&'a str, &'a Item)> {
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    let known = names.into_iter().filter_map(move |name| Some((name, seen.catalogue.item(signal, name)?)));
    known.filter(move |(_, item)| seen.sources(item).next().is_some())
}

fn sources_of<'a>(seen: Seen<'a>, item: &'a Item) -> Vec<&'a Source> {
    seen.sources(item).collect()
}

fn detail(seen: Seen<'_>, name: &str, sources: &[&Source]) -> Option<Detail> {
    let mut detail = Detail { item: name.to_owned(), dropped: vec![[0; 3]; 3], ..Detail::default() };
    let mut services = BTreeMap::new();
    let mut facets = HashSet::new();
    for source in sources {
        detail.samples += source.records;
        detail.size += source.bytes;
        *services.entry(seen.text(source.service)).or_default() += source.records;
        facets.extend(source.facets.iter().copied());
        for (all, [total, max, records]) in detail.dropped.iter_mut().zip(source.dropped) {
            *all = [all[0] + total, all[1].max(max), all[2] + records];
        }
    }
    detail.services = services.into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
    detail.qualities = facets.into_iter().map(|facet| seen.text(facet).to_owned()).collect();
    detail.active = distinct(sources.iter().map(|source| &source.series))?;
    detail.some_series = sources.iter().flat_map(|source| source.series.iter()).take(SERIES_MAX).collect();
    detail.first_seen = sources.iter().map(|source| source.first).min().unwrap_or_default();
    detail.last_seen = sources.iter().map(|source| source.last).max().unwrap_or_default();
    Some(detail)
}
