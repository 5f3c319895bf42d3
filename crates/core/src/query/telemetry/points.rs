use serde::Serialize;
use serde_json::{Map, Number, Value, json};
use tidegate_model::limits::TELEMETRY_BUCKETS_MAX;
use tidegate_model::tables::{METRIC_SAMPLES, METRIC_SERIES};
use tidegate_model::{RollUps, Rule, Seq, UnixNanos};

use super::coarse::{Origin, Sides, bucket, cover, records, told as rolled_up, union};
use super::entry::object;
use super::filter::{has, list};
use super::records::{behind, checked};
use super::{Asked, Asking, Page, Paging, broken, cut_page, fingerprint, text, texts, whole};
use crate::query::dataset::Bound;
use crate::query::{Freshness, Query, QueryError};

/// Which data points of gauges and sums are wanted; what is empty does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PointFilter {
    /// Not before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<UnixNanos>,
    /// Before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<UnixNanos>,
    /// Of one of these metrics.
    pub names: Vec<String>,
    /// From one of these services.
    pub sources: Vec<String>,
    /// All of these are attributes of the series.
    pub tags: Vec<(String, String)>,
    /// All of these are attributes of its resource.
    pub resource: Vec<(String, String)>,
}

/// The length of a bucket of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Sixty seconds.
    Minute,
    /// Sixty minutes.
    Hour,
    /// A day in UTC.
    Day,
}

/// What is told of a bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Aggregate {
    /// The mean.
    Avg,
    /// The greatest value.
    Max,
    /// The least value.
    Min,
    /// All values together.
    Sum,
    /// How many values.
    Count,
    /// The newest value.
    Last,
    /// How much counters rose, by second, over all series; a counter that fell began anew.
    Rate,
    /// The value below which this part of the values lies, between two neighbours in proportion.
    Quantile(f64),
}

/// What is asked of buckets.
#[derive(Debug, Clone)]
pub struct PointBuckets {
    /// How long each is.
    pub step: Step,
    /// What is told of each.
    pub aggregates: Vec<Aggregate>,
}

impl Step {
    pub(super) const fn nanos(self) -> i64 {
        match self {
            Self::Minute => 60_000_000_000,
            Self::Hour => 3_600_000_000_000,
            Self::Day => 86_400_000_000_000,
        }
    }
}

impl Aggregate {
    /// Returns the name in answers: `avg`, `p95`, `p99.9`.
    #[must_use]
    pub fn name(self) -> String {
        let word = match self {
            Self::Avg => "avg",
            Self::Max => "max",
            Self::Min => "min",
            Self::Sum => "sum",
            Self::Count => "count",
            Self::Last => "last",
            Self::Rate => "rate",
            Self::Quantile(part) => return format!("p{}", (part * 100_000.0).round() / 1_000.0),
        };
        word.to_owned()
    }

    /// What it is of sums; `None`: sums do not tell.
    fn of_sums(self) -> Option<&'static str> {
        match self {
            Self::Avg => Some("toString(sum(_total) / sum(_rows))"),
            Self::Max => Some("toString(max(_greatest))"),
            Self::Min => Some("toString(min(_least))"),
            Self::Sum => Some("toString(sum(_total))"),
            Self::Count => Some("toString(sum(_rows))"),
            Self::Last | Self::Rate | Self::Quantile(_) => None,
        }
    }

    fn sql(self, step: Step) -> String {
        match self {
            Self::Avg => "avg(_value)".to_owned(),
            Self::Max => "max(_value)".to_owned(),
            Self::Min => "min(_value)".to_owned(),
            Self::Sum => "sum(_value)".to_owned(),
            Self::Count => "count()".to_owned(),
            Self::Last => "argMax(_value, (_when, _number))".to_owned(),
            Self::Rate => format!("sum(_rise) / {}", step.nanos() / 1_000_000_000),
            Self::Quantile(part) => format!("quantileExactInclusive({part})(_value)"),
        }
    }
}

impl Query {
    /// Answers with a page of data points.
    pub async fn points(&self, filter: &PointFilter, (paging, asking): (&Paging, &Asking)) -> Result<Page, QueryError> {
        let of = fingerprint(&(filter, paging.rises));
        let cursor = checked(paging, of)?;
        let mut bound = Bound::default();
        let mut conditions = filter.conditions(&mut bound)?;
        if let Some(cursor) = &cursor {
            conditions.extend(behind(cursor, paging.rises, &mut bound)?);
        }
        let way = if paging.rises { "ASC" } else { "DESC" };
        let points = format!(
            "SELECT toUnixTimestamp64Nano(timestamp) AS _time, _seq AS _number, fingerprint AS _series, metric_name, \
             service_name, value, value_int, value_type FROM {}{} ORDER BY timestamp {way}, _seq {way} LIMIT {}",
            METRIC_SAMPLES.name,
            joined(&conditions),
            paging.limit + 1
        );
        let sql = format!(
            "SELECT _time, _number, metric_name, service_name, toString(value), value_int, value_type, \
             _own.unit, _own.metric_type, _own.tags, _own.tag_values, _own.tag_types, _own.agent, _own.session \
             FROM ({points}) AS _points LEFT ANY JOIN ({}) AS _own ON _points._series = _own.id \
             ORDER BY _time {way}, _number {way}",
            series(filter, &mut bound)?
        );
        let (lines, freshness) = self.lines(Asked { sql, params: bound.params, ..Asked::default() }, asking).await?;
        let watermark = cursor.map_or_else(|| head(&freshness), |cursor| cursor.watermark);
        let mut rows = lines.iter().map(|line| point(line)).collect::<Result<Vec<_>, _>>()?;
        let next_cursor = cut_page(&mut rows, paging, (of, watermark));
        Ok(Page { rows: rows.into_iter().map(|(_, _, row)| row).collect(), next_cursor, freshness })
    }

