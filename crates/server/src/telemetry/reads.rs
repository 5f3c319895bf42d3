use std::time::Instant;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use serde::Serialize;
use serde_json::{Map, Value, json};
use tidegate_core::query::Freshness;
use tidegate_core::query::telemetry::{Page, RecordKind, Stats};
use tidegate_model::ErrorKind;

use super::asked::{Asked, BUCKETS, EVENTS, HOT, PAGE, POINTS, READ, RECORDS, RED, SPAN, SPANS};
use crate::api::{freshness, tables_are_there};
use crate::errors::Failure;
use crate::stages::Stages;

/// Answers `GET /v1/json/logs`.
pub(super) async fn logs(State(stages): State<Stages>, RawQuery(query): RawQuery) -> Response {
    answer(&stages, async |id| {
        let asked = Asked::parse(query.as_deref(), &[SPAN, RECORDS, PAGE, HOT, READ])?;
        records(&stages, RecordKind::Logs, &asked, id).await
    })
    .await
}

/// Answers `GET /v1/json/events`.
pub(super) async fn events(State(stages): State<Stages>, RawQuery(query): RawQuery) -> Response {
    answer(&stages, async |id| {
        let asked = Asked::parse(query.as_deref(), &[SPAN, RECORDS, EVENTS, PAGE, HOT, READ])?;
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
        let (rows, freshness, origin) = stages.query.point_buckets(&filter, &buckets, &asking).await?;
        Ok((json!({ "data": rows, "from": origin.as_str() }), freshness))
    })
    .await
}

/// Answers `GET /v1/json/spans/red`.
pub(super) async fn red(State(stages): State<Stages>, RawQuery(query): RawQuery) -> Response {
    answer(&stages, async |id| {
        let asked = Asked::parse(query.as_deref(), &[SPAN, SPANS, RED, READ])?;
        let (filter, buckets, asking) = (asked.spans()?, asked.red()?, asked.asking(id)?);
        tables_are_there(&stages).await?;
        let (rows, freshness, origin) = stages.query.red(&filter, &buckets, &asking).await?;
        Ok((json!({ "data": rows, "from": origin.as_str() }), freshness))
    })
    .await
}

async fn records(stages: &Stages, kind: RecordKind, asked: &Asked, id: &str) -> Result<(Value, Freshness), Failure> {
    let (filter, paging, asking) = (asked.records(kind)?, asked.paging()?, asked.asking(id)?);
    if asked.hot_only()? {
        let page = stages.query.hot_records(kind, &filter, &paging).await?;
        let said = json!({ "above": page.above, "left_out": page.left_out });
        return Ok((json!({ "data": page.rows, "next_cursor": null, "hot_only": said }), page.freshness));
    }
    tables_are_there(stages).await.map_err(while_away)?;
    let found = stages.query.records(kind, &filter, (&paging, &asking)).await;
    Ok(page(found.map_err(|error| while_away(error.into()))?))
}

/// Says what can be read without ClickHouse: never in the place of what was asked for.
fn while_away(failure: Failure) -> Failure {
    if failure.kind != ErrorKind::Unavailable {
        return failure;
    }
    failure.with_hint("read again in a moment; `hot_only=true` tells the rows that ClickHouse does not have yet")
}

async fn stats(
    stages: &Stages,
    (kind, name): (RecordKind, &str),
    asked: &Asked,
    id: &str,
) -> Result<(Value, Freshness), Failure> {
    let (filter, asking) = (asked.records(kind)?, asked.asking(id)?);
    tables_are_there(stages).await?;
    let Stats { total, by, origin, freshness } = stages.query.record_stats(kind, &filter, &asking).await?;
    let by: Map<String, Value> = by.into_iter().map(|(word, rows)| (word, json!(rows))).collect();
    Ok((json!({ "total": total, name: by, "from": origin.as_str() }), freshness))
}

fn page(page: Page) -> (Value, Freshness) {
    (json!({ "data": page.rows, "next_cursor": page.next_cursor }), page.freshness)
}

/// Answers a read, and counts it.
pub(super) async fn answer<T: Serialize>(
    stages: &Stages,
    read: impl AsyncFnOnce(&str) -> Result<(T, Freshness), Failure>,
) -> Response {
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
