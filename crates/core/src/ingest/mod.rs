//! ingest: requests become checked rows, and are acknowledged once the buffer has them.
//!
//! Invariant: a bad row never sinks its request; it is refused with its index and a reason, and counted.
//!
//! | file | holds |
//! |---|---|
//! | `rejection.rs` | [`Rejection`], [`Reason`]: refused rows as a value |
//! | `wire/` | the protobuf wire format: reader and writer |
//! | `json/` | OTLP JSON, turned into OTLP protobuf |

pub mod wire;

pub mod json;

mod rejection;

pub use rejection::{Reason, Rejection, Rejections};
