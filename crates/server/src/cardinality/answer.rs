use std::future::Future;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::on;
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tidegate_model::ErrorKind;
use tidegate_model::limits::{CATALOG_HASHES_PER_ROW, REQUEST_BYTES_MAX};

use super::arguments::{Arguments, Page};
use super::listing::Listing;
use super::read::{Filter, Reader};
use super::view::View;
use crate::body;
use crate::errors::{Failure, kind_name};
use crate::routes::{Param, Route, Sends};
use crate::stages::Stages;

/// The name, service or key under which the catalogue counts all that is past a limit.
pub(super) const OVERFLOW: &str = tidegate_core::rollup::OVERFLOW;

/// The body of a request: names and filters, or a batch of requests. Files have a limit of their own.
pub(super) const BODY_BYTES_MAX: usize = 1 << 20;

/// The header that says what was read.
pub(crate) const VIEW_HEADER: &str = "x-catalogue-view";

/// One request, read.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) reader: Reader,
    pub(super) arguments: Arguments,
    path: Vec<(String, String)>,
    pub(super) body: Bytes,
}

impl Ask {
    /// Returns a part of the path by its name in the route.
    pub(super) fn path(&self, name: &str) -> &str {
        self.path.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str())
    }

    /// Returns the filter that the parameters `service`, `from` and `to` make.
    pub(super) fn filter(&self) -> Result<Filter, Failure> {
        Ok(Filter { window: self.arguments.window()?, service: self.arguments.text("service").map(str::to_owned) })
    }
}

/// What a route answers.
#[derive(Debug)]
pub(super) enum Answer {
    Json(StatusCode, Bytes),
    Long(Listing),
    File { name: String, bytes: Vec<u8> },
    Empty,
}

impl Answer {
    /// Answers with a value as JSON.
    pub(super) fn told(value: &impl Serialize) -> Result<Self, Failure> {
        let text = serde_json::to_vec(value).map_err(|error| unwritten(&error))?;
        Ok(Self::Json(StatusCode::OK, text.into()))
    }

    /// Answers that something was made, and what.
    pub(super) fn created(value: &Value) -> Self {
        Self::Json(StatusCode::CREATED, value.to_string().into())
    }
}

impl From<Value> for Answer {
    fn from(value: Value) -> Self {
        Self::Json(StatusCode::OK, value.to_string().into())
    }
}

impl From<Box<RawValue>> for Answer {
    fn from(text: Box<RawValue>) -> Self {
        Self::Json(StatusCode::OK, Box::<str>::from(text).into_string().into())
    }
}

/// Writes a value as JSON: what is told of an item, before others stand beside it.
pub(super) fn text_of(value: &impl Serialize) -> Result<Box<RawValue>, Failure> {
    serde_json::value::to_raw_value(value).map_err(|error| unwritten(&error))
}

fn unwritten(error: &serde_json::Error) -> Failure {
    tracing::error!(%error, "an answer could not be written as JSON");
    Failure::new(ErrorKind::Internal, "the server failed; its log says why")
}

/// Ends a route with what answers it: parameters, body and view are read before.
pub(super) fn asked<F, A>(route: Route, handle: F) -> Route
where
    F: Fn(Ask) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Result<Answer, Failure>> + Send,
{
    let (method, known) = (route.method, route.takes);
    let body_bytes_max = match route.sends {
        Sends::Media(_) => REQUEST_BYTES_MAX,
        Sends::Nothing | Sends::Json(_) => BODY_BYTES_MAX,
    };
    let handler = on(
        method,
        move |State(stages): State<Stages>,
              path: Result<Path<Vec<(String, String)>>, PathRejection>,
              request: Request| async move {
            let outcome = async {
                let (ask, view) = read(stages, path, request, (known, body_bytes_max)).await?;
                Ok((handle(ask).await?, view))
            };
            match outcome.await {
                Ok((answer, view)) => viewed(answer.into_response(), view.as_ref()),
                Err(failure) => refused(&failure),
            }
        },
    );
    route.by(handler)
}

