use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::response::Response;
use serde_json::json;
use tidegate_core::query::PromqlRequest;
use tidegate_promql::{PromqlError, Span, pretty};

use super::answer::{failed, success, unanswered, worth};
use super::asked::{Asked, millis};
use crate::api::tables_are_there;
use crate::errors::Failure;
use crate::stages::Stages;

/// Answers `query`.
pub(super) async fn instant(State(stages): State<Stages>, request: Request) -> Response {
    let asked = match Asked::read(&stages, request).await {
        Ok(asked) => asked,
        Err(failure) => return failed(&failure),
    };
    let now = millis(stages.clock.now());
    let request = (|| {
        let span = Span::Instant(asked.time("time")?.unwrap_or(now));
        read_request(&stages, &asked, span)
    })();
    evaluated(&stages, request, false).await
}

/// Answers `query_range`.
pub(super) async fn range(State(stages): State<Stages>, request: Request) -> Response {
    let asked = match Asked::read(&stages, request).await {
        Ok(asked) => asked,
        Err(failure) => return failed(&failure),
    };
    let request = (|| {
        let (start, end) = (asked.needed_time("start")?, asked.needed_time("end")?);
        asked.needed("step")?;
        let span = Span::Range { start, end, step: asked.duration("step")?.unwrap_or_default() };
        read_request(&stages, &asked, span)
    })();
    evaluated(&stages, request, true).await
}

/// Answers `format_query`.
pub(super) async fn format(State(stages): State<Stages>, request: Request) -> Response {
    let formatted = async {
        let asked = Asked::read(&stages, request).await?;
        pretty(asked.needed("query")?).map_err(|error: PromqlError| Failure::invalid(error.to_string()))
    };
    match formatted.await {
        Ok(text) => success(&json!(text)),
        Err(failure) => failed(&failure),
    }
}

fn read_request(stages: &Stages, asked: &Asked, span: Span) -> Result<PromqlRequest, Failure> {
    let timeout = asked.duration("timeout")?.map(|millis| Duration::from_millis(millis.max(1).unsigned_abs()));
    let expression = asked.needed("query")?.to_owned();
    Ok(PromqlRequest { expression, span, timeout, query_id: stages.request_id() })
}

async fn evaluated(stages: &Stages, request: Result<PromqlRequest, Failure>, is_range: bool) -> Response {
    let began = Instant::now();
    let request = match request {
        Ok(request) => request,
        Err(failure) => return failed(&failure),
    };
    if let Err(failure) = tables_are_there(stages).await {
        return failed(&failure);
    }
    match stages.query.promql(request).await {
        Ok(answer) => {
            stages.metrics.query(began.elapsed(), Ok(()));
            worth(&answer, is_range)
        }
        Err(error) => {
            let (response, failure) = unanswered(error);
            stages.metrics.query(began.elapsed(), Err(&failure));
            response
        }
    }
}
