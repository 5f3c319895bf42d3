use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::StatusCode;
use tidegate_traces::{Defaults, Json, Span, SpanId, TraceId};

use super::write::{Change, listed, write};
use super::{Asked, answered, asked, invalid};
use crate::datasets::Want;
use crate::errors::Failure;
use crate::stages::Stages;

/// Refused spans that one answer spells out; all are counted.
const REFUSALS_TOLD: usize = 100;

/// Takes spans and traces.
pub(super) async fn take(State(stages): State<Stages>, request: Request) -> Response {
    let outcome = async {
        let asked = asked(&stages, request, Want::Write).await?;
        put(&stages, &asked, None).await
    };
    answered(&stages, StatusCode::ACCEPTED, outcome.await)
}

/// Changes spans of a trace, or adds some.
pub(super) async fn change(State(stages): State<Stages>, Path(id): Path<String>, request: Request) -> Response {
    let outcome = async {
        let trace = TraceId::read(&id, "the path").map_err(|error| invalid(&error))?;
        let asked = asked(&stages, request, Want::Write).await?;
        put(&stages, &asked, Some(trace)).await
    };
    answered(&stages, StatusCode::ACCEPTED, outcome.await)
}

/// Deletes a trace; one that is not there is deleted already.
pub(super) async fn delete(State(stages): State<Stages>, Path(id): Path<String>, request: Request) -> Response {
    let outcome = async {
        let trace = TraceId::read(&id, "the path").map_err(|error| invalid(&error))?;
        let asked = asked(&stages, request, Want::Write).await?;
        let gone = write(&stages, asked.project, Change::Delete(vec![trace])).await?;
        Ok(taken(&gone, &[]))
    };
    answered(&stages, StatusCode::ACCEPTED, outcome.await)
}

async fn put(stages: &Stages, asked: &Asked, only: Option<TraceId>) -> Result<String, Failure> {
    let (mut spans, mut refused) = (Vec::new(), Vec::new());
    for (index, sent) in listed(&asked.body)?.iter().enumerate() {
        match Span::read(sent, &format!("spans[{index}]"), &defaults(stages, asked)) {
            Ok(span) => spans.push(span),
            Err(error) => refused.push((index, error)),
        }
    }
    if let Some(span) = spans.iter().find(|span| only.is_some_and(|only| only != span.trace_id)) {
        return Err(Failure::invalid(format!(
            "the span {} is of another trace than the path, {}",
            span.span_id, span.trace_id
        ))
        .with_hint("send the spans of the path's trace; nothing was written"));
    }
    if let (true, Some((_, error))) = (spans.is_empty(), refused.first()) {
        return Err(invalid(error));
    }
    let links = write(stages, asked.project, Change::Put(spans)).await?;
    let reasons: Vec<(usize, String)> = refused.iter().map(|(index, error)| (*index, error.to_string())).collect();
    Ok(taken(&links, &reasons))
}

pub(super) fn defaults(stages: &Stages, asked: &Asked) -> Defaults {
    Defaults { now: stages.clock.now(), actor: asked.actor, name: made_name(stages) }
}

/// Makes a name of 12 hexadecimal digits, by the time and the number of the request.
pub(super) fn made_name(stages: &Stages) -> String {
    let digits: String = stages.request_id().chars().filter(char::is_ascii_hexdigit).collect();
    let padded = format!("{digits:0>12}");
    padded[padded.len() - 12..].to_owned()
}

/// Writes what was taken and what was not.
fn taken(links: &[(TraceId, SpanId)], refused: &[(usize, String)]) -> String {
    let each = links.iter().map(|(trace, span)| {
        Json::object([("trace_id", Json::text(trace.to_string())), ("span_id", Json::text(span.to_string()))])
    });
    let reasons = refused.iter().take(REFUSALS_TOLD).map(|(index, reason)| {
        Json::object([("index", Json::from(*index as u64)), ("reason", Json::text(reason.as_str()))])
    });
    let told = Json::object([
        ("count", Json::from(links.len() as u64)),
        ("links", Json::List(each.collect())),
        ("dropped", Json::from(refused.len() as u64)),
        ("rejections", Json::List(reasons.collect())),
    ]);
    told.to_string()
}
