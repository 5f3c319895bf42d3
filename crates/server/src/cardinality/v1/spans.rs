use std::collections::BTreeMap;

use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_templates::span_pattern;

use super::super::answer::{Answer, Ask, OVERFLOW, say_exact, unknown};
use super::super::items::Detail;
use super::super::keys::{Key, by_item, map_of};
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
pub(in super::super) async fn told(reader: &Reader, names: &[String], filter: &Filter) -> Result<Vec<Value>, Failure> {
    let (details, keys) =
        tokio::try_join!(reader.details("traces", names, filter), reader.keys("traces", names, filter),)?;
    let keys = by_item(keys);
    let none = Vec::new();
    Ok(details.iter().map(|detail| span(detail, keys.get(&detail.item).unwrap_or(&none))).collect())
}

fn span(detail: &Detail, keys: &[Key]) -> Value {
    let kind_name = detail.facet("kind");
    let kind = KINDS.iter().position(|known| *known == kind_name).unwrap_or(0);
    let mut value = json!({
        "name": detail.item,
        "kind": kind,
        "kind_name": kind_name,
        "kinds": detail.facets("kind"),
        "event_names": detail.facets("event"),
        "has_trace_state": !detail.facet("trace_state").is_empty(),
        "has_parent_span_id": !detail.facet("parent").is_empty(),
        "status_codes": detail.facets("status"),
        "dropped_attributes_stats": detail.dropped(0, "items_with_dropped", "max_dropped"),
        "dropped_events_stats": detail.dropped(1, "items_with_dropped", "max_dropped"),
        "dropped_links_stats": detail.dropped(2, "items_with_dropped", "max_dropped"),
        "scope_info": detail.scope_info(),
        "name_patterns": [{
            "template": span_pattern(&detail.item),
            "count": detail.samples,
            "percentage": 100.0,
            "examples": [detail.item],
        }],
    });
    for (name, place) in [
        ("attribute_keys", "attribute"),
        ("event_attribute_keys", "event"),
        ("link_attribute_keys", "link"),
        ("resource_keys", "resource"),
        ("scope_keys", "scope"),
    ] {
        value[name] = Value::Object(map_of(keys, place, detail.samples));
    }
    detail.add_common(&mut value);
    value
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
