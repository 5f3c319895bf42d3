//! A request's body, read with a cap and a time-out.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use tidegate_model::ErrorKind;
use tidegate_model::limits::DISCARDED_BYTES_MAX;

use crate::errors::Failure;

/// Room made at once for a body that says its length. Once so much of a longer one has come, there is room for all of it:
/// growing by doubling would copy it once more, through memory that nobody has touched yet.
const RESERVED_BYTES_MAX: usize = 4 << 20;

/// A body, or the beginning of one that is larger than it may be in memory.
pub(crate) enum Begun {
    Whole(Bytes),
    Larger { begin: Vec<Bytes>, rest: Body },
}

/// Reads a whole body; refuses one past `bytes_max`, and a client that stops sending.
pub(crate) async fn read(headers: &HeaderMap, body: Body, bytes_max: usize, idle: Duration) -> Result<Bytes, Failure> {
    match begin(headers, body, bytes_max, idle).await? {
        Begun::Whole(body) => Ok(body),
        Begun::Larger { rest, .. } => {
            discard(rest, idle).await;
            Err(too_large(bytes_max))
        }
    }
}

/// Reads what is left of a body that is refused: a client that is cut off while it sends sees no answer.
pub(crate) async fn discard(mut rest: Body, idle: Duration) {
    let mut length = 0;
    while let Ok(Some(data)) = next_data(&mut rest, idle).await {
        length += data.len();
        if length > DISCARDED_BYTES_MAX {
            return;
        }
    }
}

/// Does the same, and gives back one that is larger.
pub(crate) async fn begin(
    headers: &HeaderMap,
    mut body: Body,
    bytes_max: usize,
    idle: Duration,
) -> Result<Begun, Failure> {
    let announced = content_length(headers).unwrap_or(0);
    if announced > bytes_max {
        return Ok(Begun::Larger { begin: Vec::new(), rest: body });
    }
    let mut first: Option<Bytes> = None;
    let mut rest = BytesMut::new();
    let mut length = 0;
    while let Some(data) = next_data(&mut body, idle).await? {
        length += data.len();
        if length > bytes_max {
            let begun = if rest.is_empty() { first } else { Some(rest.freeze()) };
            return Ok(Begun::Larger { begin: begun.into_iter().chain([data]).collect(), rest: body });
        }
        match &first {
            // A body that comes in one piece is not copied.
            None => first = Some(data),
            Some(head) => {
                if rest.is_empty() {
                    rest.reserve(announced.min(RESERVED_BYTES_MAX).max(length));
                    rest.extend_from_slice(head);
                }
                if length > RESERVED_BYTES_MAX && rest.capacity() < announced {
                    rest.reserve(announced - rest.len());
                }
                rest.extend_from_slice(&data);
            }
        }
    }
    Ok(Begun::Whole(if rest.is_empty() { first.unwrap_or_default() } else { rest.freeze() }))
}

/// Reads a body as JSON; `example` says what to send instead of one that cannot be read.
pub(crate) fn json<T: DeserializeOwned>(body: &[u8], example: &str) -> Result<T, Failure> {
    let read = serde_json::from_slice(body);
    read.map_err(|error| Failure::invalid(format!("the body cannot be read ({error}): {example}")))
}

/// Does the same with a body that may be left out.
pub(crate) fn json_or_default<T: DeserializeOwned + Default>(body: &[u8], example: &str) -> Result<T, Failure> {
    if body.is_empty() { Ok(T::default()) } else { json(body, example) }
}

/// Refuses a body for its size.
pub(crate) fn too_large(bytes_max: usize) -> Failure {
    Failure::invalid(format!("the body is larger than {bytes_max} bytes"))
        .with_status(StatusCode::PAYLOAD_TOO_LARGE)
        .with_hint("send smaller batches")
}

/// Waits for the next bytes of a body; `None` at its end.
pub(crate) async fn next_data(body: &mut Body, idle: Duration) -> Result<Option<Bytes>, Failure> {
    loop {
        let frame = tokio::time::timeout(idle, body.frame()).await.map_err(|_elapsed| {
            Failure::new(ErrorKind::Timeout, format!("no byte of the body came for {} ms", idle.as_millis()))
                .with_status(StatusCode::REQUEST_TIMEOUT)
        })?;
        match frame {
            None => return Ok(None),
            Some(Err(error)) => return Err(Failure::invalid(format!("the body was cut off: {error}"))),
            Some(Ok(frame)) => {
                // Trailers are not data.
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
