use std::collections::{BTreeMap, BTreeSet};

use hashbrown::{HashMap, HashSet};
use tidegate_core::rollup::totals::Word;

use super::super::arguments::Page;
use super::super::kept::Stamp;
use super::super::read::Ranked;
use super::super::templates::Roots;
use super::super::v1::logs::TemplateRow;
use super::super::v1::patterns::{Piece, Ranking};
use super::{Seen, ranked};

/// Returns the templates of some severities, the most frequent first.
pub(in super::super) fn severities_of(seen: Seen<'_>, roots: &Roots, names: &[String]) -> Vec<TemplateRow> {
    let mut told = Vec::new();
    for name in names.iter().collect::<BTreeSet<_>>() {
        let Some(item) = seen.catalogue.item("logs", name) else { continue };
        let mut templates: BTreeMap<u64, (u64, &str)> = BTreeMap::new();
        for source in seen.sources(item) {
            let (n, example) = templates.entry(roots.of(source.template_id)).or_default();
            *n += source.records;
            *example = (*example).max(&source.example);
        }
        let mut rows: Vec<_> = templates.into_iter().collect();
        rows.sort_by_key(|(_, (n, _))| std::cmp::Reverse(*n));
        told.extend(rows.into_iter().map(|(root, (n, example))| TemplateRow {
            item: name.clone(),
            root,
            n,
            example_of: example.to_owned(),
        }));
    }
    told
}

/// Counts the templates that log records have.
pub(in super::super) fn pattern_count(seen: Seen<'_>, roots: &Roots) -> u64 {
    let sources = seen.items(Some("logs")).flat_map(|(_, _, item)| seen.sources(item));
    let with_one = sources.filter(|source| source.template_id != 0);
    with_one.map(|source| roots.of(source.template_id)).collect::<HashSet<_>>().len() as u64
}

/// Ranks templates of at least so many records and services, the most frequent first.
pub(in super::super) fn ranked_templates(
    seen: Seen<'_>,
    roots: &Roots,
    (count_min, services_min): (u64, u64),
    page: Page,
) -> Ranked<Ranking> {
    let mut templates: HashMap<u64, (u64, HashSet<Word>)> = HashMap::new();
    for source in seen.items(Some("logs")).flat_map(|(_, _, item)| seen.sources(item)) {
        let (n, services) = templates.entry(roots.of(source.template_id)).or_default();
        *n += source.records;
        services.insert(source.service);
    }
    templates.retain(|_, (n, services)| *n >= count_min && services.len() as u64 >= services_min);
    let rows: Vec<(u64, u64)> = templates.into_iter().map(|(root, (n, _))| (n, root)).collect();
    let order = |a: &(u64, u64), b: &(u64, u64)| b.0.cmp(&a.0).then(a.1.cmp(&b.1));
    let Ranked { rows, total, samples } = ranked(rows, page, |(n, _)| *n, order);
    Ranked { rows: rows.into_iter().map(|(_, root)| Ranking { root }).collect(), total, samples }
}

/// Returns some templates by severity and service, and of which rows it was told what each has in a service.
pub(in super::super) fn pieces<'a>(
    seen: Seen<'a>,
    roots: &Roots,
    ids: &BTreeSet<u64>,
) -> (Vec<Piece<'a>>, BTreeMap<(u64, &'a str), Stamp>) {
    let mut stamps: BTreeMap<(u64, &str), Stamp> = BTreeMap::new();
    let mut pieces: BTreeMap<(u64, &str, &str), (u64, &str)> = BTreeMap::new();
    for (_, severity, item) in seen.items(Some("logs")) {
        for source in seen.sources(item) {
            let root = roots.of(source.template_id);
            if !ids.contains(&root) {
                continue;
            }
            let by = (root, seen.text(severity), seen.text(source.service));
            let (n, example) = pieces.entry(by).or_default();
            *n += source.records;
            *example = (*example).max(&source.example);
            stamps.entry((root, by.2)).or_default().add(source);
        }
    }
    let told = pieces.into_iter().map(|((root, severity, service), (n, example))| Piece {
        root,
        severity: severity.into(),
        service: service.into(),
        n,
        example_of: example.into(),
    });
    (told.collect(), stamps)
}
