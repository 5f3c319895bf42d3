use std::collections::BTreeSet;

use http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use tidegate_model::ErrorKind;
use tidegate_model::tables::{
    LOGS, METRIC_EXPONENTIAL_HISTOGRAMS, METRIC_HISTOGRAMS, METRIC_SAMPLES, METRIC_SUMMARIES, SPANS,
};

use super::super::answer::{Answer, Ask};
use super::super::arguments::Page;
use super::super::read::{Reader, Sql};
use super::super::state::Watch;
use super::super::window::rfc3339;
use crate::errors::Failure;

/// Keys that are watched at a time, as the reference has it.
const WATCHES_MAX: usize = 10;
/// Distinct values past which a watch says `overflow`. Its numbers stay exact; clients of the reference look for it.
const VALUES_MAX: u64 = 10_000;

/// Returns the keys that are watched.
pub(super) fn keys(reader: &Reader) -> BTreeSet<String> {
    reader.stages.cardinality.watches().keys().cloned().collect()
}

/// Ends all watches; returns how many there were.
pub(super) fn forget_all(reader: &Reader) -> usize {
    std::mem::take(&mut *reader.stages.cardinality.watches()).len()
}

/// Answers `POST attributes/{key}/watch`: from the newest acknowledged row on, each value of the key is counted.
pub(in super::super) async fn begin(ask: Ask) -> Result<Answer, Failure> {
    let (key, stages) = (ask.path("key"), &ask.reader.stages);
    stages.cardinality.rows_are_kept(|_| true)?;
    let tables =
        [&LOGS, &SPANS, &METRIC_SAMPLES, &METRIC_HISTOGRAMS, &METRIC_EXPONENTIAL_HISTOGRAMS, &METRIC_SUMMARIES];
    let names: Vec<_> = tables.iter().map(|table| table.name.clone()).collect();
    let since = rfc3339(stages.clock.now().0);
    let heads = stages.buffer.snapshot(&names).into_iter().map(|tail| (tail.table, tail.head)).collect();
    let mut watches = stages.cardinality.watches();
    if watches.contains_key(key) {
        return Err(Failure::new(ErrorKind::Conflict, format!("`{key}` is watched already"))
            .with_hint("DELETE the watch first to begin anew"));
    }
    if watches.len() >= WATCHES_MAX {
        return Err(Failure::invalid(format!("{WATCHES_MAX} keys are watched already: DELETE one first"))
            .with_status(StatusCode::TOO_MANY_REQUESTS));
    }
    watches.insert(key.to_owned(), Watch { since: since.clone(), heads });
    Ok(json!({ "key": key, "watching_since": since, "unique_count": 0, "overflow": false }).into())
}

/// Answers `DELETE attributes/{key}/watch`.
pub(in super::super) async fn end(ask: Ask) -> Result<Answer, Failure> {
    let key = ask.path("key");
    let ended = ask.reader.stages.cardinality.watches().remove(key);
    ended.map(|_| Answer::Empty).ok_or_else(|| not_watched(key))
}

#[derive(Debug, Default, Deserialize)]
struct Totals {
    total: u64,
    observations: u64,
}

#[derive(Debug, Deserialize)]
struct Counted {
    text_of: String,
    n: u64,
}

/// Answers `GET attributes/{key}/watch`: exact counts of every value since the watch began, from the raw rows.
pub(in super::super) async fn show(ask: Ask) -> Result<Answer, Failure> {
    let (key, arguments) = (ask.path("key"), &ask.arguments);
    let watch = ask.reader.stages.cardinality.watches().get(key).cloned().ok_or_else(|| not_watched(key))?;
    let by = arguments.word("sort_by").unwrap_or_default();
    let direction = arguments.direction(by == "value");
    let number = arguments.number("page").unwrap_or(1).max(1);
    let size = arguments.number("page_size").unwrap_or(1).max(1);
    let page = Page { limit: size, offset: (number - 1).saturating_mul(size).min(1_000_000_000) };
    let prefix = arguments.text("q").unwrap_or_default();

    let bind = |sql: String| {
        let sql = Sql::new(sql).text("key", key).text("prefix", prefix);
        watch.heads.iter().fold(sql, |sql, (table, head)| sql.number(&format!("after_{table}"), head.0))
    };
    let counts = format!("SELECT text_of, count() AS n FROM ({}) GROUP BY text_of", values());
    let totals = format!("SELECT count() AS total, sum(n) AS observations FROM ({counts})");
    let order = format!("{} {direction}, text_of", if by == "value" { "text_of" } else { "n" });
    let found = format!("{counts} HAVING startsWith(text_of, {{prefix:String}})");
    let query = ("text_of, n", found.as_str(), order.as_str());
    let ranked = ask.reader.ranked::<Counted>(query, bind, page).await?;
    let totals = if prefix.is_empty() {
        Totals { total: ranked.total, observations: ranked.samples }
    } else {
        ask.reader.row::<Totals>(bind(totals)).await?
    };
    let values = ranked.rows.iter().map(|row| json!({ "value": row.text_of, "count": row.n }));
    Ok(json!({
        "key": key,
        "watching_since": watch.since,
        "unique_count": totals.total,
        "total_observations": totals.observations,
        "active": true,
        "overflow": totals.total > VALUES_MAX,
        "exact": true,
        // Ingest refuses such texts: none is stored.
        "has_invalid_utf8": false,
        "values": values.collect::<Vec<_>>(),
        "total_values": ranked.total,
        "page": number,
        "page_size": size,
    })
    .into())
}

fn not_watched(key: &str) -> Failure {
    Failure::new(ErrorKind::NotFound, format!("`{key}` is not watched"))
        .with_hint("POST to the same path to begin; watches end with the server")
}

/// Yields every value of the key in rows that came since the watch began, one row each.
fn values() -> String {
    let entries = |map: &str| {
        format!("arrayFilter(entry -> entry.1 = {{key:String}}, CAST({map}, 'Array(Tuple(String, String))'))")
    };
    let nested = |maps: &str| format!("arrayFlatten(arrayMap(own -> {}, {maps}))", entries("own"));
    let [own, resource, scope] = ["attributes", "resource_attributes", "scope_attributes"].map(entries);
    let [events, links] = ["event_attributes", "link_attributes"].map(nested);
    let rows = |table: &str, found: &str| {
        format!(
            "SELECT arrayJoin(arrayMap(entry -> entry.2, {found})) AS text_of FROM {table} \
             WHERE _seq > {{after_{table}:UInt64}}"
        )
    };
    let logs = rows("logs", &format!("arrayConcat({own}, {resource}, {scope})"));
    let spans = rows("spans", &format!("arrayConcat({own}, {resource}, {scope}, {events}, {links})"));
    let points: Vec<String> =
        ["metric_samples", "metric_histograms", "metric_exponential_histograms", "metric_summaries"]
            .iter()
            .map(|table| format!("SELECT fingerprint FROM {table} WHERE _seq > {{after_{table}:UInt64}}"))
            .collect();
    let points = format!(
        "SELECT arrayJoin(arrayMap(entry -> entry.2, series.found)) AS text_of FROM ({}) AS points \
         JOIN (SELECT fingerprint, arrayConcat({own}, {resource}, {scope}) AS found FROM metric_series \
         WHERE notEmpty(found) LIMIT 1 BY fingerprint) AS series ON points.fingerprint = series.fingerprint",
        points.join(" UNION ALL ")
    );
    [logs, spans, points].join(" UNION ALL ")
}
