use axum::extract::{Path, Request, State};
use axum::response::Response;
use tidegate_traces::{Cursor, Focus, Form, Json, Own, QueryBody, RollUp, SpanId, Sql, TraceId, Window, read_moment};

use super::read::{Reader, Select, Stored};
use super::sides::{self, Side, Wanted};
use super::{Asked, asked, invalid, only, told};
use crate::datasets::Want;
use crate::errors::Failure;
use crate::stages::Stages;

/// Spans or traces of an answer that asks for no number: the rest is behind `windowing.next`.
pub(super) const LIMIT_DEFAULT: u32 = 100;
/// Traces that are named in one request.
const NAMED_MAX: usize = 500;

/// Answers `POST /tracing/spans/query`.
pub(super) async fn either(State(stages): State<Stages>, request: Request) -> Response {
    query(&stages, request, None).await
}

/// Answers `POST /spans/query`.
pub(super) async fn spans(State(stages): State<Stages>, request: Request) -> Response {
    query(&stages, request, Some((Focus::Span, "/spans/query"))).await
}

/// Answers `POST /traces/query`.
pub(super) async fn traces(State(stages): State<Stages>, request: Request) -> Response {
    query(&stages, request, Some((Focus::Trace, "/traces/query"))).await
}

async fn query(stages: &Stages, request: Request, own: Option<(Focus, &str)>) -> Response {
    let outcome = async {
        let asked = asked(stages, request, Want::Read).await?;
        let query = QueryBody::read(&asked.body, &[]).map_err(|error| invalid(&error))?;
        let focus = match own {
            Some((own, path)) => only(query.focus, own, path)?,
            None => query.focus.unwrap_or_default(),
        };
        sides::told(stages, &asked, &Wanted::Page(query, focus)).await
    };
    sides::answered(stages, outcome.await)
}

/// Answers `GET /spans/`.
pub(super) async fn spans_of(State(stages): State<Stages>, request: Request) -> Response {
    let outcome = async {
        let asked = asked(&stages, request, Want::Read).await?;
        let ids = named(&asked)?;
        sides::told(&stages, &asked, &Wanted::SpansOf(ids)).await
    };
    sides::answered(&stages, outcome.await)
}

/// Answers `GET /traces/`.
pub(super) async fn traces_of(State(stages): State<Stages>, request: Request) -> Response {
    let outcome = async {
        let asked = asked(&stages, request, Want::Read).await?;
        let ids = named(&asked)?;
        sides::told(&stages, &asked, &Wanted::TracesOf(ids)).await
    };
    sides::answered(&stages, outcome.await)
}

/// Answers `GET /traces/{trace_id}`.
pub(super) async fn one_trace(State(stages): State<Stages>, Path(id): Path<String>, request: Request) -> Response {
    let outcome = async {
        let id = TraceId::read(&id, "the path").map_err(|error| invalid(&error))?;
        let asked = asked(&stages, request, Want::Read).await?;
        sides::told(&stages, &asked, &Wanted::TracesOf(vec![id])).await
    };
    sides::answered(&stages, outcome.await)
}

/// Answers `GET /spans/{trace_id}/{span_id}`.
pub(super) async fn one_span(
    State(stages): State<Stages>,
    Path((trace, span)): Path<(String, String)>,
    request: Request,
) -> Response {
    let outcome = async {
        let trace = TraceId::read(&trace, "the path").map_err(|error| invalid(&error))?;
        let span = SpanId::read(&span, "the path").map_err(|error| invalid(&error))?;
        let asked = asked(&stages, request, Want::Read).await?;
        sides::told(&stages, &asked, &Wanted::Span(trace, span)).await
    };
    sides::answered(&stages, outcome.await)
}

