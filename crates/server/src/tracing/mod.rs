//! The tracing API for AI applications: spans and traces come in, are asked for, changed, deleted, and counted.
//!
//! Spans are rows of the dataset `ai-spans`, by the ordinary way of rows: durable when they are acknowledged, and in the
//! very next answer. What spans, filters and statistics mean is in the crate `tidegate-traces`.
//!
//! Invariants:
//! - Every statement is narrowed down to the project of its request.
//! - A span and a version occur once: versions are numbered under a lock of their project.
//! - A failure is an error, never an empty or a shorter answer; a trace is told whole or not at all.
//! - What a span and those below it come to is worked out when it is asked for, however its trace came in.
//!
//! | file | does |
//! |---|---|
//! | `project.rs` | whose request it is |
//! | `state.rs` | locks, prices, PostgreSQL |
//! | `choice.rs` | where spans of a project are written and read |
//! | `modes.rs` | routes that tell and switch that |
//! | `follow.rs` | how far ClickHouse is behind PostgreSQL |
//! | `sides.rs` | which side answers a read |
//! | `write.rs` | spans become versions of rows |
//! | `read.rs` | rows become spans and traces |
//! | `held.rs` | spans of PostgreSQL |
//! | `sent.rs` | routes that take spans |
//! | `asked.rs` | routes that tell spans and traces |
//! | `listing.rs` | sessions and users |
//! | `analytics.rs` | statistics |
//! | `simple.rs` | annotations and invocations of one span |
//! | `otlp.rs` | `/otlp/v1/traces` |
//! | `prices.rs` | what models cost |
//! | `told.rs` | spans and traces as answers |
//! | `shapes.rs` | the answers' JSON schemas |

mod analytics;
mod asked;
mod choice;
mod follow;
mod held;
mod listing;
mod modes;
mod otlp;
mod prices;
mod project;
mod read;
mod sent;
mod shapes;
mod sides;
mod simple;
mod state;
mod told;
mod write;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::{get as getting, post as posting};
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use tidegate_model::limits::REQUEST_BYTES_MAX;
use tidegate_traces::{DATASET, Focus, Invalid, Json, Object, Uuid, json};

use crate::body;
use crate::datasets::{Want, check, parameters};
use crate::errors::Failure;
use crate::otlp::{compression_named, inflated};
use crate::routes::{Gives, Param, Route, Sends, delete, get, post, put};
use crate::stages::Stages;
use project::{PROJECT, PROJECT_HEADER, project};

pub use choice::{TracingChoice, TracingMode, TracingReads};
pub(crate) use follow::told as health;
pub use follow::{Follow, watch_primary};
pub(crate) use shapes::{primary as health_shape, shapes};
pub use state::Tracing;

const REFUSES: &[u16] = &[401, 403, 408, 409, 413, 415, 429, 504];
const IDS: &[Param] = &[
    Param::text("trace_id", "a trace's id; may stand several times"),
    Param::text("trace_ids", "ids of traces, with commas between"),
];

/// The table of these routes.
pub(crate) fn routes() -> Vec<Route> {
    let tracing = |mount: &str| match mount {
        "/tracing" => of_tracing([
            "/tracing/spans/ingest",
            "/tracing/spans/query",
            "/tracing/spans/analytics",
            "/tracing/analytics/query",
            "/tracing/traces/",
            "/tracing/traces/{trace_id}",
            "/tracing/sessions/query",
            "/tracing/users/query",
        ]),
        _ => of_tracing([
            "/preview/tracing/spans/ingest",
            "/preview/tracing/spans/query",
            "/preview/tracing/spans/analytics",
            "/preview/tracing/analytics/query",
            "/preview/tracing/traces/",
            "/preview/tracing/traces/{trace_id}",
            "/preview/tracing/sessions/query",
            "/preview/tracing/users/query",
        ]),
    };
    let all = [
        tracing("/tracing"),
        tracing("/preview/tracing"),
        of_spans(),
        of_traces(),
        otlp::routes(),
        simple::routes(),
        modes::routes(),
        prices::routes(),
    ];
    all.into_iter().flatten().collect()
}