    /// Answers with buckets of time that have a data point, oldest first.
    pub async fn point_buckets(
        &self,
        filter: &PointFilter,
        buckets: &PointBuckets,
        asking: &Asking,
    ) -> Result<(Vec<Value>, Freshness, Origin), QueryError> {
        let (lines, freshness, origin) = match self.buckets_rolled(filter, buckets, asking).await? {
            Some((lines, freshness)) => (lines, freshness, Origin::RollUp),
            None => {
                let (lines, freshness) = self.lines(buckets_of_rows(filter, buckets)?, asking).await?;
                (lines, freshness, Origin::Rows)
            }
        };
        if lines.len() as u64 > TELEMETRY_BUCKETS_MAX {
            return Err(QueryError::Parameter(format!(
                "the answer has more than {TELEMETRY_BUCKETS_MAX} buckets: ask for less time, or for longer buckets"
            )));
        }
        let rows = lines.iter().map(|line| bucket_row(line, buckets)).collect::<Result<Vec<_>, _>>()?;
        Ok((rows, freshness, origin))
    }

    async fn buckets_rolled(
        &self,
        filter: &PointFilter,
        buckets: &PointBuckets,
        asking: &Asking,
    ) -> Result<Option<(Vec<Vec<Value>>, Freshness)>, QueryError> {
        let Some(of) = RollUps::find(&METRIC_SAMPLES.name) else { return Ok(None) };
        let told: Option<Vec<_>> = buckets.aggregates.iter().map(|one| one.of_sums()).collect();
        let grains: Vec<_> = of.grains.iter().copied().filter(|grain| grain.nanos() <= buckets.step.nanos()).collect();
        let Some((told, cover)) = told.zip(cover((filter.from, filter.to), &grains)) else { return Ok(None) };
        let mut bound = Bound::default();
        let conditions = PointFilter { from: None, to: None, ..filter.clone() }.conditions(&mut bound)?;
        let bucket = bucket("_when", buckets.step.nanos());
        let rolled = format!(
            "{bucket} AS _bucket, {} AS _rows, {} AS _total, {} AS _least, {} AS _greatest",
            records(),
            rolled_up(Rule::Sum, "total"),
            rolled_up(Rule::Min, "least"),
            rolled_up(Rule::Max, "greatest")
        );
        let rows = format!(
            "{bucket} AS _bucket, count() AS _rows, sum(value) AS _total, min(value) AS _least, max(value) AS _greatest"
        );
        let sides = Sides {
            rolled: &rolled,
            rows: &rows,
            groups: "_bucket",
            conditions: &conditions,
            of_rows: "value_type != 'none'",
        };
        let sql = format!(
            "SELECT _bucket, {} FROM ({}) GROUP BY _bucket ORDER BY _bucket LIMIT {}",
            told.join(", "),
            union(of, &cover, &sides, &mut bound)?,
            TELEMETRY_BUCKETS_MAX + 1
        );
        self.lines_rolled(of, &Asked { sql, params: bound.params, ..Asked::default() }, asking).await
    }
}

fn buckets_of_rows(filter: &PointFilter, buckets: &PointBuckets) -> Result<Asked, QueryError> {
    let mut bound = Bound::default();
    let mut conditions = filter.conditions(&mut bound)?;
    conditions.push("value_type != 'none'".to_owned());
    let told: Vec<String> =
        buckets.aggregates.iter().map(|one| format!("toString({})", one.sql(buckets.step))).collect();
    let rise = if buckets.aggregates.contains(&Aggregate::Rate) { RISE } else { "0" };
    let sql = format!(
        "SELECT {} AS _bucket, {} FROM (SELECT timestamp AS _when, \
         _seq AS _number, value AS _value, {rise} AS _rise FROM {}{} \
         WINDOW _of AS (PARTITION BY fingerprint ORDER BY timestamp, _seq ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)\
         ) GROUP BY _bucket ORDER BY _bucket LIMIT {}",
        bucket("_when", buckets.step.nanos()),
        told.join(", "),
        METRIC_SAMPLES.name,
        joined(&conditions),
        TELEMETRY_BUCKETS_MAX + 1
    );
    Ok(Asked { sql, params: bound.params, ..Asked::default() })
}

