//! `attributes/{key}/watch`: the values of one key, counted one by one.
//!
//! Owns: what came of a watched key since its watch began. Each row is counted once: while it is hot, by looking at new
//! rows now and then; from its table where it was stored before anybody looked. A key with more values than memory holds is
//! counted in the tables at each request. Watches end with the server.
//!
//! | file | holds |
//! |---|---|
//! | `mod.rs` | the three routes |
//! | `counts.rs` | the counts, brought up to the newest row |
//! | `statement.rs` | the values of a key in rows of the tables |

mod counts;
mod statement;

use std::collections::BTreeSet;
use std::sync::Arc;

use http::StatusCode;
use serde_json::json;
use tidegate_model::ErrorKind;
use tidegate_model::tables::{
    EVENTS, LOGS, METRIC_EXPONENTIAL_HISTOGRAMS, METRIC_HISTOGRAMS, METRIC_SAMPLES, METRIC_SUMMARIES, SPANS,
};

use super::super::answer::{Answer, Ask};
use super::super::arguments::Page;
use super::super::read::{Ranked, Reader, Sql};
use super::super::state::Watch;
use super::super::window::rfc3339;
use crate::errors::Failure;

pub(in super::super) use counts::Counts;
use counts::{Counted, Totals, Wanted, keep_up};
use statement::{Between, values};

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
    let tables = [
        &LOGS,
        &EVENTS,
        &SPANS,
        &METRIC_SAMPLES,
        &METRIC_HISTOGRAMS,
        &METRIC_EXPONENTIAL_HISTOGRAMS,
        &METRIC_SUMMARIES,
    ];
    let names: Vec<_> = tables.iter().map(|table| table.name.clone()).collect();
    let since = rfc3339(stages.clock.now().0);
    let heads: Vec<_> = stages.buffer.snapshot(&names).into_iter().map(|tail| (tail.table, tail.head)).collect();
    let mut watches = stages.cardinality.watches();
    if watches.contains_key(key) {
        return Err(Failure::new(ErrorKind::Conflict, format!("`{key}` is watched already"))
            .with_hint("DELETE the watch first to begin anew"));
    }
    if watches.len() >= WATCHES_MAX {
        return Err(Failure::invalid(format!("{WATCHES_MAX} keys are watched already: DELETE one first"))
            .with_status(StatusCode::TOO_MANY_REQUESTS));
    }
    let counts = Arc::new(tokio::sync::Mutex::new(Counts::above(heads.clone())));
    watches.insert(key.to_owned(), Watch { since: since.clone(), heads, counts: Arc::clone(&counts) });
    drop(watches);
    tokio::spawn(keep_up(ask.reader.clone(), key.to_owned(), counts));
    Ok(json!({ "key": key, "watching_since": since, "unique_count": 0, "overflow": false }).into())
}

/// Answers `DELETE attributes/{key}/watch`.
pub(in super::super) async fn end(ask: Ask) -> Result<Answer, Failure> {
    let key = ask.path("key");
    let ended = ask.reader.stages.cardinality.watches().remove(key);
    ended.map(|_| Answer::Empty).ok_or_else(|| not_watched(key))
}

/// Answers `GET attributes/{key}/watch`: exact counts of every value since the watch began, from the raw rows.
pub(in super::super) async fn show(ask: Ask) -> Result<Answer, Failure> {
    let (key, arguments) = (ask.path("key"), &ask.arguments);
    let watch = ask.reader.stages.cardinality.watches().get(key).cloned().ok_or_else(|| not_watched(key))?;
    let by = arguments.word("sort_by").unwrap_or_default();
    let number = arguments.number("page").unwrap_or(1).max(1);
    let size = arguments.number("page_size").unwrap_or(1).max(1);
    let wanted = Wanted {
        prefix: arguments.text("q").unwrap_or_default().to_owned(),
        by_value: by == "value",
        rises: arguments.direction(by == "value") == "asc",
        page: Page { limit: size, offset: (number - 1).saturating_mul(size).min(1_000_000_000) },
    };
    let (totals, ranked) = counted(&ask.reader, key, &watch, &wanted).await?;
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

async fn counted(
    reader: &Reader,
    key: &str,
    watch: &Watch,
    wanted: &Wanted,
) -> Result<(Totals, Ranked<Counted>), Failure> {
    let mut counts = watch.counts.lock().await;
    if !counts.is_too_much() {
        counts.catch_up(reader, key).await?;
    }
    if !counts.is_too_much() {
        return Ok(counts.listed(wanted));
    }
    drop(counts);
    let names: Vec<_> = watch.heads.iter().map(|(table, _)| table.clone()).collect();
    let tails = reader.stages.buffer.snapshot(&names);
    let heads = watch.heads.iter().zip(tails);
    let between: Vec<_> =
        heads.map(|((table, head), tail)| Between { table: table.clone(), after: *head, to: tail.head }).collect();
    let bind = |sql: String| Sql::new(sql).text("key", key).text("prefix", &wanted.prefix);
    let counts =
        format!("SELECT text_of, count() AS n FROM ({}) GROUP BY text_of", values(&between).unwrap_or_default());
    let found = format!("{counts} HAVING startsWith(text_of, {{prefix:String}})");
    let column = if wanted.by_value { "text_of" } else { "n" };
    let order = format!("{column} {}, text_of", if wanted.rises { "ASC" } else { "DESC" });
    let query = ("text_of, n", found.as_str(), order.as_str());
    let ranked = reader.ranked::<Counted>(query, bind, wanted.page).await?;
    if wanted.prefix.is_empty() {
        return Ok((Totals { total: ranked.total, observations: ranked.samples }, ranked));
    }
    let totals = format!("SELECT count() AS total, sum(n) AS observations FROM ({counts})");
    Ok((reader.row::<Totals>(bind(totals)).await?, ranked))
}
