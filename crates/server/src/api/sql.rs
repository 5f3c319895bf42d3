use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use futures_util::StreamExt;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tidegate_core::query::{Format, Freshness, ReadAnswer, ReadRequest};
use tidegate_model::ErrorKind;
use tidegate_model::limits::{SCHEMA_WAIT_MS, SQL_BODY_BYTES_MAX};

use super::sql_parameters::parse;
use crate::body;
use crate::datasets::check_sql;
use crate::errors::{Failure, chain};
use crate::stages::{SchemaState, Stages};

/// Answers `GET|POST /sql/read`.
pub(super) async fn read(State(stages): State<Stages>, request: Request) -> Response {
    let (began, id) = (Instant::now(), stages.request_id());
    let outcome = async {
        let headers = request.headers().clone();
        let read = asked(&stages, request, &id).await?;
        check_sql(&stages, &headers, (&read.sql, &read.params)).await?;
        tables_are_there(&stages).await?;
        Ok::<_, Failure>(stages.query.read(read).await?)
    };
    match outcome.await {
        Ok(answer) => {
            stages.metrics.query(began.elapsed(), Ok(()));
            streamed(stages, answer, &id)
        }
        Err(failure) => {
            stages.metrics.query(began.elapsed(), Err(&failure));
            failure.answer(&id)
        }
    }
}

/// Waits for the tables of a ClickHouse that is starting; a query before them would say that they do not exist.
pub(crate) async fn tables_are_there(stages: &Stages) -> Result<(), Failure> {
    let mut schema = stages.schema.clone();
    let made = schema.wait_for(|state| *state == SchemaState::Current);
    if let Ok(Ok(_)) = tokio::time::timeout(Duration::from_millis(SCHEMA_WAIT_MS), made).await {
        return Ok(());
    }
    let why = match &*stages.schema.borrow() {
        SchemaState::Failed(why) => why.clone(),
        SchemaState::Waiting | SchemaState::Current => "it has not answered yet".to_owned(),
    };
    Err(Failure::new(ErrorKind::Unavailable, format!("ClickHouse is not ready for queries: {why}")))
}

async fn asked(stages: &Stages, request: Request, id: &str) -> Result<ReadRequest, Failure> {
    let (parts, body) = request.into_parts();
    let is_json = header_text(&parts.headers, header::CONTENT_TYPE).contains("json");
    let body = body::read(&parts.headers, body, SQL_BODY_BYTES_MAX, stages.body_idle).await?;
    let query = parts.uri.query().unwrap_or_default();
    let parameters = parse(query, is_json, &body).map_err(|error| {
        let failure = Failure::invalid(error.to_string());
        if error.is_too_long() { failure.with_status(StatusCode::PAYLOAD_TOO_LARGE) } else { failure }
    })?;
    let format = match &parameters.format {
        Some(word) => Format::named(word).ok_or_else(|| {
            Failure::invalid(format!("the format `{word}` is not known: there are {}", Format::known()))
                .with_status(StatusCode::NOT_ACCEPTABLE)
        })?,
        None => Format::JSON,
    };
    Ok(ReadRequest {
        sql: parameters.sql,
        params: parameters.params,
        format,
        min_watermark: parameters.min_watermark,
        max_rows: parameters.max_rows,
        timeout: parameters.timeout_ms.map(Duration::from_millis),
        query_id: id.to_owned(),
    })
}

/// Sends the answer as it comes; a failure on the way breaks the connection, so that nobody takes a part for the whole.
pub(crate) fn streamed(stages: Stages, answer: ReadAnswer, id: &str) -> Response {
    let query_id = id.to_owned();
    let body = answer.body.inspect(move |piece| {
        if let Err(error) = piece {
            stages.metrics.query_broken();
            tracing::warn!(query_id, error = chain(error), "an answer was not completed");
        }
    });
    let mut response = Response::new(Body::from_stream(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    freshness(headers, &answer.freshness);
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert("x-sql-request-id", id.clone());
        headers.insert("x-sql-execution-id", id);
    }
    response
}

/// Says how fresh an answer is.
pub(crate) fn freshness(headers: &mut HeaderMap, freshness: &Freshness) {
    headers.insert("x-timestore-freshness-mode", HeaderValue::from_static(freshness.mode.as_str()));
    headers.insert("x-timestore-replica-age-ms", HeaderValue::from(freshness.replica_age_ms));
    let watermarks =
        [("x-timestore-watermark", &freshness.watermarks), ("x-timestore-latest-ingest-watermark", &freshness.latest)];
    for (name, watermarks) in watermarks {
        let pairs: Vec<_> = watermarks.iter().map(|(table, seq)| format!("{table}={seq}")).collect();
        if let Ok(pairs) = HeaderValue::from_str(&pairs.join(",")) {
            headers.insert(name, pairs);
        }
    }
}

fn header_text(headers: &HeaderMap, name: header::HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