/// How much a series rose since its data point before this one. The first one tells nothing, unless it tells a change.
const RISE: &str = "if(fingerprint IN (SELECT fingerprint FROM metric_series WHERE aggregation_temporality = 'DELTA'), \
    value, if(value < lagInFrame(value, 1, value) OVER _of, value, value - lagInFrame(value, 1, value) OVER _of))";

impl PointFilter {
    fn conditions(&self, bound: &mut Bound) -> Result<Vec<String>, QueryError> {
        let mut all = self.of_both(bound)?;
        for (sign, time) in [(">=", self.from), ("<", self.to)] {
            if let Some(time) = time {
                all.push(format!("timestamp {sign} {}", bound.moment(time)?));
            }
        }
        let of_series = self.of_series(bound)?;
        if !of_series.is_empty() {
            all.push(format!(
                "fingerprint IN (SELECT fingerprint FROM {}{})",
                METRIC_SERIES.name,
                joined(&[self.of_both(bound)?, of_series].concat())
            ));
        }
        Ok(all)
    }

    /// Conditions on what points and series both have.
    fn of_both(&self, bound: &mut Bound) -> Result<Vec<String>, QueryError> {
        let columns = [("metric_name", &self.names), ("service_name", &self.sources)];
        let wanted = columns.into_iter().filter(|(_, wanted)| !wanted.is_empty());
        wanted.map(|(column, wanted)| Ok(format!("{column} IN {}", list(wanted, bound)?))).collect()
    }

    fn of_series(&self, bound: &mut Bound) -> Result<Vec<String>, QueryError> {
        let maps = [("attributes", &self.tags), ("resource_attributes", &self.resource)];
        let wanted =
            maps.into_iter().flat_map(|(map, wanted)| wanted.iter().map(move |(key, value)| (map, key, value)));
        wanted.map(|(map, key, value)| has(map, key, value, bound)).collect()
    }
}

/// The series that may be wanted, one row each.
fn series(filter: &PointFilter, bound: &mut Bound) -> Result<String, QueryError> {
    let conditions = [filter.of_both(bound)?, filter.of_series(bound)?].concat();
    Ok(format!(
        "SELECT fingerprint AS id, unit, metric_type, mapKeys(attributes) AS tags, mapValues(attributes) AS tag_values, \
         attribute_types AS tag_types, resource_attributes['agent.id'] AS agent, \
         resource_attributes['session.id'] AS session FROM {}{} LIMIT 1 BY fingerprint",
        METRIC_SERIES.name,
        joined(&conditions)
    ))
}

fn joined(conditions: &[String]) -> String {
    if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) }
}

fn head(freshness: &Freshness) -> Seq {
    let found = freshness.watermarks.iter().find(|(table, _)| *table == METRIC_SAMPLES.name);
    found.map_or(Seq::ZERO, |(_, seq)| *seq)
}

fn point(line: &[Value]) -> Result<(i64, u64, Value), QueryError> {
    let (time, seq): (i64, u64) = (whole(line, 0)?, whole(line, 1)?);
    let value = match text(line, 6)? {
        "int" => json!(whole::<i64>(line, 5)?),
        "none" => Value::Null,
        _ => double(text(line, 4)?)?,
    };
    let tags = (texts(line, 9)?, texts(line, 10)?, text(line, 11)?.to_owned());
    let row = json!({
        "timestamp": UnixNanos(time).to_string(),
        "metric_name": text(line, 2)?,
        "value": value,
        "unit": text(line, 7)?,
        "type": text(line, 8)?,
        "tags": object(&tags),
        "source": text(line, 3)?,
        "agent_id": text(line, 12)?,
        "session_id": text(line, 13)?,
        "seq": seq,
    });
    Ok((time, seq, row))
}

fn bucket_row(line: &[Value], buckets: &PointBuckets) -> Result<Value, QueryError> {
    let number: i64 = whole(line, 0)?;
    let mut row = Map::new();
    row.insert("time".to_owned(), json!(UnixNanos(number.saturating_mul(buckets.step.nanos())).to_string()));
    for (at, aggregate) in (1..).zip(&buckets.aggregates) {
        let told = match aggregate {
            Aggregate::Count => json!(text(line, at)?.parse::<u64>().map_err(|_| broken("a count is no number"))?),
            _ => double(text(line, at)?)?,
        };
        row.insert(aggregate.name(), told);
    }
    Ok(row.into())
}

/// Turns ClickHouse's text of a double into JSON, which knows neither infinity nor `NaN`.
fn double(text: &str) -> Result<Value, QueryError> {
    let number: f64 = text.parse().map_err(|_| broken("a value is no number"))?;
    Ok(Number::from_f64(number).map_or_else(|| odd(number), Value::Number))
}

fn odd(number: f64) -> Value {
    let word = if number.is_nan() {
        "NaN"
    } else if number > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    };
    json!(word)
}
