//! Reads of one dataset without SQL: rows or buckets of time, narrowed by predicates, a page at a time.
//!
//! The statement is generated: what clients sent is bound or is the name of a known column. It runs as any other read,
//! so stored and hot rows are of one snapshot, and rows that were sent twice are there twice. Conditions, order and limit
//! of rows are also put on the stored and on the hot ones alone, which ClickHouse then reads in their order.
//!
//! Rows are ordered by time and, where that is equal, by `_seq`; pages follow each other without a gap, and all of
//! them are of the first one's rows: later ones are in no page.
//!
//! | file | holds |
//! |---|---|
//! | `body.rs` | [`DatasetQuery`]: a request, as JSON has it |
//! | `select.rs` | the statement |
//! | `statement.rs` | bound values, columns, the forms in which values are sent |
//! | `predicates.rs` | filters as conditions |
//! | `buckets.rs` | buckets of time, and what is told of them |
//! | `cursor.rs` | where a page ends |
//! | `blocks.rs` | the columns of ClickHouse's answer, as they come |
//! | `answer.rs` | the blocks of ClickHouse's answer become rows of ours, in pieces |
//! | `cells.rs` | a column's values as JSON |

mod answer;
mod blocks;
mod body;
mod buckets;
mod cells;
mod cursor;
mod predicates;
mod select;
mod statement;

use std::time::Duration;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampNanosecondType;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use serde_json::{Value, json};
use tidegate_model::limits::{DATASET_ANSWER_BLOCK_BYTES, DATASET_ANSWER_BLOCK_ROWS_MAX, DATASET_ANSWER_PARTS_WRITTEN};
use tidegate_model::{Seq, UnixNanos};

use super::run::Own;
use super::{Format, Freshness, Query, QueryError, ReadRequest, min_watermarks};
use crate::catalog::{Dataset, ManifestTotals};
use answer::{Part, Rows};
pub use body::{DatasetQuery, Moment};
pub(super) use cursor::Cursor;
use select::{Statement, statement};
pub(super) use statement::Bound;

/// The answer to a read of a dataset.
pub struct DatasetAnswer {
    /// How fresh it is.
    pub freshness: Freshness,
    /// One JSON object, in pieces; an error among them ends the answer, which then is not whole.
    pub body: BoxStream<'static, Result<Bytes, QueryError>>,
}

impl Query {
    /// Answers a read of one dataset; its first rows are there when this returns.
    pub async fn read_dataset(
        &self,
        query: &DatasetQuery,
        dataset: &Dataset,
        (query_id, timeout): (String, Option<Duration>),
    ) -> Result<DatasetAnswer, QueryError> {
        let statement = statement(query, dataset)?;
        let times = query.time_range.map(|range| (range.start.0, range.end.0));
        let totals = self.catalog.manifest_totals(&dataset.spec.name, None, times).await?;
        // Before the snapshot: it may be behind the answer, never before it.
        let stored = match times {
            None => totals.last_time,
            Some(_) => self.catalog.manifest_totals(&dataset.spec.name, None, None).await?.last_time,
        };
        let latest = self.latest(dataset, stored).await?;
        let request = ReadRequest {
            sql: statement.sql.clone(),
            params: statement.params.clone(),
            format: Format::of_clause("Native")
                .ok_or_else(|| QueryError::Parameter("the format of blocks is not known".to_owned()))?,
            min_watermark: query.min_watermark.as_ref().map(plain),
            max_rows: None,
            timeout,
            query_id,
        };
        if let (Some(cursor), Some(text)) = (&statement.cursor, &request.min_watermark) {
            check_page(cursor.watermark, text, dataset)?;
        }
        let own = Own { pushed: statement.pushed.clone(), settings: settings(&totals), stored_of: None };
        let mut answer = self.read_own(request, own).await?;
        let of_table = |all: &[(_, Seq)]| all.first().map(|(_, seq)| *seq).unwrap_or_default();
        let (head, stored) = (of_table(&answer.freshness.watermarks), of_table(&answer.freshness.stored));
        if let Some(cursor) = &statement.cursor {
            answer.freshness.watermarks.iter_mut().for_each(|(_, seq)| *seq = cursor.watermark);
        }
        let rows = Rows::new(&statement, (query.fingerprint, head, stored));
        let begun = beginning(&statement, dataset, (head, stored, latest), self.buffer.refusal().is_none());
        let rest = rest(rows, answer.body, totals.partitions);
        let body = stream::once(async move { Ok(Bytes::from(begun)) }).chain(rest).boxed();
        Ok(DatasetAnswer { freshness: answer.freshness, body })
    }

