use std::collections::HashMap;
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::super::answer::{Answer, Ask, Exact, OVERFLOW, say_distinct, say_exact, text_of, unknown};
use super::super::arguments::Page;
use super::super::items::Detail;
use super::super::keys::{HASHES, Key, Samples};
use super::super::listing::{Extent, Piece, listed};
use super::super::read::{Filter, RankedPieces, Reader, Sql};
use super::super::totals::{self, KeyFilter, Order};
use super::super::window::rfc3339;
use super::watch;
use crate::errors::Failure;

/// One key over all signals and places.
#[derive(Debug, Deserialize)]
pub(in super::super) struct Row {
    pub(in super::super) label: String,
    pub(in super::super) n: u64,
    pub(in super::super) size: u64,
    pub(in super::super) cardinality: u64,
    pub(in super::super) unlisted: u64,
    pub(in super::super) signals: Vec<String>,
    pub(in super::super) places: Vec<String>,
    pub(in super::super) first_seen: i64,
    pub(in super::super) last_seen: i64,
    pub(in super::super) hashes: Vec<u64>,
    #[serde(skip)]
    pub(in super::super) samples: Vec<Arc<str>>,
}

/// The names of the columns of [`Row`].
pub(in super::super) const NAMES: &str =
    "label, n, size, cardinality, unlisted, signals, places, first_seen, last_seen, hashes";

/// Returns the columns of [`Row`], to be grouped by `label`, with at most so many hashes.
pub(in super::super) fn columns(hashes: u32) -> String {
    format!(
        "toString(key) AS label, sum(records) AS n, sum(bytes) AS size, \
         uniqExactArray(value_hashes) AS cardinality, sum(unlisted) AS unlisted, \
         arraySort(groupUniqArray(toString(signal))) AS signals, \
         arraySort(groupUniqArray(toString(scope))) AS places, \
         toUnixTimestamp64Nano(min(first_timestamp)) AS first_seen, \
         toUnixTimestamp64Nano(max(last_timestamp)) AS last_seen, \
         groupUniqArrayArray({hashes})(value_hashes) AS hashes"
    )
}

/// Looks up the text of some values.
pub(in super::super) async fn add_samples(reader: &Reader, rows: &mut [Row]) -> Result<(), Failure> {
    let mut rows: Vec<&mut Row> = rows.iter_mut().filter(|row| !row.hashes.is_empty()).collect();
    let key = |row: &&mut Row| Key { label: row.label.clone(), hashes: row.hashes.clone(), ..Key::default() };
    let mut keys: Vec<Key> = rows.iter().map(key).collect();
    reader.add_samples(&mut keys).await?;
    for (row, key) in rows.iter_mut().zip(keys) {
        row.samples = key.samples;
    }
    Ok(())
}

/// What is told of one key.
#[derive(Debug, Serialize)]
pub(in super::super) struct Told<'a> {
    key: &'a str,
    count: u64,
    estimated_cardinality: u64,
    value_samples: Samples<'a>,
    signal_types: Vec<&'static str>,
    scope: &'a str,
    scopes: &'a [String],
    bytes: u64,
    first_seen: String,
    last_seen: String,
    watched: bool,
    #[serde(flatten)]
    exact: Exact,
}

impl Row {
    /// Tells the key.
    pub(in super::super) fn told(&self, watched: bool) -> Told<'_> {
        Told {
            key: &self.label,
            count: self.n,
            estimated_cardinality: self.cardinality,
            value_samples: Samples(&self.samples),
            signal_types: self.signal_types(),
            scope: if let [only] = self.places.as_slice() { only } else { "mixed" },
            scopes: &self.places,
            bytes: self.size,
            first_seen: rfc3339(self.first_seen),
            last_seen: rfc3339(self.last_seen),
            watched,
            exact: self.exact(),
        }
    }

    /// Returns the API's words for its signals.
    pub(in super::super) fn signal_types(&self) -> Vec<&'static str> {
        self.signals.iter().map(|signal| signal_type(signal)).collect()
    }

    /// Says whether its cardinality is exact.
    pub(in super::super) fn exact(&self) -> Exact {
        Exact::distinct(self.label == OVERFLOW, self.unlisted)
    }
}

/// Returns the API's word for a signal of the catalogue.
pub(in super::super) fn signal_type(signal: &str) -> &'static str {
    match signal {
        "metrics" => "metric",
        "traces" => "span",
        _ => "log",
    }
}

