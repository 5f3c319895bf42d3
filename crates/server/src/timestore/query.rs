use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::post as posting;
use futures_util::StreamExt;
use http::{HeaderValue, header};
use serde::Deserialize;
use tidegate_core::catalog::Dataset;
use tidegate_core::query::{DatasetAnswer, DatasetQuery};
use tidegate_model::ErrorKind;
use tidegate_model::limits::SQL_BODY_BYTES_MAX;

use super::arguments;
use crate::api::{freshness, tables_are_there};
use crate::body;
use crate::datasets::{Want, check};
use crate::errors::{Failure, chain};
use crate::migrations::check_reads;
use crate::routes::{Gives, Kind, Param, Route, Sends, post};
use crate::stages::Stages;

const ASKED: &[Param] = &[Param {
    name: "timeout_ms",
    kind: Kind::Number { default: None, max: u64::MAX },
    about: "milliseconds that it may take",
}];

/// The routes of reads without SQL.
pub(super) fn routes() -> Vec<Route> {
    let query = post("/datasets/{slug}/query", "Answers with rows of a dataset, or with buckets of time, without SQL")
        .takes(&[ASKED])
        .sends(Sends::Json("DatasetAsked"))
        .gives(&[(200, Gives::One("DatasetAnswer"))]);
    vec![query.refuses(&[401, 403, 404, 408, 409, 413, 429, 504]).by(posting(query_dataset))]
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    timeout_ms: Option<u64>,
}

async fn query_dataset(State(stages): State<Stages>, Path(slug): Path<String>, request: Request) -> Response {
    let (began, id) = (Instant::now(), stages.request_id());
    match answered(&stages, &slug, request, &id).await {
        Ok(answer) => {
            stages.metrics.query(began.elapsed(), Ok(()));
            stream(stages, answer, id)
        }
        Err(failure) => {
            stages.metrics.query(began.elapsed(), Err(&failure));
            failure.answer(&id)
        }
    }
}

async fn answered(stages: &Stages, slug: &str, request: Request, id: &str) -> Result<DatasetAnswer, Failure> {
    let (parts, body) = request.into_parts();
    let Asked { timeout_ms } = arguments(&parts.uri)?;
    check(&stages.access, &parts.headers, Want::Read, stages.catalog.record(slug).as_ref())?;
    let body = body::read(&parts.headers, body, SQL_BODY_BYTES_MAX, stages.body_idle).await?;
    let query = DatasetQuery::parse(&body)?;
    let label = query.table_name.as_deref().unwrap_or(Dataset::RECORDS);
    let dataset = stages.catalog.dataset(slug, label).await.map_err(|error| Failure::of(error.kind(), &error))?;
    let Some(dataset) = dataset else {
        return Err(Failure::new(ErrorKind::NotFound, format!("there is no dataset `{slug}` with a table `{label}`")));
    };
    check_reads(stages, &parts.headers, (slug, label))?;
    tables_are_there(stages).await?;
    let timeout = timeout_ms.map(Duration::from_millis);
    Ok(stages.query.read_dataset(&query, &dataset, (id.to_owned(), timeout)).await?)
}

/// Sends the answer as it comes; a failure on the way breaks the connection, so that nobody takes a part for the whole.
fn stream(stages: Stages, answer: DatasetAnswer, id: String) -> Response {
    let request_id = HeaderValue::from_str(&id);
    let body = answer.body.inspect(move |piece| {
        if let Err(error) = piece {
            stages.metrics.query_broken();
            tracing::warn!(query_id = id, error = chain(error), "an answer was not completed");
        }
    });
    let mut response = Response::new(Body::from_stream(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    freshness(headers, &answer.freshness);
    if let Ok(id) = request_id {
        headers.insert("x-sql-request-id", id);
    }
    response
}
