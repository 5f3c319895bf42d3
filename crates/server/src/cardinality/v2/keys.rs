use serde::Deserialize;
use serde_json::{Value, json};

use super::super::answer::{Answer, Ask, OVERFLOW, say_distinct, unknown};
use super::super::arguments::Page;
use super::super::keys::HASHES;
use super::super::read::Sql;
use super::super::totals::{self, KeyFilter, Order};
use super::super::v1::attributes::{NAMES, Row, add_samples, columns, listed_keys};
use super::super::window::rfc3339;
use crate::errors::Failure;

/// Values that are shown of a key.
const SAMPLES: usize = 5;
/// The widest bucket, in hours: a year.
const PERIOD_HOURS_MAX: u64 = 24 * 366;

/// Answers `GET cardinality`: keys over all signals, the highest cardinality first.
pub(super) async fn all(ask: Ask) -> Result<Answer, Failure> {
    let (filter, page, signal) = (ask.filter()?, ask.arguments.page(), ask.arguments.signal());
    let least = ask.arguments.number("min_cardinality").unwrap_or(0);
    let wanted = KeyFilter { signal, cardinality: Some((least, u64::MAX)), ..KeyFilter::default() };
    let recalled = ask.reader.recall(&filter, move |seen| totals::key_rows(seen, &wanted, Order::HIGHEST, page));
    if let Some(ranked) = recalled.await? {
        return listed_keys(ask.reader, ranked.in_pieces(), page, told).await;
    }
    let inner = format!(
        "SELECT {} FROM catalog_attributes WHERE 1{}{} GROUP BY label HAVING cardinality >= {{least:UInt64}}",
        columns(HASHES),
        if signal.is_some() { " AND signal = {signal:String}" } else { "" },
        filter.condition()
    );
    let bind = |sql: String| {
        let sql = Sql::new(sql).filtered(&filter).number("least", least);
        sql.text("signal", signal.unwrap_or_default())
    };
    let order = "cardinality DESC, n DESC, label";
    let ranked = ask.reader.ranked_pieces::<Row>((NAMES, &inner, order), bind, page).await?;
    listed_keys(ask.reader, ranked, page, told).await
}

#[derive(Debug, Deserialize)]
struct Bucket {
    start: i64,
    n: u64,
    size: u64,
    cardinality: u64,
}

/// Answers `GET cardinality/{key}`: the key, and the same in buckets of `period` (whole hours: `1h`, `6h`, `1d`).
pub(super) async fn one(ask: Ask) -> Result<Answer, Failure> {
    let (key, filter, signal) = (ask.path("key"), ask.filter()?, ask.arguments.signal());
    let hours = period(ask.arguments.text("period").unwrap_or("1h"))?;
    let condition = format!(
        "key = {{key:String}}{}{}",
        if signal.is_some() { " AND signal = {signal:String}" } else { "" },
        filter.condition()
    );
    let bind =
        |sql: String| Sql::new(sql).text("key", key).text("signal", signal.unwrap_or_default()).filtered(&filter);
    let whole = format!("SELECT {} FROM catalog_attributes WHERE {condition} GROUP BY label", columns(HASHES));
    let nanos = hours * 3_600_000_000_000;
    let buckets = format!(
        "SELECT toUnixTimestamp64Nano(hour) - positiveModulo(toUnixTimestamp64Nano(hour), {nanos}) AS start, \
         sum(records) AS n, sum(bytes) AS size, uniqExactArray(value_hashes) AS cardinality \
         FROM catalog_attributes WHERE {condition} GROUP BY start ORDER BY start"
    );
    let wanted = KeyFilter { signal, key: Some(key.to_owned()), ..KeyFilter::default() };
    let whole = async {
        let recalled =
            ask.reader.recall(&filter, move |seen| totals::key_rows(seen, &wanted, Order::BY_KEY, Page::ALL));
        if let Some(found) = recalled.await? {
            return Ok(found.rows);
        }
        let mut rows = ask.reader.rows::<Row>(bind(whole)).await?;
        add_samples(&ask.reader, &mut rows).await?;
        Ok(rows)
    };
    let (rows, buckets) = tokio::try_join!(whole, ask.reader.rows::<Bucket>(bind(buckets)))?;
    let Some(row) = rows.first() else { return Err(unknown("attribute", key, "/v2/cardinality")) };
    let mut value = told(row);
    value["period"] = json!(format!("{hours}h"));
    value["buckets"] = buckets
        .iter()
        .map(|bucket| {
            json!({
                "start": rfc3339(bucket.start),
                "estimated_cardinality": bucket.cardinality,
                "observations": bucket.n,
                "bytes": bucket.size,
            })
        })
        .collect();
    Ok(value.into())
}

fn told(row: &Row) -> Value {
    let whole = row.told(false);
    let samples: Vec<Value> = whole["value_samples"].as_array().into_iter().flatten().take(SAMPLES).cloned().collect();
    let mut value = json!({
        "key": row.label,
        "estimated_cardinality": row.cardinality,
        "signal_types": whole["signal_types"],
        "scopes": whole["scopes"],
        "total_observations": row.n,
        "bytes": whole["bytes"],
        "value_samples": samples,
        "first_seen": whole["first_seen"],
        "last_seen": whole["last_seen"],
    });
    say_distinct(&mut value, row.label == OVERFLOW, row.unlisted);
    value
}

/// Reads a number of hours or days.
fn period(text: &str) -> Result<u64, Failure> {
    let read = |unit, hours: u64| text.strip_suffix(unit)?.parse::<u64>().ok()?.checked_mul(hours);
    let hours = read('h', 1).or_else(|| read('d', 24)).filter(|hours| (1..=PERIOD_HOURS_MAX).contains(hours));
    hours.ok_or_else(|| {
        Failure::invalid(format!("`period` is a number of whole hours or days such as 1h, 6h or 1d, it is `{text}`"))
    })
}
