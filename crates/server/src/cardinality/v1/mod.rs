//! `/api/v1/*`: what existing clients of a cardinality checker ask for, by the names that they know.
//!
//! | file | answers |
//! |---|---|
//! | `metrics.rs` | `metrics`, `metrics/{name}` |
//! | `spans.rs` | `spans`, `spans/{name}`, `span-patterns` |
//! | `logs.rs` | `logs`, `logs/{severity}`, `logs/by-service`, `logs/service/…` |
//! | `patterns.rs` | `logs/patterns`, `logs/patterns/{severity}/{template}` |
//! | `events.rs` | `logs/patterns/events` |
//! | `services.rs` | `services`, `services/{name}/…`, `summary` |
//! | `attributes.rs` | `attributes`, `attributes/{key}`, `…/services`, `…/telemetry` |
//! | `watch.rs` | `attributes/{key}/watch` |
//! | `ranking.rs` | `cardinality/high`, `cardinality/complexity` |
//! | `system.rs` | `health`, `version`, `admin/clear` |

pub(super) mod attributes;
mod events;
mod logs;
mod metrics;
pub(super) mod patterns;
mod ranking;
mod services;
mod spans;
mod system;
mod watch;

use axum::Router;
use axum::routing::MethodFilter;

use super::answer::{BODY_BYTES_MAX, Door, door, reads};
use super::arguments::{PAGING, WINDOW};
use crate::stages::Stages;

const SERVICE: &[&str] = &["service"];
const SORTING: &[&str] = &["sort_by", "sort_order", "sort_direction"];
const PAGE_NUMBERS: &[&str] = &["page", "page_size"];
const ATTRIBUTES: &[&str] = &["signal_type", "scope", "min_cardinality", "max_cardinality"];
const PATTERNS: &[&str] = &["minCount", "minServices", "min_count", "min_services"];
const EVENTS: &[&str] = &["kind", "hours", "min_hours", "min_count", "min_factor", "min_score"];
const RANKING: &[&str] = &["threshold", "limit", "signal_type"];

/// Routes `/api/v1`.
pub(super) fn router() -> Router<Stages> {
    let begin = Door { method: MethodFilter::POST, known: &[], body_bytes_max: BODY_BYTES_MAX };
    let end = Door { method: MethodFilter::DELETE, ..begin };
    let watch = reads(&[SORTING, PAGE_NUMBERS, &["q"]], watch::show);
    Router::new()
        .route("/health", reads(&[], system::health))
        .route("/version", reads(&[], system::version))
        .route("/admin/clear", door(begin, system::clear))
        .route("/summary", reads(&[SERVICE, &WINDOW], services::summary))
        .route("/metrics", reads(&[SERVICE, &PAGING, &WINDOW], metrics::all))
        .route("/metrics/{*name}", reads(&[SERVICE, &WINDOW], metrics::one))
        .route("/spans", reads(&[SERVICE, &PAGING, &WINDOW], spans::all))
        .route("/spans/{*name}", reads(&[SERVICE, &WINDOW], spans::one))
        .route("/span-patterns", reads(&[SERVICE, &WINDOW], spans::patterns))
        .route("/logs", reads(&[SERVICE, &PAGING, &WINDOW], logs::all))
        .route("/logs/{severity}", reads(&[SERVICE, &WINDOW], logs::one))
        .route("/logs/by-service", reads(&[SERVICE, &PAGING, &WINDOW], logs::by_service))
        .route("/logs/service/{service}/severity/{severity}", reads(&[&WINDOW], logs::of_service))
        .route("/logs/patterns", reads(&[PATTERNS, SERVICE, &PAGING, &WINDOW], patterns::all))
        .route("/logs/patterns/events", reads(&[EVENTS, SERVICE, &PAGING, &WINDOW], events::all))
        .route("/logs/patterns/{severity}/{*template}", reads(&[SERVICE, &WINDOW], patterns::one))
        .route("/services", reads(&[&PAGING, &WINDOW], services::all))
        .route("/services/{name}/overview", reads(&[&PAGING, &WINDOW], services::overview))
        .route("/services/{name}/attributes", reads(&[&WINDOW], services::keys))
        .route("/cardinality/high", reads(&[RANKING, SERVICE, &WINDOW], ranking::high))
        .route("/cardinality/complexity", reads(&[RANKING, SERVICE, &WINDOW], ranking::complexity))
        .route("/attributes", reads(&[ATTRIBUTES, SORTING, SERVICE, &PAGING, PAGE_NUMBERS, &WINDOW], attributes::all))
        .route("/attributes/{key}", reads(&[SERVICE, &WINDOW], attributes::one))
        .route("/attributes/{key}/services", reads(&[&WINDOW], attributes::services))
        .route("/attributes/{key}/telemetry", reads(&[SERVICE, &WINDOW], attributes::telemetry))
        .route("/attributes/{key}/watch", watch.merge(door(begin, watch::begin)).merge(door(end, watch::end)))
}
