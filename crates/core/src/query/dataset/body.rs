use std::collections::BTreeMap;
use std::fmt;

use arrow_cast::parse::string_to_timestamp_nanos;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use tidegate_model::UnixNanos;
use twox_hash::XxHash3_64;

use crate::query::QueryError;

/// A read of one dataset, without SQL.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DatasetQuery {
    /// The table of the dataset; without it `records`.
    pub table_name: Option<String>,
    /// Only rows of this span of time, both ends included.
    pub time_range: Option<TimeRange>,
    /// The column with the time that is meant; without it the dataset's own.
    pub timestamp_column: Option<String>,
    /// The columns of the answer; without it all.
    pub columns: Option<Vec<String>>,
    /// What narrows the rows down.
    #[serde(default)]
    pub filters: Filters,
    /// Rows are put together by time.
    pub downsample: Option<Downsample>,
    /// At most so many rows in the answer.
    pub limit: Option<u64>,
    /// The `nextCursor` of the page before.
    pub cursor: Option<String>,
    /// Every answer is fresh: whoever insists on it gets what everyone gets.
    #[serde(default, alias = "require_fresh")]
    pub require_fresh: bool,
    /// Rows that must have been seen: `visits=1200`, or the number alone.
    #[serde(alias = "min_watermark")]
    pub min_watermark: Option<Value>,
    /// Says to which request a cursor belongs.
    #[serde(skip)]
    pub fingerprint: u64,
}

/// A span of time, both ends included.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeRange {
    /// Its first moment.
    pub start: Moment,
    /// Its last moment.
    pub end: Moment,
}

/// A time as requests write it: ISO 8601, or milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(pub UnixNanos);

/// What narrows rows down: a value, or an object of predicates, for each name.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Filters {
    /// By the keys of the partition key that rows were sent with.
    #[serde(default)]
    pub partition_key: BTreeMap<String, Value>,
    /// By columns.
    #[serde(default)]
    pub columns: BTreeMap<String, Value>,
}

/// Rows are put together in buckets of time.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Downsample {
    /// What a bucket is counted in.
    pub interval_unit: Unit,
    /// How many of them it has.
    #[serde(default = "one")]
    pub interval_size: u64,
    /// What is told of each bucket.
    pub aggregations: Vec<Aggregation>,
}

/// A unit of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// A second.
    Second,
    /// Sixty of them.
    Minute,
    /// Sixty minutes.
    Hour,
    /// A day in UTC.
    Day,
    /// Seven days; begins on a Monday.
    Week,
    /// A month of the calendar.
    Month,
}

/// What is told of a bucket.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Aggregation {
    /// The function.
    #[serde(rename = "fn")]
    pub function: Function,
    /// The column that it is taken over; `count` may have none.
    pub column: Option<String>,
    /// The name in the answer.
    pub alias: Option<String>,
    /// 0 to 1, for `percentile`.
    pub percentile: Option<f64>,
}

/// A function over the values of a bucket; absent values do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Function {
    /// The mean.
    Avg,
    /// The least value.
    Min,
    /// The greatest value.
    Max,
    /// All values together.
    Sum,
    /// The 0.5 percentile.
    Median,
    /// The number of rows, or of a column's values.
    Count,
    /// The number of different values.
    CountDistinct,
    /// The value below which this part of the values lies, between two neighbours in proportion.
    Percentile,
}

const fn one() -> u64 {
    1
}

impl DatasetQuery {
    /// Reads a request's body.
    pub fn parse(body: &[u8]) -> Result<Self, QueryError> {
        let refused = |error: serde_json::Error| {
            QueryError::Parameter(format!(
                "the body cannot be read ({error}): send {{\"timeRange\":{{\"start\":…,\"end\":…}},\"limit\":…}}"
            ))
        };
        let mut whole: Value = serde_json::from_slice(body).map_err(refused)?;
        let mut query = Self::deserialize(&whole).map_err(refused)?;
        if let Some(fields) = whole.as_object_mut() {
            for name in ["limit", "cursor", "requireFresh", "require_fresh", "minWatermark", "min_watermark"] {
                fields.remove(name);
            }
        }
        query.fingerprint = XxHash3_64::oneshot(whole.to_string().as_bytes());
        Ok(query)
    }
}

impl Moment {
    /// Reads a time from JSON.
    pub(super) fn read(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => string_to_timestamp_nanos(text).ok().map(|nanos| Self(UnixNanos(nanos))),
            Value::Number(millis) => millis.as_i64()?.checked_mul(1_000_000).map(|nanos| Self(UnixNanos(nanos))),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Self::read(&value).ok_or_else(|| {
            D::Error::custom(format!(
                "{value} is no time: write it as 2026-01-31T09:00:00Z or as milliseconds since 1970"
            ))
        })
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Avg => "avg",
            Self::Min => "min",
            Self::Max => "max",
            Self::Sum => "sum",
            Self::Median => "median",
            Self::Count => "count",
            Self::CountDistinct => "count_distinct",
            Self::Percentile => "percentile",
        })
    }
}
