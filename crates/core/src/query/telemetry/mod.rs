//! Reads of logs, events and metrics without SQL: by time, level, source, words, attributes; a page at a time, counted,
//! or summed up over time.
//!
//! The statements are generated: what clients sent is bound, never part of the text. They run as any other read, so
//! stored and hot rows are of one snapshot. Conditions are written so that ClickHouse's indexes serve them: a trace by the
//! filter on its ids, an attribute by the one on keys with their values, time by the order of rows, words by the text index.
//! Of events there are few: they have neither the index of words nor that of pairs.
//!
//! Rows come in the order of their time, newest first unless asked otherwise, and of equal times in that of `_seq`.
//! All pages are of the first one's rows.
//!
//! | file | holds |
//! |---|---|
//! | `filter.rs` | [`RecordFilter`]: which log records or events are wanted, in SQL |
//! | `records.rs` | their statements: pages and counts |
//! | `points.rs` | statements over data points: pages and buckets of time |
//! | `red.rs` | requests, errors and durations of operations |
//! | `coarse.rs` | what roll-ups answer of it, and what rows |
//! | `traces/` | traces as trees, two of them compared, calls between services, spans as lines |
//! | `entry.rs` | a row as plain JSON |
//! | `hot.rs` | the same filter and the same JSON, of rows in memory |
//! | `hot_page.rs` | a page of these alone, while ClickHouse is away |

mod coarse;
mod entry;
mod filter;
mod hot;
mod hot_page;
mod points;
mod records;
mod red;
mod traces;

use std::time::Duration;

use futures_util::StreamExt;
use serde::Serialize;
use serde_json::Value;
use tidegate_model::{Seq, TableName, UnixNanos};
use twox_hash::XxHash3_64;

pub use coarse::Origin;
pub use entry::Record;
pub use filter::{RecordFilter, RecordKind, moment};
pub use hot::matching;
pub use hot_page::HotPage;
pub use points::{Aggregate, PointBuckets, PointFilter, Step};
pub use red::{RedBuckets, SpanFilter};
pub use traces::{
    Comparison, Place, Placed, Segment, ServiceMap, ServiceMapFilter, SpanExport, Trace, TraceSpan, Tree, critical_path,
};

use super::dataset::Cursor;
use super::plan::Pushed;
use super::run::Own;
use super::{Format, Freshness, Query, QueryError, ReadRequest};
use crate::store::StoreError;

/// How a page is asked for.
#[derive(Debug, Clone, Default)]
pub struct Paging {
    /// At most so many rows.
    pub limit: u64,
    /// Where the page before this one ended.
    pub cursor: Option<String>,
    /// Oldest first.
    pub rises: bool,
}

/// What every such read has beside its question.
#[derive(Debug, Clone, Default)]
pub struct Asking {
    /// The query's id in logs and in ClickHouse; unique.
    pub query_id: String,
    /// At most so long.
    pub timeout: Option<Duration>,
    /// Rows that must be in the answer.
    pub min_watermark: Option<String>,
}

/// A page of rows.
#[derive(Debug)]
pub struct Page {
    /// The rows, as plain JSON.
    pub rows: Vec<Value>,
    /// What the next page is asked for with; `None`: this is the last one.
    pub next_cursor: Option<String>,
    /// How fresh it is.
    pub freshness: Freshness,
}

/// How many rows there are, by a word.
#[derive(Debug)]
pub struct Stats {
    /// All of them.
    pub total: u64,
    /// By level, or by the kind of event.
    pub by: Vec<(String, u64)>,
    /// What it was counted from.
    pub origin: Origin,
    /// How fresh it is.
    pub freshness: Freshness,
}

/// One statement of ours.
#[derive(Debug, Clone, Default)]
struct Asked {
    sql: String,
    params: Vec<(String, String)>,
    pushed: Option<Pushed>,
    /// The table whose stored watermark the statement asks for, where it names several.
    stored_of: Option<TableName>,
}

impl Query {
    /// Answers a statement of ours with its rows as lists of values.
    async fn lines(&self, asked: Asked, asking: &Asking) -> Result<(Vec<Vec<Value>>, Freshness), QueryError> {
        let request = ReadRequest {
            sql: asked.sql,
            params: asked.params,
            format: Format::of_clause("JSONCompactEachRow")
                .ok_or_else(|| QueryError::Parameter("the format of lines is not known".to_owned()))?,
            min_watermark: asking.min_watermark.clone(),
            max_rows: None,
            timeout: asking.timeout,
            query_id: asking.query_id.clone(),
        };
        let mut answer = self
            .read_own(request, Own { pushed: asked.pushed, settings: Vec::new(), stored_of: asked.stored_of })
            .await?;
        let mut body = Vec::new();
        while let Some(piece) = answer.body.next().await {
            body.extend_from_slice(&piece?);
        }
        let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let rows = lines.map(|line| serde_json::from_slice(line).map_err(|error| broken(&error.to_string())));
        Ok((rows.collect::<Result<_, _>>()?, answer.freshness))
    }
}

/// Cuts the row off that says whether another page follows; returns the cursor behind the last one that is shown.
fn cut_page(
    rows: &mut Vec<(i64, u64, Value)>,
    paging: &Paging,
    (fingerprint, watermark): (u64, Seq),
) -> Option<String> {
    let limit = usize::try_from(paging.limit).unwrap_or(usize::MAX);
    if rows.len() <= limit {
        return None;
    }
    rows.truncate(limit);
    let (time, seq, _) = rows.last()?;
    let time = Some(UnixNanos(*time));
    Some(Cursor { fingerprint, watermark, time, seq: Seq(*seq) }.encode())
}

/// Tells requests apart whose pages are not each other's.
fn fingerprint(of: &impl Serialize) -> u64 {
    XxHash3_64::oneshot(serde_json::to_string(of).unwrap_or_default().as_bytes())
}

/// Returns a column's text.
fn text(row: &[Value], at: usize) -> Result<&str, QueryError> {
    row.get(at).and_then(Value::as_str).ok_or_else(|| broken("a text is missing"))
}

/// Returns a column's whole number, whether or not ClickHouse put it into quotes.
fn whole<T: std::str::FromStr>(row: &[Value], at: usize) -> Result<T, QueryError> {
    let found = match row.get(at) {
        Some(Value::String(digits)) => digits.parse().ok(),
        Some(Value::Number(number)) => number.to_string().parse().ok(),
        _ => None,
    };
    found.ok_or_else(|| broken("a number is missing"))
}

/// Returns a column's list of texts.
fn texts(row: &[Value], at: usize) -> Result<Vec<String>, QueryError> {
    let list = row.get(at).and_then(Value::as_array).ok_or_else(|| broken("a list is missing"))?;
    let one = |item: &Value| item.as_str().map(str::to_owned).ok_or_else(|| broken("a list holds no text"));
    list.iter().map(one).collect()
}

fn broken(why: &str) -> QueryError {
    QueryError::Store(StoreError::CutOff(format!("the rows cannot be read: {why}")))
}