/// Answers `GET attributes`.
pub(in super::super) async fn all(ask: Ask) -> Result<Answer, Failure> {
    let (filter, page, arguments) = (ask.filter()?, ask.arguments.page(), &ask.arguments);
    let (signal, scope) = (arguments.signal(), arguments.word("scope"));
    let by = arguments.word("sort_by").unwrap_or_default();
    let direction = arguments.direction(by == "key");
    let (least, most) = (arguments.number("min_cardinality"), arguments.number("max_cardinality"));
    let watched = watch::keys(&ask.reader);
    let tell = move |row: &Row| text_of(&row.told(watched.contains(&row.label)));
    let cardinality = Some((least.unwrap_or(0), most.unwrap_or(u64::MAX)));
    let wanted = KeyFilter { signal, scope, key: None, cardinality };
    let order = Order { by, rises: direction == "asc" };
    let recalled = ask.reader.recall(&filter, |seen| totals::key_rows(seen, &wanted, order, page));
    if let Some(ranked) = recalled.await? {
        return listed_keys(ask.reader, ranked.in_pieces(), page, tell).await;
    }
    let column = match by {
        "count" => "n",
        "key" => "label",
        other => other,
    };
    let inner = format!(
        "SELECT {} FROM catalog_attributes WHERE 1{}{}{} GROUP BY label \
         HAVING cardinality >= {{least:UInt64}} AND cardinality <= {{most:UInt64}}",
        columns(HASHES),
        if signal.is_some() { " AND signal = {signal:String}" } else { "" },
        if scope.is_some() { " AND scope = {scope:String}" } else { "" },
        filter.condition()
    );
    let bind = |sql: String| {
        let sql = Sql::new(sql).filtered(&filter).number("least", least.unwrap_or(0));
        let sql = sql.number("most", most.unwrap_or(u64::MAX)).text("signal", signal.unwrap_or_default());
        sql.text("scope", scope.unwrap_or_default())
    };
    let order = format!("{column} {direction}, label");
    let ranked = ask.reader.ranked_pieces::<Row>((NAMES, &inner, &order), bind, page).await?;
    listed_keys(ask.reader, ranked, page, tell).await
}

/// Answers with a list of keys.
pub(in super::super) async fn listed_keys(
    reader: Reader,
    ranked: RankedPieces<Row>,
    page: Page,
    tell: impl Fn(&Row) -> Result<Box<RawValue>, Failure> + Clone + Send + 'static,
) -> Result<Answer, Failure> {
    let pieces = ranked.rows.and_then(move |mut rows| {
        let (reader, tell) = (reader.clone(), tell.clone());
        async move {
            add_samples(&reader, &mut rows).await?;
            let capped = rows.iter().any(|row| row.label == OVERFLOW);
            Ok(Piece { items: rows.iter().map(tell).collect::<Result<_, _>>()?, capped })
        }
    });
    let extent = Extent { page, total: ranked.total, samples: ranked.samples, capped: false };
    listed(extent, pieces.boxed()).await
}

/// Answers `GET attributes/{key}`.
pub(in super::super) async fn one(ask: Ask) -> Result<Answer, Failure> {
    let key = ask.path("key");
    let watched = watch::keys(&ask.reader).contains(key);
    let data = of(&ask.reader, key, &ask.filter()?, watched).await?;
    Ok(json!({ "data": data, "watched": watched }).into())
}

async fn of(reader: &Reader, key: &str, filter: &Filter, watched: bool) -> Result<Box<RawValue>, Failure> {
    let wanted = KeyFilter { key: Some(key.to_owned()), ..KeyFilter::default() };
    let unknown = || unknown("attribute", key, "/api/v1/attributes");
    let recalled = reader.recall(filter, |seen| totals::key_rows(seen, &wanted, Order::BY_KEY, Page::ALL));
    if let Some(found) = recalled.await? {
        return text_of(&found.rows.first().ok_or_else(unknown)?.told(watched));
    }
    let sql = Sql::new(format!(
        "SELECT {} FROM catalog_attributes WHERE key = {{key:String}}{} GROUP BY label",
        columns(HASHES),
        filter.condition()
    ));
    let mut rows: Vec<Row> = reader.rows(sql.text("key", key).filtered(filter)).await?;
    add_samples(reader, &mut rows).await?;
    text_of(&rows.first().ok_or_else(unknown)?.told(watched))
}

#[derive(Debug, Deserialize)]
pub(in super::super) struct Use {
    pub(in super::super) service: String,
    pub(in super::super) signal: String,
    pub(in super::super) n: u64,
}

