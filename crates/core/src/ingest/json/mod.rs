//! OTLP JSON to OTLP protobuf, so that one walker knows all of OTLP.
//!
//! Every dialect that producers send is read: camelCase and snake_case names, 64-bit integers as text or as bare
//! numbers (exact beyond 2^53), enums as numbers or names, ids in hex of any case, bytes in either base64 alphabet,
//! `null` for absent. Unknown fields are skipped, as OTLP asks.
//!
//! Invariants:
//! - A value that does not fit its field rejects the record that it is in, and no other. Where it belongs to a resource,
//!   a scope or a metric, all records beneath are rejected, one by one, because they cannot be told without it.
//! - A text that is not JSON is refused as a whole, with line and column; so is one where something else stands in the
//!   place of the records, because nobody can say how many are lost.
//! - What is written is valid protobuf with valid UTF-8.
//!
//! It never looks at what a value means (times, ranges of enums): that is checked behind it, for both forms alike.
//!
//! | file | holds |
//! |---|---|
//! | `messages.rs` | OTLP's messages as a table |
//! | `transcode.rs` | the walk along the table |
//! | `scalar.rs` | text, ids, bytes, numbers, enums |
//! | `number.rs` | exact numbers |
//! | `scan.rs` | the JSON scanner, also used for dataset rows |
//! | `dropped.rs` | which records were left out |

mod dropped;
mod messages;
pub(crate) mod number;
mod scalar;
pub(crate) mod scan;
mod transcode;
#[cfg(test)]
mod tests;

use tidegate_model::limits::REQUEST_INFLATED_BYTES_MAX;
use tidegate_model::{ErrorKind, Signal};

pub use dropped::Dropped;
use transcode::{Fault, Transcoder};

use crate::ingest::Rejections;

/// A request in protobuf, without the records that could not be read.
#[derive(Debug)]
pub struct Transcoded {
    /// The request's message.
    pub protobuf: Vec<u8>,
    /// The records left out: all of them counted, the first spelled out.
    pub rejections: Rejections,
    /// The places of all records left out.
    pub dropped: Dropped,
}

/// Why a request was refused as a whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// The body is not JSON.
    #[error("not valid JSON at line {line}, column {column}: {problem}")]
    Syntax {
        /// The line, from 1.
        line: usize,
        /// The byte in the line, from 1.
        column: usize,
        /// What is wrong there.
        problem: &'static str,
    },
    /// Something else stands where records belong.
    #[error("not an OTLP request: {path}{problem}")]
    Structure {
        /// Where, empty or ending in a colon.
        path: String,
        /// What is wrong there.
        problem: String,
    },
    /// The protobuf form is larger than a request may be.
    #[error("the request is larger than {REQUEST_INFLATED_BYTES_MAX} bytes as protobuf")]
    TooLarge,
}

impl JsonError {
    /// Says what the caller does next.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

/// Transcodes the body of one export request.
pub fn to_protobuf(signal: Signal, body: &[u8]) -> Result<Transcoded, JsonError> {
    let root = match signal {
        Signal::Logs => &messages::LOGS,
        Signal::Traces => &messages::TRACES,
        Signal::Metrics => &messages::METRICS,
    };
    let mut transcoder = Transcoder::new(body);
    transcoder.request(root).map_err(|fault| refusal(fault, body))?;
    let Transcoder { out, rejections, dropped, .. } = transcoder;
    Ok(Transcoded { protobuf: out.into_bytes(), rejections, dropped })
}

fn refusal(fault: Fault, body: &[u8]) -> JsonError {
    match fault {
        Fault::Syntax(error) => {
            let (line, column) = error.line_and_column(body);
            JsonError::Syntax { line, column, problem: error.problem }
        }
        Fault::Misfit(misfit) | Fault::Structure(misfit) => {
            let separator = if misfit.path.is_empty() { "" } else { ": " };
            JsonError::Structure { path: misfit.path + separator, problem: misfit.problem }
        }
        Fault::TooLarge => JsonError::TooLarge,
    }
}
