use axum::Json;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete as deleting, get as getting, put as putting};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_core::catalog::SavedSql;
use tidegate_model::ErrorKind;
use tidegate_model::limits::{
    QUERY_SQL_BYTES_MAX, SAVED_SQL_ID_BYTES_MAX, SAVED_SQL_LABEL_BYTES_MAX, SAVED_SQL_STATS_BYTES_MAX,
    SQL_BODY_BYTES_MAX,
};

use crate::body;
use crate::datasets::{Want, check};
use crate::errors::Failure;
use crate::routes::{Gives, Route, Sends, delete, get, put};
use crate::stages::Stages;

/// The headers that say who asks, the surest first.
const ACTORS: [&str; 3] = ["x-iam-user", "x-user-id", "x-actor-id"];

/// The routes of saved SQL.
pub(super) fn routes() -> Vec<Route> {
    const ONE: &str = "/sql/saved/{id}";
    let kept = put(ONE, "Saves a statement under an id, or changes it")
        .sends(Sends::Json("SavedSqlAsked"))
        .gives(&[(200, Gives::One("SavedSqlOne")), (201, Gives::One("SavedSqlOne"))]);
    vec![
        get("/sql/saved", "Lists saved statements, the last changed first")
            .gives(&[(200, Gives::One("SavedSqlList"))])
            .by(getting(list)),
        get(ONE, "Tells one saved statement")
            .gives(&[(200, Gives::One("SavedSqlOne"))])
            .refuses(&[401, 403, 404])
            .by(getting(one)),
        kept.refuses(&[401, 403, 408, 413, 429]).by(putting(keep)),
        delete(ONE, "Forgets a saved statement")
            .gives(&[(204, Gives::Nothing)])
            .refuses(&[401, 403, 404])
            .by(deleting(forget)),
    ]
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    statement: String,
    label: Option<String>,
    /// What a client remembers of its last run.
    stats: Option<Value>,
}

async fn list(State(stages): State<Stages>, headers: HeaderMap) -> Response {
    if let Err(failure) = check(&stages.access, &headers, Want::Read, None) {
        return failure.answer(&stages.request_id());
    }
    match stages.catalog.saved_sql().await {
        Ok(all) => Json(json!({ "savedQueries": all.iter().map(told).collect::<Vec<_>>() })).into_response(),
        Err(error) => Failure::of(error.kind(), &error).answer(&stages.request_id()),
    }
}

async fn one(State(stages): State<Stages>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    if let Err(failure) = check(&stages.access, &headers, Want::Read, None) {
        return failure.answer(&stages.request_id());
    }
    match stages.catalog.saved_sql_of(&id).await {
        Ok(Some(saved)) => Json(json!({ "savedQuery": told(&saved) })).into_response(),
        Ok(None) => unknown(&id).answer(&stages.request_id()),
        Err(error) => Failure::of(error.kind(), &error).answer(&stages.request_id()),
    }
}

async fn keep(State(stages): State<Stages>, Path(id): Path<String>, request: Request) -> Response {
    match kept(&stages, id, request).await {
        Ok((saved, is_new)) => {
            let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
            (status, Json(json!({ "savedQuery": told(&saved) }))).into_response()
        }
        Err(failure) => failure.answer(&stages.request_id()),
    }
}

async fn kept(stages: &Stages, id: String, request: Request) -> Result<(SavedSql, bool), Failure> {
    let (parts, body) = request.into_parts();
    check(&stages.access, &parts.headers, Want::Write, None)?;
    let body = body::read(&parts.headers, body, SQL_BODY_BYTES_MAX, stages.body_idle).await?;
    let asked: Asked = body::json(&body, r#"send {"statement":"SELECT …","label":…}"#)?;
    let is_plain = !id.is_empty() && id.len() <= SAVED_SQL_ID_BYTES_MAX && !id.chars().any(char::is_control);
    if !is_plain {
        return Err(Failure::invalid(format!("an id has 1 to {SAVED_SQL_ID_BYTES_MAX} bytes of plain text")));
    }
    if asked.statement.trim().is_empty() {
        return Err(Failure::invalid("`statement` is empty: give the SQL that is to be saved"));
    }
    let stats = asked.stats.map(|stats| stats.to_string());
    let too_long = [
        ("statement", asked.statement.len(), QUERY_SQL_BYTES_MAX),
        ("label", asked.label.as_ref().map_or(0, String::len), SAVED_SQL_LABEL_BYTES_MAX),
        ("stats", stats.as_ref().map_or(0, String::len), SAVED_SQL_STATS_BYTES_MAX),
    ];
    if let Some((name, _, most)) = too_long.into_iter().find(|(_, bytes, most)| bytes > most) {
        let failure = Failure::invalid(format!("`{name}` is longer than {most} bytes"));
        return Err(failure.with_status(StatusCode::PAYLOAD_TOO_LARGE));
    }
    let now = stages.clock.now();
    let saved = SavedSql {
        id,
        statement: asked.statement,
        label: asked.label,
        stats,
        created_by: actor(&parts.headers),
        created_at: now,
        updated_at: now,
    };
    stages.catalog.save_sql(&saved).await.map_err(|error| Failure::of(error.kind(), &error))
}

async fn forget(State(stages): State<Stages>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    if let Err(failure) = check(&stages.access, &headers, Want::Write, None) {
        return failure.answer(&stages.request_id());
    }
    match stages.catalog.forget_sql(&id).await {
        Ok(true) => StatusCode::NO_CONTENT.into_response(),
        Ok(false) => unknown(&id).answer(&stages.request_id()),
        Err(error) => Failure::of(error.kind(), &error).answer(&stages.request_id()),
    }
}

fn unknown(id: &str) -> Failure {
    Failure::new(ErrorKind::NotFound, format!("no statement is saved as `{id}`")).with_hint("GET /sql/saved lists them")
}

fn actor(headers: &HeaderMap) -> Option<String> {
    ACTORS.into_iter().find_map(|name| headers.get(name)?.to_str().ok().map(str::to_owned))
}

fn told(saved: &SavedSql) -> Value {
    json!({
        "id": saved.id,
        "statement": saved.statement,
        "label": saved.label,
        "stats": saved.stats.as_ref().and_then(|stats| serde_json::from_str::<Value>(stats).ok()),
        "createdBy": saved.created_by,
        "createdAt": saved.created_at.to_string(),
        "updatedAt": saved.updated_at.to_string(),
    })
}
