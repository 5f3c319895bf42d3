use serde::{Deserialize, Serialize};

use super::super::answer::{Answer, Ask, Exact, text_of, unknown};
use super::super::arguments::Page;
use super::super::keys::{HASHES, Samples};
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
    let recalled = ask.reader.recall(&filter, |seen| totals::key_rows(seen, &wanted, Order::HIGHEST, page));
    if let Some(ranked) = recalled.await? {
        return listed_keys(ask.reader, ranked.in_pieces(), page, |row| text_of(&told(row))).await;
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
    listed_keys(ask.reader, ranked, page, |row| text_of(&told(row))).await
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
        let recalled = ask.reader.recall(&filter, |seen| totals::key_rows(seen, &wanted, Order::BY_KEY, Page::ALL));
        if let Some(found) = recalled.await? {
            return Ok(found.rows);
        }
        let mut rows = ask.reader.rows::<Row>(bind(whole)).await?;
        add_samples(&ask.reader, &mut rows).await?;
        Ok(rows)
    };
    let (rows, buckets) = tokio::try_join!(whole, ask.reader.rows::<Bucket>(bind(buckets)))?;
    let Some(row) = rows.first() else { return Err(unknown("attribute", key, "/v2/cardinality")) };
    let buckets = buckets.iter().map(|bucket| BucketTold {
        start: rfc3339(bucket.start),
        estimated_cardinality: bucket.cardinality,
        observations: bucket.n,
        bytes: bucket.size,
    });
    Answer::told(&ByHours { key: told(row), period: format!("{hours}h"), buckets: buckets.collect() })
}

/// A key, and the same in buckets.
#[derive(Debug, Serialize)]
struct ByHours<'a> {
    #[serde(flatten)]
    key: Told<'a>,
    period: String,
    buckets: Vec<BucketTold>,
}

#[derive(Debug, Serialize)]
struct BucketTold {
    start: String,
    estimated_cardinality: u64,
    observations: u64,
    bytes: u64,
}

/// What is told of one key.
#[derive(Debug, Serialize)]
struct Told<'a> {
    key: &'a str,
    estimated_cardinality: u64,
    signal_types: Vec<&'static str>,
    scopes: &'a [String],
    total_observations: u64,
    bytes: u64,
    value_samples: Samples<'a>,
    first_seen: String,
    last_seen: String,
    #[serde(flatten)]
    exact: Exact,
}

fn told(row: &Row) -> Told<'_> {
    Told {
        key: &row.label,
        estimated_cardinality: row.cardinality,
        signal_types: row.signal_types(),
        scopes: &row.places,
        total_observations: row.n,
        bytes: row.size,
        value_samples: Samples(row.samples.get(..SAMPLES).unwrap_or(&row.samples)),
        first_seen: rfc3339(row.first_seen),
        last_seen: rfc3339(row.last_seen),
        exact: row.exact(),
    }
}

/// Reads a number of hours or days.
fn period(text: &str) -> Result<u64, Failure> {
    let read = |unit, hours: u64| text.strip_suffix(unit)?.parse::<u64>().ok()?.checked_mul(hours);
    let hours = read('h', 1).or_else(|| read('d', 24)).filter(|hours| (1..=PERIOD_HOURS_MAX).contains(hours));
    hours.ok_or_else(|| {
        Failure::invalid(format!("`period` is a number of whole hours or days such as 1h, 6h or 1d, it is `{text}`"))
    })
}
