use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use tidegate_core::store::EngineState;
use tidegate_model::limits::READY_PING_MS;

use crate::errors::{Failure, chain};
use crate::migrations;
use crate::stages::{SchemaState, Stages};

/// Answers `GET /health`: the process lives; how its parts are.
pub(crate) async fn health(State(stages): State<Stages>) -> Json<Value> {
    let addresses = stages.addresses.iter().map(|(name, address)| json!({ "name": name, "address": address }));
    Json(json!({
        "status": "ok",
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_seconds": stages.clock.monotonic().as_secs(),
        "listen": addresses.collect::<Vec<_>>(),
        "writes": writes(&stages),
        "engine": engine(&stages).await,
        "schema": schema(&stages),
        "tracing": crate::tracing::health(&stages),
        "mirrors": migrations::healths(&stages),
        "freshness": stages.replica.look(&stages.buffer).told(),
        "backups": stages.backups.as_ref().map(crate::backups::BackupOffice::told),
        "lifecycle": stages.lifecycle.state().told(),
    }))
}

/// Answers `GET /ready`: 200 only when a write would be acknowledged.
///
/// The engine is told of and does not count: without it writes are acknowledged all the same. So is the PostgreSQL of the
/// tracing API: most rows have nothing to do with it.
pub(super) async fn ready(State(stages): State<Stages>) -> Response {
    let writes = writes(&stages);
    let is_ready = writes["ready"] == true;
    let not_ready: &[&str] = if is_ready { &[] } else { &["writes"] };
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let told = json!({
        "ready": is_ready,
        "not_ready": not_ready,
        "writes": writes,
        "engine": engine(&stages).await,
        "schema": schema(&stages),
        "tracing": crate::tracing::health(&stages),
    });
    (status, Json(told)).into_response()
}

/// Answers `GET /metrics`.
pub(super) async fn metrics(State(stages): State<Stages>) -> Response {
    match stages.metrics.text(&stages) {
        Ok(text) => {
            let form = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
            ([(header::CONTENT_TYPE, form)], text).into_response()
        }
        Err(error) => Failure::of(tidegate_model::ErrorKind::Internal, &error).answer(&stages.request_id()),
    }
}

fn writes(stages: &Stages) -> Value {
    match stages.buffer.refusal() {
        None => json!({ "ready": true }),
        Some(refusal) => json!({ "ready": false, "why": chain(&refusal) }),
    }
}

async fn engine(stages: &Stages) -> Value {
    let Some(engine) = &stages.engine else { return remote(stages).await };
    let status = engine.borrow().clone();
    let (state, why) = match status.state {
        EngineState::Starting => ("starting", None),
        EngineState::Ready => ("ready", None),
        EngineState::Down { reason } => ("down", Some(reason)),
        EngineState::Stopped => ("stopped", None),
    };
    json!({
        "state": state,
        "ready": state == "ready",
        "why": why,
        "pid": status.pid,
        "restarts": status.restarts,
        "version": status.version,
    })
}

/// Asks a server elsewhere for a sign of life.
async fn remote(stages: &Stages) -> Value {
    let limit = Duration::from_millis(READY_PING_MS);
    let why = match tokio::time::timeout(limit, stages.query.store.ping()).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(chain(&error)),
        Err(_) => Some(format!("no answer within {limit:?}")),
    };
    json!({ "state": "remote", "ready": why.is_none(), "why": why })
}

fn schema(stages: &Stages) -> Value {
    match &*stages.schema.borrow() {
        SchemaState::Waiting => json!({ "state": "waiting" }),
        SchemaState::Current => json!({ "state": "current" }),
        SchemaState::Failed(why) => json!({ "state": "failed", "why": why }),
    }
}
