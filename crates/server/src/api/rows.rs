use axum::Json;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};
use tidegate_core::ingest::rows::{DatasetRequest, RowsFormat};
use tidegate_core::ingest::{Admitted, inflate};
use tidegate_model::limits::REQUEST_BYTES_MAX;

use crate::body;
use crate::errors::Failure;
use crate::otlp::{compression_named, idempotency_key, inflated};
use crate::stages::Stages;

/// Answers `POST /datasets/{slug}/ingest`: 201 when rows were written, 200 for a retry or when every row was refused.
pub(super) async fn ingest(State(stages): State<Stages>, Path(slug): Path<String>, request: Request) -> Response {
    match admit(&stages, slug, request).await {
        Ok(admitted) => {
            stages.metrics.rows("rows", &admitted);
            let is_written = !admitted.is_retry && admitted.accepted > 0;
            let status = if is_written { StatusCode::CREATED } else { StatusCode::OK };
            (status, Json(told(&admitted))).into_response()
        }
        Err(failure) => failure.answer(&stages.request_id()),
    }
}

async fn admit(stages: &Stages, slug: String, request: Request) -> Result<Admitted, Failure> {
    let (parts, body) = request.into_parts();
    let format = format_named(&parts.headers)?;
    let idempotency_key = idempotency_key(&parts.headers)?;
    let declared = parts.headers.get(header::CONTENT_ENCODING).map(|name| name.to_str().unwrap_or("?"));
    let compression = compression_named(declared.unwrap_or_default())?;
    let body = body::read(&parts.headers, body, REQUEST_BYTES_MAX, stages.body_idle).await?;
    let body = match compression {
        inflate::Compression::None => body,
        packed => inflated(packed, body).await?,
    };
    Ok(stages.ingest.dataset_rows(DatasetRequest { slug, format, body, idempotency_key }).await?)
}

fn told(admitted: &Admitted) -> Value {
    let listed = admitted.rejected.listed.iter();
    let rejections: Vec<_> =
        listed.map(|row| json!({ "index": row.index, "reason": row.reason.as_str(), "detail": row.detail })).collect();
    // What a later read must at least have seen: `min_watermark=visits=1200`.
    let watermark: Vec<_> = admitted.ranges.iter().map(|(table, range)| format!("{table}={}", range.last)).collect();
    json!({
        "accepted": admitted.accepted,
        "rejected": admitted.rejected.total(),
        "rejections": rejections,
        "retry": admitted.is_retry,
        "watermark": watermark.join(","),
    })
}

fn format_named(headers: &HeaderMap) -> Result<RowsFormat, Failure> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match media_type.as_str() {
        "application/json" => Ok(RowsFormat::Json),
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Ok(RowsFormat::Ndjson),
        "application/vnd.apache.arrow.stream" => Ok(RowsFormat::ArrowStream),
        other => Err(Failure::invalid(format!(
            "the content type `{other}` is not one of rows: send application/json, application/x-ndjson or \
             application/vnd.apache.arrow.stream"
        ))
        .with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE)),
    }
}
