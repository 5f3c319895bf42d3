use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::{delete as deleting, get as getting, patch as patching, post as posting};
use http::StatusCode;
use tidegate_model::ErrorKind;
use tidegate_traces::{Json, QueryBody, Simple, Span, TraceId, json, made_ids};

use super::asked::LIMIT_DEFAULT;
use super::project::{PROJECT, PROJECT_HEADER};
use super::sent::defaults;
use super::sides::{self, Side, Wanted};
use super::told::close;
use super::write::{Change, write};
use super::{Asked, REFUSES, answered, asked, invalid};
use crate::datasets::Want;
use crate::errors::Failure;
use crate::routes::{Gives, Route, Sends, delete, get, patch, post};
use crate::stages::Stages;

/// The routes of annotations and invocations of one span.
pub(super) fn routes() -> Vec<Route> {
    let mounts = [
        ["/simple/traces/", "/simple/traces/query", "/simple/traces/{trace_id}"],
        ["/preview/simple/traces/", "/preview/simple/traces/query", "/preview/simple/traces/{trace_id}"],
    ];
    mounts.into_iter().flat_map(of_mount).collect()
}

fn of_mount([all, query, one]: [&'static str; 3]) -> Vec<Route> {
    const MADE: &[(u16, Gives)] = &[(202, Gives::One("OneSimpleTrace"))];
    let taking = |route: Route| route.takes(&[PROJECT]).headers(PROJECT_HEADER).refuses(REFUSES);
    vec![
        taking(post(all, "Makes an annotation or an invocation of one span"))
            .sends(Sends::Json("SimpleTraceSent"))
            .gives(MADE)
            .by(posting(make)),
        taking(post(query, "Tells annotations and invocations"))
            .sends(Sends::Json("SimpleTracesAsked"))
            .gives(&[(200, Gives::One("SimpleTracesFound"))])
            .by(posting(find)),
        taking(get(one, "Tells an annotation or an invocation"))
            .gives(&[(200, Gives::One("OneSimpleTrace"))])
            .by(getting(tell)),
        taking(patch(one, "Changes an annotation or an invocation"))
            .sends(Sends::Json("SimpleTraceSent"))
            .gives(MADE)
            .refuses(&[401, 403, 404, 408, 409, 413, 415, 429, 504])
            .by(patching(change)),
        taking(delete(one, "Deletes an annotation or an invocation"))
            .gives(&[(202, Gives::One("SimpleTraceGone"))])
            .by(deleting(remove)),
    ]
}

async fn make(State(stages): State<Stages>, request: Request) -> Response {
    let outcome = async {
        let asked = asked(&stages, request, Want::Write).await?;
        let ids = made_ids(&format!("{} {}", asked.project, asked.id));
        let span = Simple::read(&asked.body, ids, &defaults(&stages, &asked)).map_err(|error| invalid(&error))?;
        put(&stages, &asked, span).await
    };
    answered(&stages, StatusCode::ACCEPTED, outcome.await)
}

async fn find(State(stages): State<Stages>, request: Request) -> Response {
    let outcome = async {
        let asked = asked(&stages, request, Want::Read).await?;
        let query = Simple::query(&asked.body).map_err(|error| invalid(&error))?;
        sides::told(&stages, &asked, &Wanted::SimplePage(query)).await
    };
    sides::answered(&stages, outcome.await)
}

async fn tell(State(stages): State<Stages>, Path(id): Path<String>, request: Request) -> Response {
    let outcome = async {
        let id = TraceId::read(&id, "the path").map_err(|error| invalid(&error))?;
        let asked = asked(&stages, request, Want::Read).await?;
        sides::told(&stages, &asked, &Wanted::Simple(id)).await
    };
    sides::answered(&stages, outcome.await)
}

async fn change(State(stages): State<Stages>, Path(id): Path<String>, request: Request) -> Response {
    let outcome = async {
        let id = TraceId::read(&id, "the path").map_err(|error| invalid(&error))?;
        let asked = asked(&stages, request, Want::Write).await?;
        let defaults = defaults(&stages, &asked);
        let found = sides::told(&stages, &asked, &Wanted::Root(id)).await?.text;
        let found = json::parse(&found).map_err(|error| Failure::of(ErrorKind::Corrupt, &error))?;
        if found == Json::Null {
            return Err(Failure::new(ErrorKind::NotFound, format!("there is no trace {id}"))
                .with_hint("POST /simple/traces/ makes one"));
        }
        let span = Span::read(&found, "trace", &defaults).map_err(|error| invalid(&error))?;
        let span = Simple::changed(&span, &asked.body, &defaults).map_err(|error| invalid(&error))?;
        put(&stages, &asked, span).await
    };
    answered(&stages, StatusCode::ACCEPTED, outcome.await)
}

async fn remove(State(stages): State<Stages>, Path(id): Path<String>, request: Request) -> Response {
    let outcome = async {
        let id = TraceId::read(&id, "the path").map_err(|error| invalid(&error))?;
        let asked = asked(&stages, request, Want::Write).await?;
        let gone = write(&stages, asked.project, Change::Delete(vec![id])).await?;
        let link = gone.first().map(|(trace, span)| {
            Json::object([("trace_id", Json::text(trace.to_string())), ("span_id", Json::text(span.to_string()))])
        });
        let mut told = vec![("count", Json::from(u64::from(link.is_some())))];
        told.extend(link.map(|link| ("link", link)));
        Ok(Json::object(told).to_string())
    };
    answered(&stages, StatusCode::ACCEPTED, outcome.await)
}

/// Writes a span, and tells what is there then: who made it when, and times as they are kept.
async fn put(stages: &Stages, asked: &Asked, span: Span) -> Result<String, Failure> {
    let id = span.trace_id;
    write(stages, asked.project, Change::Put(vec![span])).await?;
    Ok(sides::told(stages, asked, &Wanted::Simple(id)).await?.text)
}

fn one(span: Option<&Span>) -> String {
    let count = ("count", Json::from(u64::from(span.is_some())));
    Json::object([count].into_iter().chain(span.map(|span| ("trace", Simple::told(span))))).to_string()
}

/// Tells the root of a trace.
pub(super) async fn told(side: &mut Side<'_>, id: TraceId) -> Result<String, Failure> {
    Ok(one(root(side, id).await?.as_ref()))
}

/// Tells the root of a trace as the span that it is; `null`: there is none.
pub(super) async fn root_told(side: &mut Side<'_>, id: TraceId) -> Result<String, Failure> {
    Ok(root(side, id).await?.map_or(Json::Null, |span| span.json()).to_string())
}

/// Tells a page of roots.
pub(super) async fn page(side: &mut Side<'_>, query: &QueryBody) -> Result<String, Failure> {
    let (found, next) = side.page(query, query.window.limit.unwrap_or(LIMIT_DEFAULT)).await?;
    let mut out = format!("{{\"count\":{},\"traces\":", found.len());
    Json::List(found.iter().map(|stored| Simple::told(&stored.span)).collect()).write(&mut out);
    out.push(',');
    close(&mut out, next.as_ref().map(tidegate_traces::Cursor::to_string));
    Ok(out)
}

/// Finds the first span without a parent, or the first of all.
async fn root(side: &mut Side<'_>, id: TraceId) -> Result<Option<Span>, Failure> {
    let found = side.traces(&[id]).await?.remove(&id).unwrap_or_default();
    let spans = found.into_iter().map(|stored| stored.span);
    Ok(spans.min_by_key(|span| (span.parent_id.is_some(), span.start_time, span.span_id)))
}
