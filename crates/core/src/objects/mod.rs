//! Objects: whole files in one bucket of an S3 server, below one prefix.
//!
//! Owns: the connection to the server, its retries, and the words in which its failures are told.
//!
//! Invariants:
//! - An object is there whole or not at all: S3 shows nothing of one that is still being sent.
//! - Every piece is sent with its SHA-256, which the server checks; what is read is hashed by the caller's side again.
//! - A key is never shown without its bucket, and a secret never.
//!
//! It never decides in which order objects are written, and never overwrites by itself what it was not told to.
//!
//! | file | holds |
//! |---|---|
//! | `bucket.rs` | [`Bucket`]: objects are written, read, listed, removed |
//! | `error.rs` | [`ObjectError`]: what the server answered, and how to mend it |

mod bucket;
mod error;

#[cfg(test)]
mod tests;

pub use bucket::{Bucket, BucketOptions, Summed};
pub use error::ObjectError;
