//! ingest: requests become checked rows, and are acknowledged once the buffer has them.
//!
//! Invariant: a bad row never sinks its request; it is refused with its index and a reason, and counted.
//!
//! | file | holds |
//! |---|---|
//! | `rejection.rs` | [`Rejection`], [`Reason`]: refused rows as a value |
//! | `service.rs` | [`Ingest`]: a request comes in, its rows are durable, an answer goes out |
//! | `answer.rs` | what a request was told, for its retries |
//! | `quota.rs` | how much may come into each dataset |
//! | `registry.rs` | which series have their row |
//! | `inflate.rs` | gzip and zstd, with a cap |
//! | `otlp/` | OTLP protobuf, walked into columns |
//! | `mining.rs` | the template of each log record |
//! | `events.rs` | which log records are events |
//! | `columns/` | column vectors that become Arrow arrays |
//! | `json/` | OTLP JSON, turned into OTLP protobuf |
//! | `plain/` | plain JSON entries of logs, metrics and events, turned into OTLP protobuf |
//! | `remote_write.rs` | Prometheus' remote write, turned into OTLP protobuf |
//! | `rows/` | rows of datasets: JSON, NDJSON, Arrow, and files |
//! | `wire/` | the protobuf wire format: reader and writer |

pub mod inflate;
pub mod json;
pub mod otlp;
pub mod plain;
pub mod rows;
pub mod wire;

mod answer;
mod columns;
pub(crate) mod events;
mod mining;
mod quota;
mod registry;
mod rejection;
pub mod remote_write;
mod service;

#[cfg(test)]
mod tests;

pub use quota::{OverQuota, Payer, Quota, Quotas};
pub use rejection::{Reason, Rejection, Rejections};
pub use service::{Admitted, Encoding, Ingest, IngestError, OtlpRequest};
