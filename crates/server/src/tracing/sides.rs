use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use axum::response::Response;
use http::{HeaderValue, StatusCode};
use tidegate_core::store::EngineState;
use tidegate_model::ErrorKind;
use tidegate_model::limits::PRIMARY_CLICKHOUSE_MS;
use tidegate_traces::{Cursor, Focus, QueryBody, RollUp, SpanId, Spec, TraceId};

use super::analytics::Root;
use super::choice::{TracingMode, TracingReads};
use super::follow::is_level;
use super::held::Held;
use super::listing::{Listing, Place};
use super::read::{Reader, Stored, tree};
use super::{Asked, analytics, asked, listing, simple};
use crate::errors::{Failure, kind_name};
use crate::stages::Stages;

/// The header that says which side an answer is from.
const READ_FROM: &str = "x-tidegate-read-from";

/// What is asked for, whichever side has it.
pub(super) enum Wanted {
    Page(QueryBody, Focus),
    SpansOf(Vec<TraceId>),
    TracesOf(Vec<TraceId>),
    Span(TraceId, SpanId),
    Analytics(QueryBody, Vec<Spec>),
    Legacy(QueryBody),
    List(Listing),
    /// The root of a trace, as an annotation or an invocation.
    Simple(TraceId),
    SimplePage(QueryBody),
    /// The root of a trace as it is stored.
    Root(TraceId),
}

