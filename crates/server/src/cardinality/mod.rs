//! What is in the telemetry, and what it costs: the routes of the catalogue.
//!
//! Owns: `/api/v1` and `/v2`, their parameters and shapes. Every number is read from the catalogue's roll-ups (or, for
//! a watch and for buckets, from raw rows) through `tidegate_core::query`, so stored and hot rows both count.
//!
//! Invariants:
//! - What a client sends is bound as a parameter of a statement, never a part of it.
//! - Rows are grouped by their keys at each read: no number depends on whether ClickHouse has merged its parts.
//! - A number that is not exact says so, with the limit that was hit.
//! - A parameter that is not known is refused, never passed over.
//!
//! It never writes telemetry and never removes any; sessions are its only files.
//!
//! | file | holds |
//! |---|---|
//! | `arguments.rs` | query strings: known names, pages |
//! | `window.rs` | hours, and times as clients write them |
//! | `answer.rs` | a request and its answer: envelope, errors, routes |
//! | `listing.rs` | long lists, sent while they are read |
//! | `read.rs` | statements with bound parameters, their rows |
//! | `items.rs` | names of metrics, spans, severities, and what is known of each |
//! | `keys.rs` | attributes of these, with some values |
//! | `series.rs` | what a metric's series declare; buckets; estimates of series |
//! | `templates.rs` | templates of log bodies, merges resolved |
//! | `state.rs` | what this API itself remembers |
//! | `totals/` | the same from memory, where it is there |
//! | `kept.rs` | what templates have in services, kept until a row changes it |
//! | `steady.rs` | answers from tables that seldom get a row |
//! | `view.rs` | what a read is about: what is live, saved sessions, both |
//! | `shapes/` | the answers' JSON schemas |
//! | `v1/`, `v2/` | the routes |
//! | `sessions/` | what the catalogue told at some moment, kept in files |

mod answer;
mod arguments;
mod items;
mod kept;
mod keys;
mod listing;
mod read;
mod series;
mod sessions;
mod shapes;
mod state;
mod steady;
mod templates;
mod totals;
mod v1;
mod v2;
mod view;
mod window;

use axum::Router;
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::response::Response;
use tidegate_model::ErrorKind;

use crate::errors::Failure;
use crate::routes::{self, Route};
use crate::stages::Stages;

pub(crate) use answer::VIEW_HEADER;
pub(crate) use shapes::shapes;
pub use state::CardinalityState;
pub(crate) use window::{rfc3339, unix_seconds};

/// Routes both versions.
pub(crate) fn routes() -> Vec<Route> {
    [v1::routes(), sessions::routes(), v2::routes()].into_iter().flatten().collect()
}

/// Returns a router that has only these.
fn answering() -> Router<Stages> {
    routes::router(routes()).fallback(unknown).method_not_allowed_fallback(wrong_method)
}

/// Says whether a path is under these routes, whose refusals have a shape of their own.
pub(crate) fn has(path: &str) -> bool {
    ["/api/v1", "/v2"]
        .iter()
        .any(|own| path.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

/// Answers where there is no route.
pub(crate) async fn unknown(uri: Uri) -> Response {
    let message = format!("there is nothing at {}: GET /openapi.json describes the routes", uri.path());
    versioned(&uri, answer::refused(&Failure::new(ErrorKind::NotFound, message)))
}

/// Answers where a route has another method.
pub(crate) async fn wrong_method(uri: Uri) -> Response {
    let message = format!("this method is not known at {}: GET /openapi.json describes the routes", uri.path());
    versioned(&uri, answer::refused(&Failure::invalid(message).with_status(StatusCode::METHOD_NOT_ALLOWED)))
}

fn versioned(uri: &Uri, mut refusal: Response) -> Response {
    if uri.path().starts_with("/v2") {
        refusal.headers_mut().insert("api-version", HeaderValue::from_static("v2"));
    }
    refusal
}
