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
//! | `read.rs` | statements with bound parameters, their rows |
//! | `items.rs` | names of metrics, spans, severities, and what is known of each |
//! | `keys.rs` | attributes of these, with some values |
//! | `series.rs` | what a metric's series declare; buckets; estimates of series |
//! | `templates.rs` | templates of log bodies, merges resolved |
//! | `state.rs` | what this API itself remembers |
//! | `v1/`, `v2/` | the routes |
//! | `sessions/` | what the catalogue told at some moment, kept in files |

mod answer;
mod arguments;
mod items;
mod keys;
mod read;
mod series;
mod sessions;
mod state;
mod templates;
mod v1;
mod v2;
mod window;

use axum::Router;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use tidegate_model::ErrorKind;

use crate::errors::Failure;
use crate::stages::Stages;

pub use state::CardinalityState;

/// Routes both versions.
pub(crate) fn router() -> Router<Stages> {
    Router::new()
        .nest("/api/v1", told_in_text(v1::router().merge(sessions::router())))
        .nest("/v2", v2::versioned(told_in_text(v2::router())))
}

/// Gives the failures of routing itself the same shape as all others.
fn told_in_text(router: Router<Stages>) -> Router<Stages> {
    let unknown = async |uri: Uri| -> Response {
        let message = format!("there is nothing at {}: docs/cardinality-api.md lists the routes", uri.path());
        answer::refused(&Failure::new(ErrorKind::NotFound, message))
    };
    let wrong_method = async |uri: Uri| -> Response {
        let message = format!("this method is not known at {}: docs/cardinality-api.md lists the routes", uri.path());
        answer::refused(&Failure::invalid(message).with_status(StatusCode::METHOD_NOT_ALLOWED))
    };
    router.fallback(unknown).method_not_allowed_fallback(wrong_method)
}
