use std::borrow::Cow;
use std::collections::BTreeMap;

use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tidegate_templates::span_pattern;

use super::super::answer::{Answer, Ask, OVERFLOW, say_exact, text_of, unknown};
use super::super::items::{Common, Detail, ScopeInfo};
use super::super::keys::{KeyMap, KeyView, by_item};
use super::super::listing::{Extent, Piece, in_pieces, listed};
use super::super::read::{Filter, Reader, Sql};
use super::super::totals;
use crate::errors::Failure;

/// Kinds of spans by OTLP's number.
const KINDS: [&str; 6] = ["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"];

/// Answers `GET spans`.
pub(in super::super) async fn all(ask: Ask) -> Result<Answer, Failure> {
    let (filter, page) = (ask.filter()?, ask.arguments.page());
    let names = ask.reader.names("name", Some("traces"), &filter, page).await?;
    let reader = ask.reader;
    let pieces = in_pieces(names.items).then(move |names| {
        let (reader, filter) = (reader.clone(), filter.clone());
        async move { Ok(Piece { items: told(&reader, &names, &filter).await?, capped: false }) }
    });
    let extent = Extent { page, total: names.total, samples: names.samples, capped: names.capped };
    listed(extent, pieces.boxed()).await
}

/// Answers `GET spans/{name}`.
pub(in super::super) async fn one(ask: Ask) -> Result<Answer, Failure> {
    let name = ask.path("name");
    let told = told(&ask.reader, &[name.to_owned()], &ask.filter()?).await?;
    told.into_iter().next().map(Answer::from).ok_or_else(|| unknown("span", name, "/api/v1/spans"))
}

/// Tells some span names, in their order.
pub(in super::super) async fn told(
    reader: &Reader,
    names: &[String],
    filter: &Filter,
) -> Result<Vec<Box<RawValue>>, Failure> {
    let tell = |detail: &Detail, keys: &[KeyView<'_>]| text_of(&span(detail, keys));
    let recalled = reader.recall(filter, |seen| totals::tell(seen, "traces", names, tell));
    if let Some(told) = recalled.await? {
        return told.into_iter().collect();
    }
    let (details, keys) =
        tokio::try_join!(reader.details("traces", names, filter), reader.keys("traces", names, filter),)?;
    let keys = by_item(&keys);
    let own = |detail: &Detail| keys.get(detail.item.as_str()).map(Vec::as_slice).unwrap_or_default();
    details.iter().map(|detail| text_of(&span(detail, own(detail)))).collect()
}

#[derive(Debug, Serialize)]
struct Span<'a> {
    name: &'a str,
    kind: usize,
    kind_name: &'a str,
    kinds: Vec<&'a str>,
    event_names: Vec<&'a str>,
    has_trace_state: bool,
    has_parent_span_id: bool,
    status_codes: Vec<&'a str>,
    dropped_attributes_stats: Dropped,
    dropped_events_stats: Dropped,
    dropped_links_stats: Dropped,
    scope_info: ScopeInfo<'a>,
    name_patterns: [NamePattern<'a>; 1],
    attribute_keys: KeyMap<'a>,
    event_attribute_keys: KeyMap<'a>,
    link_attribute_keys: KeyMap<'a>,
    resource_keys: KeyMap<'a>,
    scope_keys: KeyMap<'a>,
    #[serde(flatten)]
    common: Common<'a>,
}

#[derive(Debug, Serialize)]
struct Dropped {
    total_dropped: u64,
    items_with_dropped: u64,
    max_dropped: u64,
}

#[derive(Debug, Serialize)]
struct NamePattern<'a> {
    template: Cow<'a, str>,
    count: u64,
    percentage: f64,
    examples: [&'a str; 1],
}

fn span<'a>(detail: &'a Detail, keys: &'a [KeyView<'a>]) -> Span<'a> {
    let kind_name = detail.facet("kind");
    let dropped = |which| {
        let [total_dropped, max_dropped, items_with_dropped] = detail.dropped(which);
        Dropped { total_dropped, items_with_dropped, max_dropped }
    };
    let keys_of = |place| KeyMap::of(keys, place, detail.samples);
    Span {
        name: &detail.item,
        kind: KINDS.iter().position(|known| *known == kind_name).unwrap_or(0),
        kind_name,
        kinds: detail.facets("kind"),
        event_names: detail.facets("event"),
        has_trace_state: !detail.facet("trace_state").is_empty(),
        has_parent_span_id: !detail.facet("parent").is_empty(),
        status_codes: detail.facets("status"),
        dropped_attributes_stats: dropped(0),
        dropped_events_stats: dropped(1),
        dropped_links_stats: dropped(2),
        scope_info: detail.scope_info(),
        name_patterns: [NamePattern {
            template: span_pattern(&detail.item),
            count: detail.samples,
            percentage: 100.0,
            examples: [&detail.item],
        }],
        attribute_keys: keys_of("attribute"),
        event_attribute_keys: keys_of("event"),
        link_attribute_keys: keys_of("link"),
        resource_keys: keys_of("resource"),
        scope_keys: keys_of("scope"),
        common: detail.common(),
    }
}

