//! The load generator, and the hands that the black-box tests and the bench share. Never shipped.
//!
//! Rows are deterministic: the same [`Source`] and the same numbers give the same bytes, and every log record and span
//! carries an id that no other has, so that a test can say which rows are missing or doubled. Senders are cheap: bodies
//! are encoded before the measured time, HTTP/1 is written by hand, gRPC goes straight to `h2`.
//!
//! | file | holds |
//! |---|---|
//! | `wire.rs` | a protobuf writer |
//! | `source.rs` | [`Source`]: OTLP requests by row number |
//! | `send.rs` | [`Connection`]: one connection to an OTLP port, HTTP or gRPC |
//! | `process.rs` | [`process`]: CPU time and memory of a process, from `/proc` |
//! | `stack.rs` | [`Stack`]: the real `tidegate serve` on a folder of its own |
//! | `main.rs`, `bench/` | the bench behind `cargo xtask bench` |

pub mod process;
mod send;
mod source;
mod stack;
mod wire;

pub use send::{Connection, Encoding, Reply, Wire};
pub use source::{ID_ATTRIBUTE, Source, now_unix_nanos};
pub use stack::{Stack, StackOptions, free_addresses};
