use axum::Json;
use axum::extract::{Request, State};
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, post as posting};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};
use tidegate_core::ingest::plain::{PlainKind, PlainRequest};
use tidegate_core::ingest::{Admitted, inflate};
use tidegate_model::limits::REQUEST_BYTES_MAX;

use crate::api::rejections;
use crate::body;
use crate::errors::Failure;
use crate::otlp::{compression_named, idempotency_key, inflated};
use crate::stages::Stages;

/// Takes plain entries of one kind: 201 when rows were written, 200 for a retry or when every entry was refused.
pub(super) fn taking(kind: PlainKind) -> MethodRouter<Stages> {
    posting(move |State(stages): State<Stages>, request: Request| async move {
        match admit(&stages, kind, request).await {
            Ok(admitted) => {
                stages.metrics.rows(kind.signal().as_str(), &admitted);
                let is_written = !admitted.is_retry && admitted.accepted > 0;
                let status = if is_written { StatusCode::CREATED } else { StatusCode::OK };
                (status, Json(told(&admitted))).into_response()
            }
            Err(failure) => failure.answer(&stages.request_id()),
        }
    })
}

async fn admit(stages: &Stages, kind: PlainKind, request: Request) -> Result<Admitted, Failure> {
    let (parts, body) = request.into_parts();
    let is_lines = is_lines(&parts.headers)?;
    let idempotency_key = idempotency_key(&parts.headers)?;
    let declared = parts.headers.get(header::CONTENT_ENCODING).map(|name| name.to_str().unwrap_or("?"));
    let compression = compression_named(declared.unwrap_or_default())?;
    let body = body::read(&parts.headers, body, REQUEST_BYTES_MAX, stages.body_idle).await?;
    let body = match compression {
        inflate::Compression::None => body,
        packed => inflated(packed, body).await?,
    };
    Ok(stages.ingest.plain(PlainRequest { kind, body, is_lines, idempotency_key }).await?)
}

/// Says whether the content type is one of lines. JSON is taken under any name: curl calls it a form.
fn is_lines(headers: &HeaderMap) -> Result<bool, Failure> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match media_type.as_str() {
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Ok(true),
        "" | "application/json" | "text/json" | "text/plain" | "application/x-www-form-urlencoded" => Ok(false),
        other => Err(Failure::invalid(format!(
            "the content type `{other}` is not one of entries: send application/json or application/x-ndjson"
        ))
        .with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE)),
    }
}

fn told(admitted: &Admitted) -> Value {
    // What a later read must at least have seen: `min_watermark=logs=1200`.
    let watermark: Vec<_> = admitted.ranges.iter().map(|(table, range)| format!("{table}={}", range.last)).collect();
    json!({
        "accepted": admitted.accepted,
        "rejected": admitted.rejected.total(),
        "rejections": rejections(&admitted.rejected.listed),
        "retry": admitted.is_retry,
        "watermark": watermark.join(","),
    })
}