#[derive(Debug, Deserialize)]
pub(in super::super) struct Named {
    pub(in super::super) item: String,
    pub(in super::super) n: u64,
    pub(in super::super) services: Vec<String>,
    pub(in super::super) kinds: Vec<String>,
}

/// Answers `GET span-patterns`: every span name under its pattern, the most frequent first.
pub(in super::super) async fn patterns(ask: Ask) -> Result<Answer, Failure> {
    let (filter, page) = (ask.filter()?, ask.arguments.page());
    let names = all_names(&ask.reader, &filter).await?;
    let capped = names.iter().any(|named| named.item == OVERFLOW);
    let mut grouped: BTreeMap<String, Vec<Named>> = BTreeMap::new();
    for named in names {
        grouped.entry(span_pattern(&named.item).into_owned()).or_default().push(named);
    }
    let mut patterns: Vec<(u64, Value)> =
        grouped.into_iter().map(|(pattern, names)| told_pattern(&pattern, &names)).collect();
    patterns.sort_by_key(|(samples, _)| std::cmp::Reverse(*samples));
    let total = patterns.len() as u64;
    let patterns: Vec<Value> = page.of(patterns).map(|(_, value)| value).collect();
    let mut value = json!({
        "patterns": patterns,
        "total": total,
        "limit": page.limit,
        "offset": page.offset,
        "has_more": page.has_more(total),
    });
    say_exact(&mut value, capped);
    Ok(value.into())
}

async fn all_names(reader: &Reader, filter: &Filter) -> Result<Vec<Named>, Failure> {
    if let Some(names) = reader.recall(filter, |seen| Some(totals::span_names(seen))).await? {
        return Ok(names);
    }
    let sql = Sql::new(format!(
        "SELECT toString(name) AS item, sum(records) AS n, \
         arraySort(groupUniqArray(toString(service_name))) AS services, \
         arraySort(arrayFilter(facet -> startsWith(facet, 'kind:'), groupUniqArrayArray(facets))) AS kinds \
         FROM catalog_signals WHERE signal = 'traces'{} GROUP BY item ORDER BY n DESC, item",
        filter.condition()
    ));
    reader.rows(sql.filtered(filter)).await
}

fn told_pattern(pattern: &str, names: &[Named]) -> (u64, Value) {
    let samples = names.iter().map(|named| named.n).sum();
    let spans: Vec<Value> = names
        .iter()
        .map(|named| {
            let kind = named.kinds.first().and_then(|kind| kind.strip_prefix("kind:")).unwrap_or_default();
            json!({ "span_name": named.item, "sample_count": named.n, "services": named.services, "kind": kind })
        })
        .collect();
    let value =
        json!({ "pattern": pattern, "matching_spans": spans, "total_samples": samples, "span_count": names.len() });
    (samples, value)
}