/// Reads a request, and brings what it looks at to where it can be read.
async fn read(
    stages: Stages,
    path: Result<Path<Vec<(String, String)>>, PathRejection>,
    request: Request,
    (known, body_bytes_max): (&[&'static [Param]], usize),
) -> Result<(Ask, Option<View>), Failure> {
    let Path(path) = path.map_err(|_| Failure::invalid("the path is not UTF-8: encode it as such"))?;
    if let Some((name, _)) = path.iter().find(|(_, value)| value.contains('\0')) {
        return Err(Failure::invalid(format!("the {name} in the path holds a zero byte: leave it out")));
    }
    let (parts, body) = request.into_parts();
    let arguments = Arguments::parse(parts.uri.query().unwrap_or_default(), known)?;
    let body = body::read(&parts.headers, body, body_bytes_max, stages.body_idle).await?;
    let view = match arguments.text("session") {
        Some(names) => Some(View::parse(names)?),
        None => arguments.knows("session").then(|| stages.cardinality.view().clone()),
    };
    let reader = Reader::over(stages, view.as_ref()).await?;
    Ok((Ask { reader, arguments, path, body }, view))
}

/// Says what was read: a view that somebody else chose must not pass for what is live.
fn viewed(mut response: Response, view: Option<&View>) -> Response {
    if let Some(names) = view.and_then(|view| HeaderValue::from_str(&view.names().join(",")).ok()) {
        response.headers_mut().insert(VIEW_HEADER, names);
    }
    response
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        match self {
            Self::Json(status, text) => {
                let json = HeaderValue::from_static("application/json");
                (status, [(header::CONTENT_TYPE, json)], text).into_response()
            }
            Self::Long(listing) => listing.into_response(),
            Self::Empty => StatusCode::NO_CONTENT.into_response(),
            Self::File { name, bytes } => {
                let mut response = Response::new(axum::body::Body::from(bytes));
                let headers = response.headers_mut();
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/gzip"));
                if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
                    headers.insert(header::CONTENT_DISPOSITION, value);
                }
                response
            }
        }
    }
}

/// Tells a failure as these routes do: `{"error": "what, where, how to mend"}`.
pub(super) fn refused(failure: &Failure) -> Response {
    let mut text = failure.message.clone();
    if let Some(hint) = &failure.hint {
        text = format!("{text}; {hint}");
    }
    let told = json!({ "error": text, "kind": kind_name(failure.kind) });
    let mut response = (failure.http_status(), axum::Json(told)).into_response();
    if let Some(seconds) = failure.retry_after() {
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    response
}

/// Says that the catalogue has no such thing in the window.
pub(super) fn unknown(what: &str, name: &str, list: &str) -> Failure {
    Failure::new(ErrorKind::NotFound, format!("there is no {what} `{name}`"))
        .with_hint(format!("GET {list} lists what there is; encode the name (`/` as %2F)"))
}

/// A list in its envelope.
#[derive(Debug, Serialize)]
pub(super) struct List<T> {
    data: Vec<T>,
    #[serde(flatten)]
    end: ListEnd,
}

/// What a list says of itself.
#[derive(Debug, Serialize)]
pub(super) struct ListEnd {
    total: u64,
    limit: u64,
    offset: u64,
    has_more: bool,
    total_sample_count: u64,
    #[serde(flatten)]
    exact: Exact,
}

impl ListEnd {
    pub(super) fn of(page: Page, total: u64, samples: u64, capped: bool) -> Self {
        Self {
            total,
            limit: page.limit,
            offset: page.offset,
            has_more: page.has_more(total),
            total_sample_count: samples,
            exact: Exact::unless(capped),
        }
    }
}

/// Puts a list into its envelope.
pub(super) fn list<T>(data: Vec<T>, page: Page, total: u64, samples: u64, capped: bool) -> List<T> {
    List { data, end: ListEnd::of(page, total, samples, capped) }
}

/// Whether numbers are exact, and if not, why.
#[derive(Debug, Serialize)]
pub(super) struct Exact {
    exact: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    cap: Option<String>,
}

impl Exact {
    /// Says it of numbers, some of which may stand for what was past a limit.
    pub(super) fn unless(capped: bool) -> Self {
        let cap = capped.then(|| format!("what came past the catalogue's limits is counted together as {OVERFLOW}"));
        Self { exact: !capped, cap }
    }

    /// Says it of a number of distinct values, of which so many records are left out.
    pub(super) fn distinct(capped: bool, unlisted: u64) -> Self {
        if unlisted == 0 {
            return Self::unless(capped);
        }
        let cap = format!(
            "{unlisted} records came when a row of the catalogue had its most values ({CATALOG_HASHES_PER_ROW} in one \
             service and hour): there are at least so many distinct ones"
        );
        Self { exact: false, cap: Some(cap) }
    }
}

/// Says of a number of distinct values whether it is exact.
pub(super) fn say_distinct(value: &mut Value, capped: bool, unlisted: u64) {
    say(value, Exact::distinct(capped, unlisted));
}

/// Says whether the numbers are exact, and if not, why.
pub(super) fn say_exact(value: &mut Value, capped: bool) {
    say(value, Exact::unless(capped));
}

fn say(value: &mut Value, Exact { exact, cap }: Exact) {
    value["exact"] = json!(exact);
    if let Some(cap) = cap {
        value["cap"] = json!(cap);
    }
}
