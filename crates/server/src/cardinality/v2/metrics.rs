use futures_util::{StreamExt, TryStreamExt};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::answer::{Answer, Ask, OVERFLOW, say_distinct};
use super::super::arguments::Page;
use super::super::listing::{Extent, Piece, listed};
use super::super::read::{Filter, RankedPieces, Reader, Sql};
use super::super::totals;
use super::super::window::rfc3339;
use crate::errors::Failure;

#[derive(Debug, Default, Deserialize)]
pub(in super::super) struct Labels {
    pub(in super::super) item: String,
    pub(in super::super) label_count: u64,
    pub(in super::super) top: u64,
    pub(in super::super) score: u64,
    pub(in super::super) labels: Vec<(String, u64)>,
    pub(in super::super) first_seen: i64,
    pub(in super::super) last_seen: i64,
    pub(in super::super) n: u64,
    pub(in super::super) unlisted: u64,
}

/// Answers `GET metrics`: labels of data points with their cardinality, the highest score first.
pub(super) async fn all(ask: Ask) -> Result<Answer, Failure> {
    let (filter, page) = (ask.filter()?, ask.arguments.page());
    let score_min = ask.arguments.number("min_complexity").unwrap_or(0);
    let recalled = ask.reader.recall(&filter, |seen| totals::label_scores(seen, score_min, page));
    let ranked = match recalled.await? {
        Some(ranked) => ranked.in_pieces(),
        None => scored(&ask.reader, &filter, score_min, page).await?,
    };
    let pieces = ranked.rows.map_ok(|metrics| Piece {
        capped: metrics.iter().any(|metric| metric.item == OVERFLOW),
        items: metrics.iter().map(told).collect(),
    });
    let extent = Extent { page, total: ranked.total, samples: ranked.samples, capped: false };
    listed(extent, pieces.boxed()).await
}

async fn scored(reader: &Reader, filter: &Filter, score_min: u64, page: Page) -> Result<RankedPieces<Labels>, Failure> {
    let condition = filter.condition();
    // A metric without labels has a row of its own here, so that it is not left out.
    let pieces = format!(
        "SELECT name AS item, toString(key) AS label, 1 AS labelled, \
         uniqExactArray(value_hashes) AS cardinality, sum(unlisted) AS unlisted, toUInt64(0) AS points, \
         min(first_timestamp) AS first_time, \
         max(last_timestamp) AS last_time FROM catalog_attributes \
         WHERE signal = 'metrics' AND scope = 'attribute'{condition} GROUP BY item, label UNION ALL \
         SELECT name AS item, '' AS label, 0 AS labelled, toUInt64(0) AS cardinality, toUInt64(0) AS unlisted, \
         sum(records) AS points, min(first_timestamp) AS first_time, max(last_timestamp) AS last_time \
         FROM catalog_signals WHERE signal = 'metrics'{condition} GROUP BY item"
    );
    let inner = format!(
        "SELECT item, sum(labelled) AS label_count, max(cardinality) AS top, label_count * top AS score, \
         arraySort(groupArrayIf(CAST((label, cardinality), 'Tuple(String, UInt64)'), labelled = 1)) AS labels, \
         toUnixTimestamp64Nano(min(first_time)) AS first_seen, toUnixTimestamp64Nano(max(last_time)) AS last_seen, \
         sum(points) AS n, sum(unlisted) AS unlisted FROM ({pieces}) GROUP BY item HAVING score >= {{score_min:UInt64}}"
    );
    let columns = "item, label_count, top, score, labels, first_seen, last_seen, n, unlisted";
    let bind = |sql: String| Sql::new(sql).filtered(filter).number("score_min", score_min);
    reader.ranked_pieces::<Labels>((columns, &inner, "score DESC, item"), bind, page).await
}

fn told(metric: &Labels) -> Value {
    let labels: Map<_, _> = metric.labels.iter().map(|(label, count)| (label.clone(), json!(count))).collect();
    let mut value = json!({
        "name": metric.item,
        "labels": labels,
        "label_count": metric.label_count,
        "max_label_cardinality": metric.top,
        "complexity_score": metric.score,
        "sample_count": metric.n,
        "first_seen": rfc3339(metric.first_seen),
        "last_seen": rfc3339(metric.last_seen),
    });
    say_distinct(&mut value, metric.item == OVERFLOW, metric.unlisted);
    value
}
