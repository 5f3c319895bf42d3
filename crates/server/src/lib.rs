//! The doors of Tidegate: OTLP over gRPC and HTTP, the main API, health, metrics, the web page.
//!
//! It owns listeners, framing, limits of connections and bodies, and the one mapping of error kinds to HTTP and gRPC.
//!
//! Invariants:
//! - A success is sent after the stage has acknowledged, never before.
//! - An answer that fails on its way ends with a broken connection, never with a shorter success.
//! - Internals stay in the log; a client is told what, where and what to do.
//!
//! It never decodes rows, and never decides what is durable.
//!
//! | file | holds |
//! |---|---|
//! | `stages.rs` | [`Stages`]: what the doors open to |
//! | `listen.rs` | [`serve`]: accept loops, connection limits, graceful stop |
//! | `connection.rs` | one accepted connection |
//! | `body.rs` | a request's body, read with a cap and a time-out |
//! | `errors.rs` | [`Failure`]: error kinds as HTTP and gRPC |
//! | `freshness.rs` | how far ClickHouse is behind, and the alarm |
//! | `metrics.rs` | the closed list of metrics |
//! | `copies.rs` | those of exports and backups |
//! | `self_metrics.rs` | the same metrics as an OTLP request |
//! | `otlp/` | OTLP/gRPC and OTLP/HTTP |
//! | `api/` | the main API |
//! | `datasets/` | datasets: made, changed, archived; their schemas, audit log and refused rows |
//! | `lifecycle/` | how long rows stay and where: policies, runs, the alarm |
//! | `exports/` | exports of tables to files, their schedule and webhook |
//! | `migrations/` | moves from older engines: what is taken, the freeze, the switch, the mirror |
//! | `routes/` | the routes as a table, and the OpenAPI document that is made from it |
//! | `prometheus/` | Prometheus' HTTP API: PromQL, series and labels, remote write |
//! | `backups/` | backups: taken and listed, by schedule too, and restored on trial |
//! | `timestore/` | datasets: manifests, queries, saved SQL |
//! | `telemetry/` | logs, metrics and events as plain JSON: in, out, and followed |
//! | `tracing/` | the tracing API for AI applications |
//! | `cardinality/` | what is in the telemetry and what it costs: `/api/v1`, `/v2` |

mod alerts;
mod api;
mod backups;
mod body;
mod cardinality;
mod connection;
mod copies;
mod datasets;
mod errors;
mod exports;
mod freshness;
mod lifecycle;
mod listen;
mod metrics;
mod migrations;
mod otlp;
mod prometheus;
mod routes;
mod self_metrics;
mod stages;
mod telemetry;
mod timestore;
mod tracing;
mod webhook;

pub use alerts::{AlertOptions, Alerts, MailOptions, Receiver, To, default_alert_rules, run_alerts};
pub use api::LargeBodies;
pub use api::sql_parameters::{SqlParameters, parse as parse_sql_parameters};
pub use backups::{BackupOffice, BackupPlan, DrillAsked, DrillProof, run_backups};
pub use cardinality::CardinalityState;
pub use datasets::Access;
pub use errors::Failure;
pub use exports::{ExportOptions, Exports, run_exports};
pub use freshness::{ReplicaWatch, watch_replica};
pub use lifecycle::{Lifecycle, run_lifecycle};
pub use listen::{Listeners, ServerOptions, serve};
pub use metrics::Metrics;
pub use migrations::{Mirrors, run_mirrors};
pub use self_metrics::metrics_request;
pub use stages::{SchemaState, Stages};
pub use tracing::{Follow, Tracing, TracingChoice, TracingMode, TracingReads, watch_primary};
pub use webhook::{Webhook, signature as hmac_sha256};