fn of_tracing(paths: [&'static str; 8]) -> Vec<Route> {
    let [ingest, query, legacy, analytics, traces, one, sessions, users] = paths;
    let mut all = vec![
        takes(post(ingest, "Takes spans")).by(posting(sent::take)),
        asks(post(query, "Tells spans or whole traces"), "SpansAsked").gives(SPANS).by(posting(asked::either)),
        asks(post(legacy, "Tells what traces come to by time, in the older form"), "SpansAsked")
            .gives(&[(200, Gives::One("LegacyBuckets"))])
            .by(posting(analytics::legacy)),
        asks(post(analytics, "Tells statistics of traces by time"), "AnalyticsAsked")
            .gives(&[(200, Gives::One("AnalyticsBuckets"))])
            .by(posting(analytics::query)),
        takes(post(traces, "Takes a trace")).by(posting(sent::take)),
    ];
    all.extend(of_one_trace(one));
    all.extend(of_lists(sessions, users));
    all
}

fn of_spans() -> Vec<Route> {
    let mut all = vec![
        asks_by_path(get("/spans/", "Tells the spans of traces"))
            .takes(&[PROJECT, IDS])
            .gives(SPANS)
            .by(getting(asked::spans_of)),
        asks(post("/spans/query", "Tells spans"), "SpansAsked").gives(SPANS).by(posting(asked::spans)),
        asks(post("/spans/analytics/query", "Tells statistics of traces by time"), "AnalyticsAsked")
            .gives(&[(200, Gives::One("AnalyticsBuckets"))])
            .by(posting(analytics::query)),
        asks_by_path(get("/spans/{trace_id}/{span_id}", "Tells a span"))
            .gives(&[(200, Gives::One("OneSpan"))])
            .by(getting(asked::one_span)),
    ];
    all.extend(of_lists("/spans/sessions/query", "/spans/users/query"));
    all
}

fn of_traces() -> Vec<Route> {
    let mut all = vec![
        asks_by_path(get("/traces/", "Tells whole traces"))
            .takes(&[PROJECT, IDS])
            .gives(TRACES)
            .by(getting(asked::traces_of)),
        takes(post("/traces/", "Takes a trace")).by(posting(sent::take)),
        asks(post("/traces/query", "Tells whole traces"), "SpansAsked").gives(TRACES).by(posting(asked::traces)),
        takes(post("/traces/ingest", "Takes spans")).by(posting(sent::take)),
    ];
    all.extend(of_one_trace("/traces/{trace_id}"));
    all
}

fn of_one_trace(path: &'static str) -> Vec<Route> {
    let removed = delete(path, "Deletes a trace").takes(&[PROJECT]).headers(PROJECT_HEADER).refuses(REFUSES);
    vec![
        asks_by_path(get(path, "Tells a whole trace")).gives(TRACES).by(getting(asked::one_trace)),
        takes(put(path, "Changes spans of a trace")).by(axum::routing::put(sent::change)),
        removed.gives(&[(202, Gives::One("SpansTaken"))]).by(axum::routing::delete(sent::delete)),
    ]
}

fn of_lists(sessions: &'static str, users: &'static str) -> Vec<Route> {
    vec![
        asks(post(sessions, "Lists sessions"), "ListAsked")
            .gives(&[(200, Gives::One("SessionIds"))])
            .by(posting(listing::sessions)),
        asks(post(users, "Lists users"), "ListAsked")
            .gives(&[(200, Gives::One("UserIds"))])
            .by(posting(listing::users)),
    ]
}

const SPANS: &[(u16, Gives)] = &[(200, Gives::One("SpansFound"))];
const TRACES: &[(u16, Gives)] = &[(200, Gives::One("TracesFound"))];

fn takes(route: Route) -> Route {
    route
        .takes(&[PROJECT])
        .headers(PROJECT_HEADER)
        .sends(Sends::Json("SpansSent"))
        .gives(&[(202, Gives::One("SpansTaken"))])
        .refuses(REFUSES)
}

fn asks(route: Route, shape: &'static str) -> Route {
    route.takes(&[PROJECT]).headers(PROJECT_HEADER).sends(Sends::Json(shape)).refuses(REFUSES)
}

fn asks_by_path(route: Route) -> Route {
    route.takes(&[PROJECT]).headers(PROJECT_HEADER).refuses(REFUSES)
}

/// Whose request it is, and what is in it.
struct Asked {
    project: Uuid,
    parameters: Vec<(String, String)>,
    body: Json,
    id: String,
    /// Who asks, where that is a UUID.
    actor: Option<Uuid>,
}

/// Reads a request whose body is JSON, or empty.
async fn asked(stages: &Stages, request: Request, want: Want) -> Result<Asked, Failure> {
    let (parts, body) = request.into_parts();
    let asked = of_parts(stages, &parts, want)?;
    let bytes = whole(stages, &parts, body, REQUEST_BYTES_MAX).await?;
    let text =
        std::str::from_utf8(&bytes).map_err(|error| Failure::invalid(format!("the body is no UTF-8: {error}")))?;
    let body = if text.trim().is_empty() {
        Json::Object(Object::new())
    } else {
        json::parse(text).map_err(|error| invalid(&error))?
    };
    Ok(Asked { body, ..asked })
}

/// Reads what a request says beside its body.
fn of_parts(stages: &Stages, parts: &Parts, want: Want) -> Result<Asked, Failure> {
    check(&stages.access, &parts.headers, want, stages.catalog.record(DATASET).as_ref())?;
    let parameters = parameters(parts.uri.query(), &[PROJECT, IDS])?;
    let actor = crate::api::actor(&parts.headers).and_then(|actor| Uuid::read(&actor, "actor").ok());
    let project = project(&parts.headers, &parameters)?;
    Ok(Asked { project, parameters, body: Json::Null, id: stages.request_id(), actor })
}

/// Reads a body, and inflates it.
async fn whole(stages: &Stages, parts: &Parts, body: Body, bytes_max: usize) -> Result<bytes::Bytes, Failure> {
    let declared = parts.headers.get(header::CONTENT_ENCODING).map(|name| name.to_str().unwrap_or("?"));
    let compression = compression_named(declared.unwrap_or_default())?;
    let bytes = body::read(&parts.headers, body, bytes_max, stages.body_idle).await?;
    if declared.is_none() { Ok(bytes) } else { inflated(compression, bytes).await }
}

/// Answers with a text of JSON, or tells why not.
fn answered(stages: &Stages, status: StatusCode, outcome: Result<String, Failure>) -> Response {
    match outcome {
        Ok(text) => {
            let mut response = Response::new(Body::from(text));
            *response.status_mut() = status;
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        Err(failure) => failure.answer(&stages.request_id()),
    }
}

/// A request that is wrong, with its place and the way to mend it.
fn invalid(error: &Invalid) -> Failure {
    Failure::invalid(format!("{}: {}", error.place, error.problem)).with_hint(error.help.clone())
}

/// Refuses a focus that the route does not have.
fn only(focus: Option<Focus>, own: Focus, path: &str) -> Result<Focus, Failure> {
    match focus {
        Some(other) if other != own => Err(Failure::new(
            tidegate_model::ErrorKind::Conflict,
            format!("`focus` of the query is not that of {path}"),
        )
        .with_hint("ask /tracing/spans/query, which takes both, or leave `focus` out")),
        _ => Ok(own),
    }
}