/// Answers `GET attributes/{key}/services`: who sends the key.
pub(in super::super) async fn services(ask: Ask) -> Result<Answer, Failure> {
    let (key, filter) = (ask.path("key"), ask.filter()?);
    let uses = uses(&ask.reader, key, &filter).await?;
    if uses.is_empty() {
        return Err(unknown("attribute", key, "/api/v1/attributes"));
    }
    let told = uses
        .iter()
        .map(|one| json!({ "service_name": one.service, "signal_type": signal_type(&one.signal), "count": one.n }));
    let mut value = json!({ "key": key, "services": told.collect::<Vec<_>>(), "total": uses.len() });
    say_exact(&mut value, uses.iter().any(|one| one.service == OVERFLOW));
    Ok(value.into())
}

async fn uses(reader: &Reader, key: &str, filter: &Filter) -> Result<Vec<Use>, Failure> {
    if let Some(uses) = reader.recall(filter, |seen| Some(totals::uses(seen, key))).await? {
        return Ok(uses);
    }
    let sql = Sql::new(format!(
        "SELECT toString(service_name) AS service, toString(signal) AS signal, sum(records) AS n \
         FROM catalog_attributes WHERE key = {{key:String}}{} \
         GROUP BY service, signal ORDER BY n DESC, service, signal",
        filter.condition()
    ));
    reader.rows(sql.text("key", key).filtered(filter)).await
}

#[derive(Debug, Deserialize)]
pub(in super::super) struct Bearer {
    pub(in super::super) signal: String,
    pub(in super::super) item: String,
    pub(in super::super) services: Vec<String>,
    pub(in super::super) n: u64,
    pub(in super::super) cardinality: u64,
    pub(in super::super) unlisted: u64,
}

/// Answers `GET attributes/{key}/telemetry`: what has the key.
pub(in super::super) async fn telemetry(ask: Ask) -> Result<Answer, Failure> {
    let (key, filter) = (ask.path("key"), ask.filter()?);
    let attribute = of(&ask.reader, key, &filter, watch::keys(&ask.reader).contains(key)).await?;
    let bearers = bearers(&ask.reader, key, &filter).await?;
    let names = |signal: &str| -> Vec<String> {
        bearers.iter().filter(|bearer| bearer.signal == signal).map(|bearer| bearer.item.clone()).collect()
    };
    let (metric_names, span_names) = (names("metrics"), names("traces"));
    let (metrics, spans) = tokio::try_join!(
        ask.reader.details("metrics", &metric_names, &filter),
        ask.reader.details("traces", &span_names, &filter),
    )?;
    let told = |signal: &str, quality: (&str, &str), name: &str, details: &[Detail]| -> Vec<Value> {
        let details: HashMap<&str, &Detail> = details.iter().map(|detail| (detail.item.as_str(), detail)).collect();
        let own = bearers.iter().filter(|bearer| bearer.signal == signal);
        own.map(|bearer| {
            let mut value = json!({
                name: bearer.item,
                "services": bearer.services,
                "attribute_count": bearer.n,
                "attribute_cardinality": bearer.cardinality,
            });
            if let Some(detail) = details.get(bearer.item.as_str()) {
                value[quality.0] = json!(detail.facet(quality.1));
            }
            say_distinct(&mut value, bearer.item == OVERFLOW, bearer.unlisted);
            value
        })
        .collect()
    };
    let metrics = told("metrics", ("type", "type"), "name", &metrics);
    let spans = told("traces", ("kind_name", "kind"), "name", &spans);
    let logs = told("logs", ("", ""), "severity", &[]);
    Ok(json!({
        "key": key,
        "attribute": attribute,
        "metric_count": metrics.len(),
        "span_count": spans.len(),
        "log_count": logs.len(),
        "metrics": metrics,
        "spans": spans,
        "logs": logs,
    })
    .into())
}

async fn bearers(reader: &Reader, key: &str, filter: &Filter) -> Result<Vec<Bearer>, Failure> {
    if let Some(bearers) = reader.recall(filter, |seen| totals::signals_of(seen, key)).await? {
        return Ok(bearers);
    }
    let sql = Sql::new(format!(
        "SELECT toString(signal) AS signal, toString(name) AS item, \
         arraySort(groupUniqArray(toString(service_name))) AS services, sum(records) AS n, \
         uniqExactArray(value_hashes) AS cardinality, sum(unlisted) AS unlisted \
         FROM catalog_attributes WHERE key = {{key:String}}{} \
         GROUP BY signal, item ORDER BY cardinality DESC, item",
        filter.condition()
    ));
    reader.rows(sql.text("key", key).filtered(filter)).await
}