    /// Returns the latest time of a row, hot ones included; `None` where rows have none.
    async fn latest(&self, dataset: &Dataset, stored: Option<UnixNanos>) -> Result<Option<UnixNanos>, QueryError> {
        let Some(name) = dataset.time_column.clone() else { return Ok(None) };
        let tails = self.buffer.snapshot(std::slice::from_ref(&dataset.spec.name));
        let hot = tokio::task::spawn_blocking(move || {
            let mut latest = None;
            for chunk in tails.iter().flat_map(|tail| &tail.chunks) {
                let rows = chunk.rows()?;
                let times =
                    rows.column_by_name(&name).and_then(|times| times.as_primitive_opt::<TimestampNanosecondType>());
                let newest = times.and_then(|times| {
                    (0..times.len()).filter(|row| times.is_valid(*row)).map(|row| times.value(row)).max()
                });
                latest = latest.max(newest);
            }
            Ok::<_, QueryError>(latest.map(UnixNanos))
        });
        Ok(hot.await??.max(stored))
    }
}

/// Refuses a page that insists on rows which came after its snapshot.
fn check_page(snapshot: Seq, text: &str, dataset: &Dataset) -> Result<(), QueryError> {
    let wanted = min_watermarks(text, std::slice::from_ref(&dataset.spec.name))?;
    match wanted.into_iter().find(|(_, seq)| *seq > snapshot) {
        None => Ok(()),
        Some((_, seq)) => Err(QueryError::Parameter(format!(
            "`minWatermark` asks for row {seq}, and these pages are of the rows up to {snapshot}: begin anew without `cursor`"
        ))),
    }
}

/// Writes what stands before the rows.
fn beginning(
    statement: &Statement,
    dataset: &Dataset,
    (head, stored, latest): (Seq, Seq, Option<UnixNanos>),
    takes_writes: bool,
) -> Vec<u8> {
    let columns: Vec<&str> = statement.shown.iter().map(|shown| shown.name.as_str()).collect();
    let streaming = json!({
        "enabled": true,
        "bufferState": if takes_writes { "ready" } else { "unavailable" },
        "rows": head.0 - stored.0,
        "watermark": stored,
        "latestTimestamp": latest.map(|time| time.to_string()),
        // What was acknowledged before the read began is in its snapshot, whatever the client asks for; later pages are
        // of the first one's.
        "fresh": statement.cursor.is_none_or(|cursor| cursor.watermark >= head),
    });
    let mode = if statement.is_downsampled { "downsampled" } else { "raw" };
    let slug = json!(dataset.slug);
    format!(
        "{{\"dataset\":{slug},\"mode\":\"{mode}\",\"columns\":{},\"warnings\":[],\"streaming\":{streaming},\
         \"latest_ingest_watermark\":{head},\"rows\":[",
        json!(columns),
    )
    .into_bytes()
}

/// Settings of the query: blocks that fit into memory, by what is known of the rows' size.
fn settings(totals: &ManifestTotals) -> Vec<(&'static str, String)> {
    let usual = DATASET_ANSWER_BLOCK_BYTES.saturating_mul(totals.rows).checked_div(totals.bytes);
    let rows = usual.unwrap_or(DATASET_ANSWER_BLOCK_ROWS_MAX).clamp(1, DATASET_ANSWER_BLOCK_ROWS_MAX);
    vec![("max_block_size", rows.to_string())]
}

type Pieces = BoxStream<'static, Result<Bytes, QueryError>>;

/// Turns blocks into rows, and ends the answer behind the last one; behind an error nothing more is sent.
fn rest(rows: Rows, body: Pieces, partitions: u64) -> Pieces {
    let steps = stream::unfold(Some((rows, body)), move |state| async move {
        let (mut rows, mut body) = state?;
        loop {
            match rows.next_part() {
                Err(error) => return Some((Err(error), None)),
                Ok(Some(part)) => return Some((Ok(Step::Rows(part)), Some((rows, body)))),
                Ok(None) => {}
            }
            match body.next().await {
                None => return Some((rows.finish(partitions).map(Step::End), None)),
                Some(Err(error)) => return Some((Err(error), None)),
                Some(Ok(piece)) => rows.push(&piece),
            }
        }
    });
    steps.map(written).buffered(DATASET_ANSWER_PARTS_WRITTEN).boxed()
}

/// What comes next in an answer.
enum Step {
    Rows(Part),
    End(Bytes),
}

/// Writes rows beside those before them: to write all takes about as long as ClickHouse needs to find them.
async fn written(step: Result<Step, QueryError>) -> Result<Bytes, QueryError> {
    match step? {
        Step::Rows(part) => tokio::task::spawn_blocking(move || part.text()).await?,
        Step::End(text) => Ok(text),
    }
}

/// A watermark may be sent as a number or as a text.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
