use std::time::Instant;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use serde_json::{Map, Value, json};
use tidegate_core::query::Freshness;
use tidegate_core::query::telemetry::{Page, RecordKind, Stats};

use super::asked::{Asked, BUCKETS, EVENTS, PAGE, POINTS, READ, RECORDS, SPAN};
use crate::api::{freshness, tables_are_there};
use crate::errors::Failure;
use crate::stages::Stages;

/// Answers `GET /v1/json/logs`.
pub(super) async fn logs(State(stages): State<Stages>, RawQuery(query): RawQuery) -> Response {
    answer(&stages, async |id| {
        let asked = Asked::parse(query.as_deref(), &[SPAN, RECORDS, PAGE, READ])?;
        records(&stages, RecordKind::Logs, &asked, id).await
    })
    .await
}

/// Answers `GET /v1/json/events`.
pub(super) async fn events(State(stages): State<Stages>, RawQuery(query): RawQuery) -> Response {
    answer(&stages, async |id| {
        let asked = Asked::parse(query.as_deref(), &[SPAN, RECORDS, EVENTS, PAGE, READ])?;
        records(&stages, RecordKind::Events, &asked, id).await
    })
    .await
}

/// Answers `GET /v1/json/logs/stats`.
pub(super) async fn log_stats(State(stages): State<Stages>, RawQuery(query): RawQuery) -> Response {
    answer(&stages, async |id| {
        let asked = Asked::parse(query.as_deref(), &[SPAN, RECORDS, READ])?;
        stats(&stages, (RecordKind::Logs, "by_level"), &asked, id).await
    })
    .await
}

/// Answers `GET /v1/json/events/stats`.
pub(super) async fn event_stats(State(stages): State<Stages>, RawQuery(query): RawQuery) -> Response {
    answer(&stages, async |id| {
        let asked = Asked::parse(query.as_deref(), &[SPAN, RECORDS, EVENTS, READ])?;
        stats(&stages, (RecordKind::Events, "by_type"), &asked, id).await
    })
    .await
}

/// Answers `GET /v1/json/metrics`.
pub(super) async fn points(State(stages): State<Stages>, RawQuery(query): RawQuery) -> Response {
    answer(&stages, async |id| {
        let asked = Asked::parse(query.as_deref(), &[SPAN, POINTS, PAGE, READ])?;
        let (filter, paging, asking) = (asked.points()?, asked.paging()?, asked.asking(id)?);
        tables_are_there(&stages).await?;
        Ok(page(stages.query.points(&filter, (&paging, &asking)).await?))
    })
    .await
}

/// Answers `GET /v1/json/metrics/aggregations`.
pub(super) async fn buckets(State(stages): State<Stages>, RawQuery(query): RawQuery) -> Response {
    answer(&stages, async |id| {
        let asked = Asked::parse(query.as_deref(), &[SPAN, POINTS, BUCKETS, READ])?;
        let (filter, buckets, asking) = (asked.points()?, asked.buckets()?, asked.asking(id)?);
        tables_are_there(&stages).await?;
        let (rows, freshness) = stages.query.point_buckets(&filter, &buckets, &asking).await?;
        Ok((json!({ "data": rows }), freshness))
    })
    .await
}

async fn records(stages: &Stages, kind: RecordKind, asked: &Asked, id: &str) -> Result<(Value, Freshness), Failure> {
    let (filter, paging, asking) = (asked.records(kind)?, asked.paging()?, asked.asking(id)?);
    tables_are_there(stages).await?;
    Ok(page(stages.query.records(kind, &filter, (&paging, &asking)).await?))
}

async fn stats(
    stages: &Stages,
    (kind, name): (RecordKind, &str),
    asked: &Asked,
    id: &str,
) -> Result<(Value, Freshness), Failure> {
    let (filter, asking) = (asked.records(kind)?, asked.asking(id)?);
    tables_are_there(stages).await?;
    let Stats { total, by, freshness } = stages.query.record_stats(kind, &filter, &asking).await?;
    let by: Map<String, Value> = by.into_iter().map(|(word, rows)| (word, json!(rows))).collect();
    Ok((json!({ "total": total, name: by }), freshness))
}

fn page(page: Page) -> (Value, Freshness) {
    (json!({ "data": page.rows, "next_cursor": page.next_cursor }), page.freshness)
}

/// Answers a read, and counts it.
async fn answer(stages: &Stages, read: impl AsyncFnOnce(&str) -> Result<(Value, Freshness), Failure>) -> Response {
    let (began, id) = (Instant::now(), stages.request_id());
    match read(&id).await {
        Ok((told, fresh)) => {
            stages.metrics.query(began.elapsed(), Ok(()));
            let mut response = Json(told).into_response();
            freshness(response.headers_mut(), &fresh);
            if let Ok(id) = HeaderValue::from_str(&id) {
                response.headers_mut().insert("x-sql-request-id", id);
            }
            response
        }
        Err(failure) => {
            stages.metrics.query(began.elapsed(), Err(&failure));
            failure.answer(&id)
        }
    }
}
