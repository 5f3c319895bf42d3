use futures_util::{StreamExt, TryStreamExt};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::answer::{Answer, Ask, OVERFLOW, say_exact};
use super::super::listing::{Extent, Piece, listed};
use super::super::read::Sql;
use super::super::window::rfc3339;
use crate::errors::Failure;

#[derive(Debug, Deserialize)]
struct Metric {
    item: String,
    label_count: u64,
    top: u64,
    score: u64,
    labels: Vec<(String, u64)>,
    first_seen: i64,
    last_seen: i64,
    n: u64,
}

/// Answers `GET metrics`: labels of data points with their cardinality, the highest score first.
pub(super) async fn all(ask: Ask) -> Result<Answer, Failure> {
    let (filter, page) = (ask.filter()?, ask.arguments.page());
    let score_min = ask.arguments.number("min_complexity").unwrap_or(0);
    let condition = filter.condition();
    // A metric without labels has a row of its own here, so that it is not left out.
    let pieces = format!(
        "SELECT name AS item, toString(key) AS label, 1 AS labelled, \
         uniqExactArray(value_hashes) AS cardinality, toUInt64(0) AS points, min(first_timestamp) AS first_time, \
         max(last_timestamp) AS last_time FROM catalog_attributes \
         WHERE signal = 'metrics' AND scope = 'attribute'{condition} GROUP BY item, label UNION ALL \
         SELECT name AS item, '' AS label, 0 AS labelled, toUInt64(0) AS cardinality, \
         sum(records) AS points, min(first_timestamp) AS first_time, max(last_timestamp) AS last_time \
         FROM catalog_signals WHERE signal = 'metrics'{condition} GROUP BY item"
    );
    let inner = format!(
        "SELECT item, sum(labelled) AS label_count, max(cardinality) AS top, label_count * top AS score, \
         arraySort(groupArrayIf(CAST((label, cardinality), 'Tuple(String, UInt64)'), labelled = 1)) AS labels, \
         toUnixTimestamp64Nano(min(first_time)) AS first_seen, toUnixTimestamp64Nano(max(last_time)) AS last_seen, \
         sum(points) AS n FROM ({pieces}) GROUP BY item HAVING score >= {{score_min:UInt64}}"
    );
    let columns = "item, label_count, top, score, labels, first_seen, last_seen, n";
    let bind = |sql: String| Sql::new(sql).filtered(&filter).number("score_min", score_min);
    let ranked = ask.reader.ranked_pieces::<Metric>((columns, &inner, "score DESC, item"), bind, page).await?;
    let pieces = ranked.rows.map_ok(|metrics| Piece {
        capped: metrics.iter().any(|metric| metric.item == OVERFLOW),
        items: metrics.iter().map(told).collect(),
    });
    let extent = Extent { page, total: ranked.total, samples: ranked.samples, capped: false };
    listed(extent, pieces.boxed()).await
}

fn told(metric: &Metric) -> Value {
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
    say_exact(&mut value, metric.item == OVERFLOW);
    value
}