/// Tells the spans of some traces.
pub(super) async fn spans_told(side: &mut Side<'_>, ids: &[TraceId]) -> Result<String, Failure> {
    let mut all: Vec<(Stored, RollUp)> = Vec::new();
    for mut spans in side.traces(ids).await?.into_values() {
        // The order of rows is nobody's promise, and another one on either side.
        spans.sort_by_key(|stored| (stored.span.start_time, stored.span.span_id));
        let (_, roll_ups) = super::read::tree(&spans);
        all.extend(spans.into_iter().zip(roll_ups));
    }
    Ok(told::spans(&all, None))
}

/// Tells whole traces.
pub(super) async fn traces_told(side: &mut Side<'_>, ids: &[TraceId]) -> Result<String, Failure> {
    Ok(told::traces(ids, &side.traces(ids).await?, (Form::default(), None)))
}

/// Tells one span.
pub(super) async fn span_told(side: &mut Side<'_>, trace: TraceId, span: SpanId) -> Result<String, Failure> {
    let found = side.traces(&[trace]).await?.remove(&trace).unwrap_or_default();
    let (_, roll_ups) = super::read::tree(&found);
    let one = found.iter().zip(&roll_ups).find(|(stored, _)| stored.span.span_id == span);
    let members = match one {
        Some((stored, roll_up)) => vec![("count", Json::from(1_u64)), ("span", told::span_json(stored, roll_up))],
        None => vec![("count", Json::from(0_u64))],
    };
    Ok(Json::object(members).to_string())
}

pub(super) fn reader<'r>(stages: &'r Stages, asked: &Asked) -> Reader<'r> {
    Reader { stages, project: asked.project, id: asked.id.clone() }
}

/// Reads which traces are named.
fn named(asked: &Asked) -> Result<Vec<TraceId>, Failure> {
    let values = asked.parameters.iter().filter(|(name, _)| name != "project_id").map(|(_, value)| value.as_str());
    let texts = values.flat_map(|value| value.split(',')).map(str::trim).filter(|text| !text.is_empty());
    let ids: Vec<TraceId> =
        texts.map(|text| TraceId::read(text, "trace_id").map_err(|error| invalid(&error))).collect::<Result<_, _>>()?;
    if ids.is_empty() || ids.len() > NAMED_MAX {
        return Err(Failure::invalid(format!("{} traces are named, 1 to {NAMED_MAX} are meant", ids.len()))
            .with_hint("send `trace_id`, several times if need be, or `trace_ids` with commas between"));
    }
    Ok(ids)
}

/// Writes the conditions of a query: which spans, and of which time.
pub(super) fn conditions(query: &QueryBody, column: &str, sql: &mut Sql) -> String {
    let mut all = vec![query.conditions().sql(sql)];
    for (sign, time) in [(">=", query.window.oldest), ("<", query.window.newest)] {
        all.extend(time.map(|time| format!("`{column}` {sign} {}", sql.moment(time))));
    }
    all.join(" AND ")
}

/// The words of an order, and the sign of what comes later in it.
const fn order(window: &Window) -> (&'static str, &'static str) {
    if window.is_ascending { ("ASC", ">") } else { ("DESC", "<") }
}

/// Tells a page of spans.
pub(super) async fn spans_page(side: &mut Side<'_>, query: &QueryBody) -> Result<String, Failure> {
    let (found, next) = side.page(query, query.window.limit.unwrap_or(LIMIT_DEFAULT)).await?;
    let mut traces: Vec<TraceId> = found.iter().map(|stored| stored.span.trace_id).collect();
    traces.sort_unstable();
    traces.dedup();
    let mut roll_ups = side.roll_ups(&traces).await?;
    let told: Vec<(Stored, RollUp)> = found
        .into_iter()
        .map(|stored| {
            let roll_up = roll_ups.remove(&(stored.span.trace_id, stored.span.span_id));
            // What was written between the two reads stands for itself.
            let roll_up = roll_up.unwrap_or_else(|| RollUp::from(Own::of(&stored.span, &stored.derived)));
            (stored, roll_up)
        })
        .collect();
    Ok(told::spans(&told, next))
}