/// The side that answers.
pub(super) enum Side<'r> {
    ClickHouse(Reader<'r>),
    Postgres(Box<Held<'r>>),
}

/// An answer, and the side it is from where there are two.
pub(super) struct Told {
    pub(super) text: String,
    from: Option<&'static str>,
}

/// Answers from the side that the project's mode names.
pub(super) async fn told(stages: &Stages, asked: &Asked, wanted: &Wanted) -> Result<Told, Failure> {
    let tracing = &stages.tracing;
    let (choice, _) = tracing.choices.of(asked.project);
    let Some(primary) = tracing.primary().filter(|_| choice.mode != TracingMode::ClickHouse) else {
        let text = text_of(&mut Side::ClickHouse(asked::reader(stages, asked)), stages, wanted).await?;
        return Ok(Told { text, from: tracing.primary().map(|_| "clickhouse") });
    };
    if choice.mode == TracingMode::Dual && choice.reads == TracingReads::ClickHouse {
        if let Some(text) = from_clickhouse(stages, asked, wanted).await? {
            return Ok(Told { text, from: Some("clickhouse") });
        }
        stages.metrics.tracing_fell_back();
    }
    let reading = primary.reading(asked.project).await?;
    let held = Held { reading, prices: &tracing.prices };
    let text = text_of(&mut Side::Postgres(Box::new(held)), stages, wanted).await?;
    Ok(Told { text, from: Some("postgres") })
}

/// Answers from ClickHouse where it has all that was committed; `None`: PostgreSQL is to answer.
async fn from_clickhouse(stages: &Stages, asked: &Asked, wanted: &Wanted) -> Result<Option<String>, Failure> {
    let is_down = stages.engine.as_ref().is_some_and(|engine| engine.borrow().state != EngineState::Ready);
    let Some(primary) = stages.tracing.primary().filter(|_| !is_down) else { return Ok(None) };
    if !is_level(stages, primary).await {
        return Ok(None);
    }
    let mut side = Side::ClickHouse(asked::reader(stages, asked));
    let limit = Duration::from_millis(PRIMARY_CLICKHOUSE_MS);
    match tokio::time::timeout(limit, text_of(&mut side, stages, wanted)).await {
        Ok(Ok(text)) => Ok(Some(text)),
        // The same would fail there.
        Ok(Err(failure)) if matches!(failure.kind, ErrorKind::Invalid | ErrorKind::Conflict | ErrorKind::NotFound) => {
            Err(failure)
        }
        Ok(Err(failure)) => {
            tracing::warn!(
                kind = kind_name(failure.kind),
                "clickhouse did not answer a read of spans, postgresql does"
            );
            Ok(None)
        }
        Err(_) => {
            tracing::warn!(kind = "timeout", "clickhouse did not answer a read of spans, postgresql does");
            Ok(None)
        }
    }
}

async fn text_of(side: &mut Side<'_>, stages: &Stages, wanted: &Wanted) -> Result<String, Failure> {
    match wanted {
        Wanted::Page(query, Focus::Span) => asked::spans_page(side, query).await,
        Wanted::Page(query, Focus::Trace) => asked::traces_page(side, query).await,
        Wanted::SpansOf(ids) => asked::spans_told(side, ids).await,
        Wanted::TracesOf(ids) => asked::traces_told(side, ids).await,
        Wanted::Span(trace, span) => asked::span_told(side, *trace, *span).await,
        Wanted::Analytics(query, specs) => analytics::told(side, query, (specs, stages.clock.now())).await,
        Wanted::Legacy(query) => analytics::legacy_told(side, query, stages.clock.now()).await,
        Wanted::List(wanted) => listing::told(side, wanted).await,
        Wanted::Simple(id) => simple::told(side, *id).await,
        Wanted::SimplePage(query) => simple::page(side, query).await,
        Wanted::Root(id) => simple::root_told(side, *id).await,
    }
}

/// Sends an answer with the side that it is from.
pub(super) fn answered(stages: &Stages, outcome: Result<Told, Failure>) -> Response {
    let (text, from) = match outcome {
        Ok(Told { text, from }) => (Ok(text), from),
        Err(failure) => (Err(failure), None),
    };
    let mut response = super::answered(stages, StatusCode::OK, text);
    if let Some(from) = from {
        response.headers_mut().insert(READ_FROM, HeaderValue::from_static(from));
    }
    response
}

impl Side<'_> {
    /// Reads the spans of a page, and where the next one begins.
    pub(super) async fn page(
        &mut self,
        query: &QueryBody,
        limit: u32,
    ) -> Result<(Vec<Stored>, Option<Cursor>), Failure> {
        match self {
            Self::ClickHouse(reader) => asked::spans_in(reader, query, limit).await,
            Self::Postgres(held) => held.page(query, whole(limit)).await,
        }
    }

    /// Finds the traces of a page, and where the next one begins.
    pub(super) async fn trace_ids(
        &mut self,
        query: &QueryBody,
        limit: u32,
    ) -> Result<(Vec<TraceId>, Option<Cursor>), Failure> {
        match self {
            Self::ClickHouse(reader) => asked::traces_in(reader, query, limit).await,
            Self::Postgres(held) => held.trace_ids(query, whole(limit)).await,
        }
    }

    /// Reads all spans of some traces.
    pub(super) async fn traces(&mut self, ids: &[TraceId]) -> Result<BTreeMap<TraceId, Vec<Stored>>, Failure> {
        match self {
            Self::ClickHouse(reader) => reader.traces(ids).await,
            Self::Postgres(held) => held.traces(ids).await,
        }
    }

    /// Reads what each span of some traces and those below it come to.
    pub(super) async fn roll_ups(&mut self, ids: &[TraceId]) -> Result<HashMap<(TraceId, SpanId), RollUp>, Failure> {
        let held = match self {
            Self::ClickHouse(reader) => return reader.roll_ups(ids).await,
            Self::Postgres(held) => held,
        };
        let mut all = HashMap::new();
        for (trace, spans) in held.traces(ids).await? {
            let (_, sums) = tree(&spans);
            all.extend(spans.iter().zip(sums).map(|(stored, sum)| ((trace, stored.span.span_id), sum)));
        }
        Ok(all)
    }

    /// Reads the roots of a window, by when they came in, with what is asked of their attributes.
    pub(super) async fn roots(&mut self, query: &QueryBody, paths: &[&str]) -> Result<Vec<Root>, Failure> {
        match self {
            Self::ClickHouse(reader) => analytics::roots(reader, query, paths).await,
            Self::Postgres(held) => held.roots(query, paths).await,
        }
    }

    /// Lists sessions or users with their times, one more than the page has.
    pub(super) async fn list(&mut self, listing: &Listing) -> Result<Vec<Place>, Failure> {
        match self {
            Self::ClickHouse(reader) => listing::listed_in(reader, listing).await,
            Self::Postgres(held) => held.list(listing).await,
        }
    }
}

fn whole(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}
