use axum::extract::{Path, RawQuery, Request, State};
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_core::ingest::rows::Mended;
use tidegate_model::ErrorKind;
use tidegate_model::limits::REQUEST_BYTES_MAX;

use super::history::answered;
use super::{GONE, PAGE, TABLE, Want, check, failed, limit, parameters, text};
use crate::api::actor;
use crate::body;
use crate::cardinality::rfc3339;
use crate::errors::Failure;
use crate::stages::Stages;

/// Which rows are sent again.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// Those that are sent as they are.
    #[serde(default)]
    ids: Vec<i64>,
    /// Those that were mended.
    #[serde(default)]
    rows: Vec<AskedRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AskedRow {
    id: i64,
    row: Value,
}

/// Answers `GET /datasets/{slug}/quarantine`.
pub(super) async fn list(
    State(stages): State<Stages>,
    Path(slug): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let told = async {
        check(&stages.access, &headers, Want::Read, stages.catalog.record(&slug).as_ref())?;
        let given = parameters(query.as_deref(), &[PAGE, TABLE])?;
        let limit = u32::try_from(limit(&given)?).unwrap_or(u32::MAX);
        let after = text(&given, "cursor").map(|cursor| {
            cursor.parse().map_err(|_| Failure::invalid(format!("cursor: `{cursor}` is none that an answer gave")))
        });
        let after = after.transpose()?.unwrap_or(0);
        let held = stages.catalog.held(&slug, text(&given, "tableName"), after, limit).await;
        let held = held.map_err(|error| failed(&error))?;
        let total = stages.catalog.held_count(&slug).await.map_err(|error| failed(&error))?;
        let is_full = held.len() == limit as usize;
        let next = held.last().filter(|_| is_full).map(|row| row.id.to_string());
        let rows = held.into_iter().map(|row| {
            json!({
                "id": row.id,
                "tableName": row.label,
                "at": rfc3339(row.at.0),
                "index": row.index,
                "reason": row.reason,
                "detail": row.detail,
                "partition": serde_json::from_str::<Value>(&row.partition).unwrap_or_default(),
                "row": row.row,
                "actor": row.actor,
            })
        });
        Ok::<_, Failure>(json!({ "rows": rows.collect::<Vec<_>>(), "total": total, "nextCursor": next }))
    };
    answered(&stages, told.await)
}

/// Answers `POST /datasets/{slug}/quarantine/replay`.
pub(super) async fn replay(State(stages): State<Stages>, Path(slug): Path<String>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let told = async {
        check(&stages.access, &parts.headers, Want::Write, stages.catalog.record(&slug).as_ref())?;
        let body = body::read(&parts.headers, body, REQUEST_BYTES_MAX, stages.body_idle).await?;
        let asked: Asked = serde_json::from_slice(&body).map_err(|error| {
            Failure::invalid(format!("the JSON body cannot be read ({error})"))
                .with_hint("send {\"ids\":[1,2],\"rows\":[{\"id\":3,\"row\":{…}}]}")
        })?;
        let as_they_are = asked.ids.into_iter().map(|id| Mended { id, row: None });
        let mended = asked.rows.into_iter().map(|row| Mended { id: row.id, row: Some(written(&row.row)) });
        let wanted: Vec<_> = as_they_are.chain(mended).collect();
        let who = actor(&parts.headers).unwrap_or_default();
        let replayed = stages.ingest.replay(&slug, &wanted, &who).await?;
        let refused = replayed.refused.iter();
        let refused =
            refused.map(|(id, reason, detail)| json!({ "id": id, "reason": reason.as_str(), "detail": detail }));
        Ok::<_, Failure>(json!({
            "taken": replayed.taken,
            "refused": refused.collect::<Vec<_>>(),
            "missing": replayed.missing,
        }))
    };
    answered(&stages, told.await)
}

/// A mended row may be told as text, so that no digit of it is lost on the way.
fn written(row: &Value) -> String {
    row.as_str().map_or_else(|| row.to_string(), str::to_owned)
}

/// Answers `DELETE /datasets/{slug}/quarantine/{row}`.
pub(super) async fn discard(
    State(stages): State<Stages>,
    Path((slug, row)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let outcome = async {
        check(&stages.access, &headers, Want::Write, stages.catalog.record(&slug).as_ref())?;
        let wrong = || Failure::invalid(format!("`{row}` is not the number of a row"));
        let id = row.parse::<i64>().map_err(|_| wrong())?;
        let discarded = stages.ingest.discard(&slug, &[id], &actor(&headers).unwrap_or_default()).await?;
        let missing = || Failure::new(ErrorKind::NotFound, format!("no row {row} of `{slug}` is in quarantine"));
        if discarded == 0 { Err(missing()) } else { Ok(()) }
    };
    match outcome.await {
        Ok(()) => GONE.into_response(),
        Err(failure) => failure.answer(&stages.request_id()),
    }
}
