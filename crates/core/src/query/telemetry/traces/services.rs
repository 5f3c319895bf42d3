use serde::Serialize;
use serde_json::Value;
use tidegate_model::UnixNanos;
use tidegate_model::limits::SERVICE_MAP_EDGES_MAX;
use tidegate_model::tables::SPANS;

use super::super::{Asked, Asking, text, whole};
use crate::query::dataset::Bound;
use crate::query::plan::Pushed;
use crate::query::{Freshness, Query, QueryError};

/// Of which spans a map is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServiceMapFilter {
    /// Begun not before.
    pub from: UnixNanos,
    /// Begun before.
    pub to: UnixNanos,
    /// Of so many traces in a hundred; 100: of all.
    pub percent: u8,
}

/// Which services call which.
#[derive(Debug, Clone, Serialize)]
pub struct ServiceMap {
    /// Whether only a part of the traces was read.
    pub sampled: bool,
    /// Which part of them was.
    pub rate: f64,
    /// Spans with a parent that is not among those of the time: their callers are not known.
    pub without_parent: u64,
    /// Callers and whom they call, most calls first.
    pub edges: Vec<ServiceEdge>,
}

/// One service's calls of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServiceEdge {
    /// Who calls.
    pub caller: String,
    /// Who is called.
    pub callee: String,
    /// How often.
    pub calls: u64,
    /// How many of the calls failed.
    pub errors: u64,
    /// How long the called took together; what is longer than 292 years is told as that.
    pub total_ns: i64,
}

impl Query {
    /// Answers with the calls between services of a time.
    pub async fn service_map(
        &self,
        wanted: &ServiceMapFilter,
        asking: &Asking,
    ) -> Result<(ServiceMap, Freshness), QueryError> {
        let (lines, freshness) = self.lines(statement(wanted)?, asking).await?;
        let mut map = ServiceMap {
            sampled: wanted.percent < 100,
            rate: f64::from(wanted.percent) / 100.0,
            without_parent: 0,
            edges: Vec::with_capacity(lines.len()),
        };
        for line in &lines {
            let (is_known, edge) = read(line)?;
            if is_known {
                map.edges.push(edge);
            } else {
                map.without_parent += edge.calls;
            }
        }
        if map.edges.len() as u64 > SERVICE_MAP_EDGES_MAX {
            return Err(QueryError::Parameter(format!(
                "more than {SERVICE_MAP_EDGES_MAX} pairs of services call each other: ask for less time"
            )));
        }
        Ok((map, freshness))
    }
}

fn statement(wanted: &ServiceMapFilter) -> Result<Asked, QueryError> {
    let mut bound = Bound::default();
    let (from, to) = (bound.moment(wanted.from)?, bound.moment(wanted.to)?);
    let mut conditions = format!("timestamp >= {from} AND timestamp < {to}");
    if wanted.percent < 100 {
        let percent = bound.bind("UInt8", wanted.percent.to_string())?;
        // The first 8 digits as a number: a trace is in the sample with all its spans, or not at all.
        let number = "reinterpretAsUInt32(reverse(unhex(substring(trace_id, 1, 8))))";
        conditions.push_str(&format!(" AND {number} % 100 < {percent}"));
    }
    let spans = &SPANS.name;
    // Of spans with one id the first to begin is the parent, as in a tree; so no call is counted twice.
    let callers = format!(
        "SELECT trace_id AS _of, span_id AS _id, toUInt8(count() > 0) AS _known, argMin(toString(service_name), (timestamp, _seq)) AS _by \
         FROM {spans} WHERE {conditions} AND span_id != '' GROUP BY trace_id, span_id"
    );
    let called = format!(
        "SELECT trace_id AS _trace, parent_span_id AS _parent, toString(service_name) AS _to, \
         status_code = 'ERROR' AS _failed, duration_ns AS _took FROM {spans} \
         WHERE {conditions} AND parent_span_id != ''"
    );
    let sql = format!(
        "SELECT toUInt8(_known) AS _k, _by AS _caller, if(_known = 1, _to, '') AS _callee, toString(count()) AS _calls, \
         toString(countIf(_failed)), toString(sum(toInt128(greatest(_took, 0)))) \
         FROM ({called}) AS _c LEFT JOIN ({callers}) AS _p ON _c._trace = _p._of AND _c._parent = _p._id \
         WHERE _known = 0 OR _by != _to GROUP BY _k, _caller, _callee \
         ORDER BY count() DESC, _caller, _callee LIMIT {}",
        // Spans without a parent are a row too.
        SERVICE_MAP_EDGES_MAX + 2
    );
    let pushed = Pushed { conditions, ..Pushed::default() };
    Ok(Asked { sql, params: bound.params, pushed: Some(pushed), stored_of: None })
}

fn read(line: &[Value]) -> Result<(bool, ServiceEdge), QueryError> {
    let edge = ServiceEdge {
        caller: text(line, 1)?.to_owned(),
        callee: text(line, 2)?.to_owned(),
        calls: whole(line, 3)?,
        errors: whole(line, 4)?,
        total_ns: i64::try_from(whole::<i128>(line, 5)?).unwrap_or(i64::MAX),
    };
    Ok((whole::<u8>(line, 0)? == 1, edge))
}
