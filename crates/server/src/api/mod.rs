//! The main API: SQL, the ledger, datasets, health, metrics, and the page that shows them.
//!
//! | file | holds |
//! |---|---|
//! | `sql.rs` | `/sql/read` |
//! | `sql_parameters.rs` | its parameters, read without any I/O |
//! | `ledger.rs` | `/ledger`, `/verify`, `/datasets` |
//! | `rows.rs` | `/datasets/{slug}/ingest` |
//! | `health.rs` | `/health`, `/ready`, `/metrics` |

mod health;
mod ledger;
mod rows;
mod sql;
pub(crate) mod sql_parameters;

pub(crate) use sql::tables_are_there;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{Html, Response};
use axum::routing::{get, post};
use tidegate_model::ErrorKind;

use crate::cardinality;
use crate::errors::Failure;
use crate::stages::Stages;

/// The web page, with nothing from elsewhere.
const PAGE: &str = include_str!("../../../../ui/index.html");

/// Routes the main API.
pub(crate) fn router(stages: Stages) -> Router {
    Router::new()
        .route("/", get(|| async { Html(PAGE) }))
        .route("/sql/read", get(sql::read).post(sql::read))
        .route("/ledger", get(ledger::ledger))
        .route("/verify", post(ledger::verify))
        .route("/datasets", get(ledger::datasets))
        .route("/datasets/{slug}/ingest", post(rows::ingest))
        .route("/health", get(health::health))
        .route("/ready", get(health::ready))
        .route("/metrics", get(health::metrics))
        .merge(cardinality::router())
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .with_state(stages)
}

async fn unknown(State(stages): State<Stages>, uri: Uri) -> Response {
    Failure::new(ErrorKind::NotFound, format!("there is nothing at {}", uri.path()))
        .with_hint("the API is at /sql/read, /ledger, /verify, /datasets, /health, /ready, /metrics, /api/v1 and /v2; OTLP has ports of its own")
        .answer(&stages.request_id())
}

async fn wrong_method(State(stages): State<Stages>, uri: Uri) -> Response {
    Failure::invalid(format!("this method is not known at {}", uri.path()))
        .with_status(StatusCode::METHOD_NOT_ALLOWED)
        .with_hint("read with GET, ask for SQL with GET or POST")
        .answer(&stages.request_id())
}
