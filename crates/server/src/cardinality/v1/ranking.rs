use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_model::limits::CATALOG_HIGH_CARDINALITY;

use super::super::answer::{Answer, Ask, OVERFLOW, say_distinct, say_exact};
use super::super::arguments::Page;
use super::super::items::Detail;
use super::super::keys::{HASHES, Key, Samples};
use super::super::read::{Filter, Ranked, Reader, Sql};
use super::super::totals;
use super::attributes::signal_type;
use crate::errors::Failure;

/// Rows of a ranking that one request may ask for.
pub(super) const RANKED_MAX: u64 = 1_000;

#[derive(Debug, Deserialize)]
pub(in super::super) struct High {
    pub(in super::super) signal_of: String,
    #[serde(flatten)]
    pub(in super::super) key: Key,
}

/// Answers `GET cardinality/high`: keys with at least `threshold` distinct values in one metric, span or severity.
pub(in super::super) async fn high(ask: Ask) -> Result<Answer, Failure> {
    let (filter, signal) = (ask.filter()?, ask.arguments.signal());
    let threshold = ask.arguments.number("threshold").unwrap_or(CATALOG_HIGH_CARDINALITY);
    let page = ask.arguments.page();
    let recalled = ask.reader.recall(&filter, |seen| totals::high(seen, signal, threshold, page));
    let ranked = match recalled.await? {
        Some(ranked) => ranked,
        None => high_keys(&ask.reader, (&filter, signal), threshold, page).await?,
    };
    let (signals, mut keys): (Vec<_>, Vec<_>) = ranked.rows.into_iter().map(|row| (row.signal_of, row.key)).unzip();
    ask.reader.add_samples(&mut keys).await?;
    let names = event_names(&ask.reader, &keys, &filter).await?;
    let told: Vec<Value> = signals
        .iter()
        .zip(&keys)
        .map(|(signal, key)| {
            let mut value = json!({
                "signal_type": signal_type(signal),
                "signal_name": key.item,
                "key_scope": key.place,
                "key_name": key.label,
                "estimated_cardinality": key.cardinality,
                "key_count": key.n,
                "bytes": key.size,
                "value_samples": Samples(&key.samples),
            });
            if let Some(name) = names.get(&key.item).filter(|_| key.place == "event") {
                value["event_name"] = json!(name);
            }
            say_distinct(&mut value, key.label == OVERFLOW || key.item == OVERFLOW, key.unlisted);
            value
        })
        .collect();
    Ok(json!({ "high_cardinality_keys": told, "total": ranked.total, "threshold": threshold }).into())
}

async fn high_keys(
    reader: &Reader,
    (filter, signal): (&Filter, Option<&str>),
    threshold: u64,
    page: Page,
) -> Result<Ranked<High>, Failure> {
    let signal_is = if signal.is_some() { " AND signal = {signal:String}" } else { "" };
    let condition = format!("{signal_is}{}", filter.condition());
    // The first pass groups by one number instead of four names: the hash of a name is taken once for each distinct
    // name of a block. Two candidates of one hash are both counted by their names afterwards, so it stays exact.
    let candidate = "CAST(cityHash64(signal) + 3 * cityHash64(scope) + 5 * cityHash64(key) + 7 * cityHash64(name), \
                     'UInt64')";
    let inner = format!(
        "SELECT signal AS signal_of, name AS item, scope AS place, key AS label, sum(records) AS n, \
         sum(bytes) AS size, uniqExactArray(value_hashes) AS cardinality, sum(unlisted) AS unlisted, \
         groupUniqArrayArray({HASHES})(value_hashes) AS hashes FROM catalog_attributes \
         WHERE {candidate} IN (SELECT {candidate} AS candidate FROM catalog_attributes WHERE 1{condition} \
         GROUP BY candidate HAVING uniqExactArray(value_hashes) >= {{threshold:UInt64}}){condition} \
         GROUP BY signal_of, item, place, label HAVING cardinality >= {{threshold:UInt64}}",
    );
    let bind = |sql: String| {
        let sql = Sql::new(sql).filtered(filter).number("threshold", threshold);
        sql.text("signal", signal.unwrap_or_default())
    };
    let columns = "signal_of, item, place, label, n, size, cardinality, unlisted, hashes";
    let order = "cardinality DESC, n DESC, signal_of, item, place, label";
    reader.ranked::<High>((columns, &inner, order), bind, page).await
}

/// Returns the event that has the keys of events, for the spans whose events all have one name.
async fn event_names(reader: &Reader, keys: &[Key], filter: &Filter) -> Result<BTreeMap<String, String>, Failure> {
    let spans: BTreeSet<&String> = keys.iter().filter(|key| key.place == "event").map(|key| &key.item).collect();
    let spans: Vec<String> = spans.into_iter().cloned().collect();
    let details = reader.details("traces", &spans, filter).await?;
    let only = |detail: &Detail| match detail.facets("event").as_slice() {
        [name] => Some((detail.item.clone(), (*name).to_owned())),
        _ => None,
    };
    Ok(details.iter().filter_map(only).collect())
}

