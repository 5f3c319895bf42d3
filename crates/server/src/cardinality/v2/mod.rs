//! `/v2/*`: the same catalogue across signals and over time, what dropping would save, and how the engine is.
//!
//! | file | answers |
//! |---|---|
//! | `metrics.rs` | `metrics`: the cardinality of each label |
//! | `keys.rs` | `cardinality`, `cardinality/{key}` in buckets of hours |
//! | `what_if.rs` | `cardinality/{key}/what-if` |
//! | `patterns.rs` | `logs/patterns`, `logs/patterns/similar` |
//! | `distance.rs` | how near two templates are |
//! | `stats.rs` | `stats`, `stats/tables` |
//! | `batch.rs` | `query/batch` |

mod batch;
mod distance;
mod keys;
mod metrics;
mod patterns;
mod stats;
mod what_if;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::MethodFilter;
use http::{HeaderValue, header};

use super::answer::{BODY_BYTES_MAX, Door, door, reads};
use super::arguments::{PAGING, WINDOW};
use crate::stages::Stages;

/// What clients of this version may ask for; plain JSON is what everyone else gets.
const MEDIA_TYPE: &str = "application/vnd.otlp.v2+json";

/// Routes `/v2`.
pub(super) fn router() -> Router<Stages> {
    let batch = Door { method: MethodFilter::POST, known: &[], body_bytes_max: BODY_BYTES_MAX };
    Router::new()
        .route("/metrics", reads(&[&["service", "min_complexity"], &PAGING, &WINDOW], metrics::all))
        .route("/cardinality", reads(&[&["signal_type", "service", "min_cardinality"], &PAGING, &WINDOW], keys::all))
        .route("/cardinality/{key}", reads(&[&["signal_type", "service", "period"], &WINDOW], keys::one))
        .route(
            "/cardinality/{key}/what-if",
            reads(&[&["signal_type", "service", "scope", "values"], &WINDOW], what_if::told),
        )
        .route("/logs/patterns", reads(&[&["min_services", "min_count", "service"], &PAGING, &WINDOW], patterns::all))
        .route("/logs/patterns/similar", reads(&[&["template", "limit"], &WINDOW], patterns::similar))
        .route("/stats", reads(&[], stats::queries))
        .route("/stats/tables", reads(&[], stats::tables))
        .route("/query/batch", door(batch, batch::run))
}

/// Names the version, and the media type where it was asked for.
pub(super) fn versioned(router: Router<Stages>) -> Router<Stages> {
    router.layer(from_fn(async |request: Request, next: Next| -> Response {
        let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let own_type = accept.contains(MEDIA_TYPE);
        let mut response = next.run(request).await;
        response.headers_mut().insert("api-version", HeaderValue::from_static("v2"));
        if own_type {
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        }
        response
    }))
}
