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

pub(super) use metrics::Labels;

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use http::{HeaderValue, header};

use super::answer::asked;
use super::arguments::{PAGING, SCOPE, SERVICE, SIGNAL, VIEW, WINDOW};
use crate::routes::{Gives, Kind, Param, Route, Sends, get, post};

/// What clients of this version may ask for; plain JSON is what everyone else gets.
const MEDIA_TYPE: &str = "application/vnd.otlp.v2+json";

const SCORE: &[Param] = &[Param::number("min_complexity", 0, u64::MAX, "only metrics with at least this score")];
const LEAST: &[Param] =
    &[Param::number("min_cardinality", 0, u64::MAX, "only keys with at least so many distinct values")];
const PERIOD: &[Param] = &[Param::text("period", "the width of a bucket in hours or days: 1h (the default), 6h, 1d")];
const VALUES: &[Param] = &[Param::text("values", "only attributes with one of these values, with commas between")];
const SPREAD: &[Param] = &[
    Param::number("min_services", 1, u64::MAX, "only templates of at least so many services"),
    Param::number("min_count", 1, u64::MAX, "only templates of at least so many records"),
];
const SIMILAR: &[Param] = &[
    Param { name: "template", kind: Kind::Needed, about: "the text that others are compared with" },
    Param::number("limit", 100, 10_000, "items; 0 for all"),
];

/// Routes `/v2`.
pub(super) fn routes() -> Vec<Route> {
    let reads = |path, about| get(path, about).refuses(&[404, 429, 501, 504]);
    let metrics = reads("/v2/metrics", "Lists metrics with the cardinality of each label, the highest score first");
    let keys = reads("/v2/cardinality", "Lists keys over all signals, the highest cardinality first");
    let key = reads("/v2/cardinality/{key}", "Tells of one key, and the same by hours");
    let what_if = reads("/v2/cardinality/{key}/what-if", "Tells what a key costs, and what is saved without it");
    let patterns = reads("/v2/logs/patterns", "Lists templates and the services that they come from");
    let similar = reads("/v2/logs/patterns/similar", "Lists templates near a text");
    let stats = reads("/v2/stats", "Tells what ClickHouse has done");
    let tables = reads("/v2/stats/tables", "Tells rows and bytes of each table");
    let batch = post("/v2/query/batch", "Asks several routes at once").sends(Sends::Json("Batch"));
    vec![
        asked(
            metrics.takes(&[SCORE, SERVICE, PAGING, VIEW]).gives(&[(200, Gives::Page("LabelCardinality"))]),
            metrics::all,
        ),
        asked(
            keys.takes(&[LEAST, SIGNAL, SERVICE, PAGING, VIEW]).gives(&[(200, Gives::Page("KeyCardinality"))]),
            keys::all,
        ),
        asked(key.takes(&[PERIOD, SIGNAL, SERVICE, VIEW]).gives(&[(200, Gives::One("KeyByHours"))]), keys::one),
        asked(
            what_if.takes(&[VALUES, SIGNAL, SCOPE, SERVICE, WINDOW]).gives(&[(200, Gives::One("WhatIf"))]),
            what_if::told,
        ),
        asked(
            patterns.takes(&[SPREAD, SERVICE, PAGING, VIEW]).gives(&[(200, Gives::Page("SpreadPattern"))]),
            patterns::all,
        ),
        asked(similar.takes(&[SIMILAR, VIEW]).gives(&[(200, Gives::One("SimilarPatterns"))]), patterns::similar),
        asked(stats.gives(&[(200, Gives::One("Stats"))]), stats::queries),
        asked(tables.gives(&[(200, Gives::One("TableStats"))]), stats::tables),
        asked(batch.gives(&[(200, Gives::One("BatchAnswers"))]), batch::run),
    ]
    .into_iter()
    .map(versioned)
    .collect()
}

/// Names the version, and the media type where it was asked for.
fn versioned(route: Route) -> Route {
    route.layered(|handler| handler.layer(from_fn(name_version)))
}

/// Adds to an answer which version it is of.
pub(super) async fn name_version(request: Request, next: Next) -> Response {
    let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let own_type = accept.contains(MEDIA_TYPE);
    let mut response = next.run(request).await;
    response.headers_mut().insert("api-version", HeaderValue::from_static("v2"));
    if own_type {
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    }
    response
}
