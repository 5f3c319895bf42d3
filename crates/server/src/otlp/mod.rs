//! OTLP over gRPC and HTTP: framing in, acknowledgement out.
//!
//! | file | holds |
//! |---|---|
//! | `http.rs` | `/v1/logs`, `/v1/traces`, `/v1/metrics` |
//! | `grpc.rs` | the three `Export` methods |
//! | `reply.rs` | the small messages that are sent back |

pub(crate) mod grpc;
pub(crate) mod http;
mod reply;

use std::time::Instant;

use ::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use tidegate_core::ingest::{Admitted, Encoding, OtlpRequest, inflate};
use tidegate_model::Signal;
use tidegate_model::limits::{IDEMPOTENCY_KEY_BYTES_MAX, REQUEST_INFLATED_BYTES_MAX};

use crate::body;
use crate::errors::Failure;
use crate::metrics::Door;
use crate::stages::Stages;

/// One Export, as it came through a door.
struct Export {
    door: Door,
    signal: Signal,
    encoding: Encoding,
    compression: inflate::Compression,
    body: Bytes,
    idempotency_key: Option<String>,
}

/// Inflates, admits and counts one request; it is durable when this returns `Ok`.
async fn export(stages: &Stages, export: Export) -> Result<Admitted, Failure> {
    let began = Instant::now();
    let (door, signal, bytes) = (export.door, export.signal, export.body.len());
    let outcome = admit(stages, export).await;
    stages.metrics.request(door, signal, bytes, began.elapsed(), &outcome);
    outcome
}

async fn admit(stages: &Stages, export: Export) -> Result<Admitted, Failure> {
    let Export { signal, encoding, compression, body, idempotency_key, .. } = export;
    let body = match compression {
        inflate::Compression::None => body,
        packed => inflated(packed, body).await?,
    };
    let request = OtlpRequest { signal, encoding, body, idempotency_key };
    Ok(stages.ingest.otlp(request).await?)
}

/// Inflates off the async workers.
pub(crate) async fn inflated(compression: inflate::Compression, body: Bytes) -> Result<Bytes, Failure> {
    let inflated =
        tokio::task::spawn_blocking(move || inflate::inflate(compression, &body, REQUEST_INFLATED_BYTES_MAX)).await;
    match inflated {
        Ok(Ok(body)) => Ok(Bytes::from(body)),
        Ok(Err(inflate::InflateError::TooLarge { .. })) => Err(body::too_large(REQUEST_INFLATED_BYTES_MAX)),
        Ok(Err(error)) => Err(Failure::invalid(error.to_string())),
        Err(error) => Err(Failure::of(tidegate_model::ErrorKind::Internal, &error)),
    }
}

/// Reads `Idempotency-Key`.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Failure> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    match key.to_str() {
        Ok(key) if !key.is_empty() && key.len() <= IDEMPOTENCY_KEY_BYTES_MAX => Ok(Some(key.to_owned())),
        _ => Err(Failure::invalid(format!(
            "Idempotency-Key must be 1 to {IDEMPOTENCY_KEY_BYTES_MAX} bytes of visible ASCII"
        ))),
    }
}

/// Tells which compression a header names.
pub(crate) fn compression_named(name: &str) -> Result<inflate::Compression, Failure> {
    match name.trim().to_ascii_lowercase().as_str() {
        "" | "identity" => Ok(inflate::Compression::None),
        "gzip" | "x-gzip" => Ok(inflate::Compression::Gzip),
        "zstd" => Ok(inflate::Compression::Zstd),
        other => Err(Failure::invalid(format!("the compression `{other}` is not known: send gzip, zstd or identity"))
            .with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE)),
    }
}