#[derive(Debug, Default, Deserialize)]
pub(in super::super) struct Complex {
    pub(in super::super) signal_of: String,
    pub(in super::super) item: String,
    pub(in super::super) total_keys: u64,
    pub(in super::super) attribute_keys: u64,
    pub(in super::super) resource_keys: u64,
    pub(in super::super) event_keys: u64,
    pub(in super::super) link_keys: u64,
    pub(in super::super) top: u64,
    pub(in super::super) high: u64,
}

/// Answers `GET cardinality/complexity`: what has at least `threshold` keys, the most keys first.
pub(in super::super) async fn complexity(ask: Ask) -> Result<Answer, Failure> {
    let (filter, signal) = (ask.filter()?, ask.arguments.signal());
    let threshold = ask.arguments.number("threshold").unwrap_or(0);
    let page = ask.arguments.page();
    let recalled = ask.reader.recall(&filter, |seen| totals::complexity(seen, signal, threshold, page));
    let ranked = match recalled.await? {
        Some(ranked) => ranked,
        None => complex(&ask.reader, (&filter, signal), threshold, page).await?,
    };
    let told = ranked.rows.iter().map(|row| {
        let mut value = json!({
            "signal_type": signal_type(&row.signal_of),
            "signal_name": row.item,
            "total_keys": row.total_keys,
            "attribute_key_count": row.attribute_keys,
            "resource_key_count": row.resource_keys,
            "event_key_count": row.event_keys,
            "link_key_count": row.link_keys,
            "max_cardinality": row.top,
            "high_cardinality_count": row.high,
            "complexity_score": row.total_keys.saturating_mul(row.top),
        });
        say_exact(&mut value, row.item == OVERFLOW);
        value
    });
    Ok(json!({ "signals": told.collect::<Vec<_>>(), "total": ranked.total, "threshold": threshold }).into())
}

async fn complex(
    reader: &Reader,
    (filter, signal): (&Filter, Option<&str>),
    threshold: u64,
    page: Page,
) -> Result<Ranked<Complex>, Failure> {
    // Buckets are series, so they count as keys: of a histogram one for each bucket, of an exponential one ten a scale.
    let buckets = "SELECT item, max(extra) AS buckets FROM (\
         SELECT toString(metric_name) AS item, max(length(explicit_bounds)) + 1 AS extra FROM metric_histograms \
         GROUP BY item UNION ALL \
         SELECT toString(metric_name) AS item, 10 * uniqExact(scale) AS extra FROM metric_exponential_histograms \
         GROUP BY item) GROUP BY item";
    let signal_is = if signal.is_some() { " AND signal = {signal:String}" } else { "" };
    let condition = format!("{signal_is}{}", filter.condition());
    // Values are counted only of what has keys enough without any value looked at, or has buckets as well.
    let candidate = "CAST(cityHash64(signal) + 7 * cityHash64(name), 'UInt64')";
    let inner = format!(
        "SELECT signal_of, named.item AS item, attribute_keys + resource_keys + event_keys + link_keys \
         + if(signal_of = 'metrics', buckets, 0) AS total_keys, attribute_keys, resource_keys, event_keys, link_keys, \
         top, high, n FROM (SELECT signal_of, item, countIf(place = 'attribute') AS attribute_keys, \
         countIf(place = 'resource') AS resource_keys, countIf(place = 'event') AS event_keys, \
         countIf(place = 'link') AS link_keys, max(cardinality) AS top, countIf(cardinality > {CATALOG_HIGH_CARDINALITY}) AS high, \
         max(key_records) AS n FROM (SELECT signal AS signal_of, name AS item, \
         scope AS place, key AS label, uniqExactArray(value_hashes) AS cardinality, \
         sum(records) AS key_records FROM catalog_attributes \
         WHERE ({candidate} IN (SELECT {candidate} AS candidate FROM catalog_attributes WHERE scope != 'scope'{condition} \
         GROUP BY candidate HAVING uniqExact(scope, key) >= {{threshold:UInt64}}) \
         OR name IN (SELECT item FROM ({buckets}))){condition} \
         GROUP BY signal_of, item, place, label) WHERE place != 'scope' GROUP BY signal_of, item) AS named \
         LEFT JOIN ({buckets}) AS shapes ON named.item = shapes.item WHERE total_keys >= {{threshold:UInt64}}",
    );
    let bind = |sql: String| {
        let sql = Sql::new(sql).filtered(filter).number("threshold", threshold);
        sql.text("signal", signal.unwrap_or_default())
    };
    let columns = "signal_of, item, total_keys, attribute_keys, resource_keys, event_keys, link_keys, top, high";
    let order = "total_keys DESC, top DESC, signal_of, item";
    reader.ranked::<Complex>((columns, &inner, order), bind, page).await
}
