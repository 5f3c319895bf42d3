//! Traces as trees: what began what, how long each span worked by itself, and which spans the whole waited for.
//!
//! A trace is read whole, in one statement over stored and hot rows, by the index on trace ids. What follows is pure:
//! it takes any spans, also ones with several roots, with parents that are not there, with ids that come twice, or with
//! parents that are their own descendants.
//!
//! | file | holds |
//! |---|---|
//! | `tree.rs` | [`Tree`]: spans in their places, and the time each worked by itself |
//! | `path.rs` | the critical path |
//! | `shown.rs` | [`Trace`]: a trace as it is told |
//! | `compare.rs` | [`Comparison`]: two traces, operation by operation |
//! | `services.rs` | which services call which |
//! | `export.rs` | spans as lines, of any number |

mod compare;
mod export;
mod path;
mod services;
mod shown;
mod tree;

use std::collections::HashMap;

use serde_json::Value;
use tidegate_model::limits::TRACE_SPANS_MAX;
use tidegate_model::tables::SPANS;

use super::{Asked, Asking, text, whole};
use crate::query::dataset::Bound;
use crate::query::plan::Pushed;
use crate::query::{Freshness, Query, QueryError};

pub use compare::Comparison;
pub use export::SpanExport;
pub use path::{Segment, critical_path};
pub use services::{ServiceMap, ServiceMapFilter};
pub use shown::Trace;
pub use tree::{Place, Placed, TraceSpan, Tree};

impl Query {
    /// Answers with a whole trace; `None`: no span of it was acknowledged.
    pub async fn trace(&self, id: &str, asking: &Asking) -> Result<(Option<Trace>, Freshness), QueryError> {
        let ([spans], freshness) = self.spans_of([id], asking).await?;
        if spans.is_empty() {
            return Ok((None, freshness));
        }
        let id = id.to_owned();
        // A large trace takes a while to put together, and others wait for the thread.
        let trace = tokio::task::spawn_blocking(move || Trace::of(id, Tree::of(spans))).await?;
        Ok((Some(trace), freshness))
    }

    /// Answers with two traces side by side, read at one moment; `Err` within: the one that is not there.
    pub async fn compared(
        &self,
        [left, right]: [&str; 2],
        asking: &Asking,
    ) -> Result<(Result<Comparison, String>, Freshness), QueryError> {
        let (found, freshness) = self.spans_of([left, right], asking).await?;
        if let Some((_, lacking)) = found.iter().zip([left, right]).find(|(spans, _)| spans.is_empty()) {
            return Ok((Err(lacking.to_owned()), freshness));
        }
        let ids = [left, right].map(str::to_owned);
        let compared = tokio::task::spawn_blocking(move || Comparison::of(ids, &found.map(Tree::of))).await?;
        Ok((Ok(compared), freshness))
    }

    /// Reads all spans of some traces, in the order in which they began.
    async fn spans_of<const N: usize>(
        &self,
        ids: [&str; N],
        asking: &Asking,
    ) -> Result<([Vec<TraceSpan>; N], Freshness), QueryError> {
        let (lines, freshness) = self.lines(statement(&ids)?, asking).await?;
        let mut found: HashMap<String, Vec<TraceSpan>> = HashMap::new();
        // Large traces: what was read of a line goes before the next one is read.
        for line in lines {
            found.entry(text(&line, 0)?.to_owned()).or_default().push(read(&line)?);
        }
        if let Some((id, _)) = found.iter().find(|(_, spans)| spans.len() as u64 > TRACE_SPANS_MAX) {
            return Err(QueryError::Parameter(format!(
                "the trace {id} has more than {TRACE_SPANS_MAX} spans, too many for one answer: \
                 read them by time with /v1/json/spans/export, or in SQL"
            )));
        }
        let mut traces = [const { Vec::new() }; N];
        for (at, (id, spans)) in ids.iter().zip(&mut traces).enumerate() {
            // The same trace may stand on both sides.
            let comes_again = ids[at + 1..].contains(id);
            let own = if comes_again { found.get(*id).cloned() } else { found.remove(*id) };
            *spans = own.unwrap_or_default();
        }
        Ok((traces, freshness))
    }
}

fn statement(ids: &[&str]) -> Result<Asked, QueryError> {
    let mut bound = Bound::default();
    let equal = |id: &&str| Ok(format!("trace_id = {}", bound.text(id)?));
    let conditions = ids.iter().map(equal).collect::<Result<Vec<_>, QueryError>>()?.join(" OR ");
    let conditions = format!("({conditions})");
    let columns = [
        "trace_id",
        "span_id",
        "parent_span_id",
        "toUnixTimestamp64Nano(timestamp)",
        "duration_ns",
        "toString(service_name)",
        "toString(name)",
        "toString(kind)",
        "toString(status_code)",
        "status_message",
    ];
    let columns: Vec<String> = columns.iter().enumerate().map(|(at, text)| format!("{text} AS _c{at}")).collect();
    // One more of each than may be: that one says that there are too many.
    let most = (TRACE_SPANS_MAX + 1).saturating_mul(ids.len() as u64);
    let behind = format!(" ORDER BY timestamp, _seq LIMIT {} BY trace_id LIMIT {most}", TRACE_SPANS_MAX + 1);
    let sql = format!("SELECT {} FROM {} WHERE {conditions}{behind}", columns.join(", "), SPANS.name);
    let pushed = Pushed { rare: conditions, conditions: String::new(), behind };
    Ok(Asked { sql, params: bound.params, pushed: Some(pushed), stored_of: None })
}

fn read(line: &[Value]) -> Result<TraceSpan, QueryError> {
    let own = |at: usize| text(line, at).map(str::to_owned);
    Ok(TraceSpan {
        span_id: own(1)?,
        parent_id: own(2)?,
        start: whole(line, 3)?,
        // A clock that was set back between begin and end.
        duration: whole::<i64>(line, 4)?.max(0),
        service: own(5)?,
        name: own(6)?,
        kind: own(7)?,
        status: own(8)?,
        status_message: own(9)?,
    })
}

#[cfg(test)]
mod tests;
