//! Plain JSON entries: logs, metrics and events as a script or a logging handler has them, without OTLP's nesting.
//!
//! They are turned into an OTLP request, so that they are checked, counted and stored like all other rows.
//!
//! Invariants:
//! - An entry that cannot be taken is refused by its place, and no other with it.
//! - Nothing in an entry is left out: a field that is not known refuses it.
//!
//! | file | holds |
//! |---|---|
//! | `entry.rs` | the fields of one entry, read with their checks |
//! | `message.rs` | entries as OTLP protobuf |

mod entry;
mod message;

#[cfg(test)]
mod tests;

use bytes::Bytes;
use serde_json::value::RawValue;
use tidegate_model::limits::{REQUEST_INFLATED_BYTES_MAX, REQUEST_ROWS_MAX};
use tidegate_model::{ErrorKind, Signal, TableName, UnixNanos, tables};

use super::{Rejection, Rejections};
use message::Message;

/// What the entries of a request are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlainKind {
    /// `{timestamp, level, source, message, context}`.
    Logs,
    /// `{timestamp, metric_name, value, unit, tags}`.
    Metrics,
    /// `{timestamp, event_type, source, details, metadata}`.
    Events,
}

impl PlainKind {
    /// Returns the signal as which the entries go on.
    #[must_use]
    pub const fn signal(self) -> Signal {
        match self {
            Self::Logs | Self::Events => Signal::Logs,
            Self::Metrics => Signal::Metrics,
        }
    }

    /// Returns the table under which refused entries are counted.
    pub(super) fn table(self) -> &'static TableName {
        match self {
            Self::Logs => &tables::LOGS.name,
            Self::Metrics => &tables::METRIC_SAMPLES.name,
            Self::Events => &tables::EVENTS.name,
        }
    }
}

/// One request of plain entries, inflated.
#[derive(Debug, Clone)]
pub struct PlainRequest {
    /// What they are.
    pub kind: PlainKind,
    /// One entry, an array of them, or one a line.
    pub body: Bytes,
    /// One entry a line, whatever the body begins with.
    pub is_lines: bool,
    /// The producer's key, by which a retry is known; entries without one may be sent twice on purpose.
    pub idempotency_key: Option<String>,
}

/// Why a request was refused as a whole.
#[derive(Debug, thiserror::Error)]
pub enum PlainError {
    /// The body cannot be taken apart.
    #[error("the body is neither one JSON entry, nor an array of entries, nor one entry a line: {0}")]
    Syntax(String),
    /// There are more entries than a request may have.
    #[error("the request has more than {REQUEST_ROWS_MAX} entries; send it in smaller pieces")]
    TooMany,
    /// What the entries become is larger than a request may be.
    #[error("the request is larger than {REQUEST_INFLATED_BYTES_MAX} bytes as protobuf; send it in smaller pieces")]
    TooLarge,
}

impl PlainError {
    /// Says what the caller does next.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

/// Entries as an OTLP request.
#[derive(Debug)]
pub(super) struct Spoken {
    pub(super) protobuf: Vec<u8>,
    /// The places in the request of those that are in it.
    pub(super) places: Vec<u64>,
    pub(super) rejections: Rejections,
}

/// Makes an OTLP request of the entries of a body; a metric without a time was measured when the request came.
pub(super) fn to_protobuf(request: &PlainRequest, received: UnixNanos) -> Result<Spoken, PlainError> {
    let entries = entries(&request.body, request.is_lines)?;
    if entries.len() > REQUEST_ROWS_MAX {
        return Err(PlainError::TooMany);
    }
    let (mut message, mut rejections) = (Message::new(received), Rejections::default());
    let mut places = Vec::with_capacity(entries.len());
    for (index, text) in (0..).zip(entries) {
        match message.push(request.kind, text) {
            Ok(()) => places.push(index),
            Err((reason, detail)) => rejections.push(Rejection::new(index, reason, detail)),
        }
        if message.bytes_len() > REQUEST_INFLATED_BYTES_MAX {
            return Err(PlainError::TooLarge);
        }
    }
    Ok(Spoken { protobuf: message.finish(), places, rejections })
}

/// Takes a body apart without reading its entries.
fn entries(body: &[u8], is_lines: bool) -> Result<Vec<&[u8]>, PlainError> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii();
    let syntax = |error: serde_json::Error| PlainError::Syntax(error.to_string());
    if is_lines {
        return Ok(lines(body));
    }
    if body.starts_with(b"[") {
        let entries: Vec<&RawValue> = serde_json::from_slice(body).map_err(syntax)?;
        return Ok(entries.into_iter().map(|entry| entry.get().as_bytes()).collect());
    }
    match serde_json::from_slice::<&RawValue>(body) {
        Ok(_) => Ok(vec![body]),
        // Many tools send lines without saying so. The first one must be whole, or this is one broken entry.
        Err(error) => {
            let lines = lines(body);
            let is_whole = |line: &&[u8]| serde_json::from_slice::<&RawValue>(line).is_ok();
            if lines.first().is_some_and(is_whole) { Ok(lines) } else { Err(syntax(error)) }
        }
    }
}

fn lines(body: &[u8]) -> Vec<&[u8]> {
    body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()).collect()
}