/// Reads a page of spans in ClickHouse.
pub(super) async fn spans_in(
    reader: &Reader<'_>,
    query: &QueryBody,
    limit: u32,
) -> Result<(Vec<Stored>, Option<Cursor>), Failure> {
    let mut sql = Sql::default();
    let ((word, later), mut all) = (order(&query.window), conditions(query, "start_time", &mut sql));
    if let Some(Cursor { time, trace, span }) = query.window.next {
        let (time, trace, span) = (sql.moment(time), sql.uuid(trace.uuid()), sql.uuid(span.uuid()));
        all.push_str(&format!(
            " AND (`start_time` {later} {time} OR (`start_time` = {time} AND (`trace_id` {later} {trace} OR \
             (`trace_id` = {trace} AND `span_id` {later} {span}))))"
        ));
    }
    let behind =
        format!("ORDER BY `start_time` {word}, `trace_id` {word}, `span_id` {word} LIMIT {}", u64::from(limit) + 1);
    let mut found = reader.spans((String::new(), all), behind, sql).await?;
    let next = cut(&mut found, limit);
    let next =
        next.map(|last| Cursor { time: last.span.start_time, trace: last.span.trace_id, span: last.span.span_id });
    Ok((found, next))
}

/// Tells a page of traces.
pub(super) async fn traces_page(side: &mut Side<'_>, query: &QueryBody) -> Result<String, Failure> {
    let (ids, next) = side.trace_ids(query, query.window.limit.unwrap_or(LIMIT_DEFAULT)).await?;
    let found = side.traces(&ids).await?;
    Ok(told::traces(&ids, &found, (query.format.unwrap_or_default(), next)))
}

/// Finds a page of traces in ClickHouse.
pub(super) async fn traces_in(
    reader: &Reader<'_>,
    query: &QueryBody,
    limit: u32,
) -> Result<(Vec<TraceId>, Option<Cursor>), Failure> {
    let mut sql = Sql::default();
    let ((word, later), all) = (order(&query.window), conditions(query, "start_time", &mut sql));
    let having = query.window.next.map(|Cursor { time, trace, .. }| {
        let (time, trace) = (sql.moment(time), sql.uuid(trace.uuid()));
        format!("HAVING at {later} {time} OR (at = {time} AND `trace_id` {later} {trace})")
    });
    let behind = format!(
        "GROUP BY `trace_id` {} ORDER BY at {word}, `trace_id` {word} LIMIT {}",
        having.unwrap_or_default(),
        u64::from(limit) + 1
    );
    let columns = "`trace_id`, min(`start_time`) AS at";
    let mut rows = reader.select(Select { columns, among: String::new(), conditions: all, behind }, sql).await?;
    let last = cut(&mut rows, limit);
    let next = last.as_ref().map(cursor_of).transpose()?;
    let ids: Vec<TraceId> = rows.iter().map(trace_of).collect::<Result<_, _>>()?;
    Ok((ids, next))
}

/// Takes off what was read beyond the limit; returns the last that stays, if anything was.
fn cut<T: Clone>(found: &mut Vec<T>, limit: u32) -> Option<T> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let is_more = found.len() > limit;
    found.truncate(limit);
    found.last().filter(|_| is_more).cloned()
}

pub(super) fn trace_of(row: &Json) -> Result<TraceId, Failure> {
    let text = row.at("trace_id").and_then(Json::as_text).unwrap_or_default();
    TraceId::read(text, "trace_id").map_err(|error| Failure::of(tidegate_model::ErrorKind::Corrupt, &error))
}

fn cursor_of(row: &Json) -> Result<Cursor, Failure> {
    let at = read_moment(row.at("at").unwrap_or(&Json::Null), "at");
    let time = at.map_err(|error| Failure::of(tidegate_model::ErrorKind::Corrupt, &error))?;
    Ok(Cursor { time, trace: trace_of(row)?, span: SpanId(1) })
}
