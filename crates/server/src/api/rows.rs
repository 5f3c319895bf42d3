use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, RawQuery, Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use serde_json::{Map, Value, json};
use tidegate_core::catalog::SchemaChange;
use tidegate_core::ingest::Rejection;
use tidegate_core::ingest::inflate::Compression;
use tidegate_core::ingest::rows::{DatasetRequest, RowsFormat, Taken};
use tidegate_model::limits::REQUEST_BYTES_MAX;

use super::large::{self, Larger};
use crate::body::{self, Begun};
use crate::datasets::{Want, check, parameters};
use crate::errors::Failure;
use crate::migrations;
use crate::otlp::{compression_named, idempotency_key, inflated};
use crate::routes::Param;
use crate::stages::Stages;

/// What a body of rows alone cannot say.
pub(super) const HEAD: &[Param] = &[
    Param::text("tableName", "the table of the dataset; `records` without it"),
    Param::text("partition", "JSON: `{\"key\":{…},\"attributes\":{…},\"timeRange\":{\"start\":…,\"end\":…}}`"),
    Param::text("schema", "JSON: `{\"fields\":[{\"name\":…,\"type\":…}],\"evolution\":{…}}`"),
    Param::text("datasetName", "a name for people, where the request makes the dataset"),
    Param::text("storageTargetId", "where the dataset is kept, where the request makes it"),
];

/// Answers `POST /datasets/{slug}/ingest`: 201 when rows were written, 200 for a retry or when every row was refused.
pub(super) async fn ingest(
    State(stages): State<Stages>,
    Path(slug): Path<String>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Response {
    match admit(&stages, slug, query.as_deref(), request).await {
        Ok(taken) => {
            stages.metrics.rows("rows", &taken.admitted);
            let is_written = !taken.admitted.is_retry && taken.admitted.accepted > 0;
            let status = if is_written { StatusCode::CREATED } else { StatusCode::OK };
            (status, Json(told(&taken))).into_response()
        }
        Err(failure) => failure.answer(&stages.request_id()),
    }
}

async fn admit(stages: &Stages, slug: String, query: Option<&str>, request: Request) -> Result<Taken, Failure> {
    let (parts, body) = request.into_parts();
    check(&stages.access, &parts.headers, Want::Write, stages.catalog.record(&slug).as_ref())?;
    let format = format_named(&parts.headers)?;
    let idempotency_key = idempotency_key(&parts.headers)?;
    let declared = parts.headers.get(header::CONTENT_ENCODING).map(|name| name.to_str().unwrap_or("?"));
    let compression = compression_named(declared.unwrap_or_default())?;
    let piece = migrations::piece_of(&parts.headers)?;
    let head = head_of(format, &parameters(query, &[HEAD])?)?;
    let actor = actor(&parts.headers);
    let idempotency_key = piece.as_ref().map(migrations::retry_key).or(idempotency_key);
    let bare = DatasetRequest::new(slug, format, Bytes::new());
    let request = DatasetRequest { head, idempotency_key, actor, piece: piece.clone(), ..bare };
    let taken = match read(&parts.headers, body, compression, stages.body_idle).await? {
        Sent::Whole(body) => stages.ingest.dataset_rows(DatasetRequest { body, ..request }).await?,
        // What is moved from an older engine comes in pieces already, each with a key of its own.
        Sent::Larger(_) if piece.is_some() => return Err(body::too_large(REQUEST_BYTES_MAX)),
        Sent::Larger(larger) => large::take(stages, request, larger).await?,
    };
    if let Some(piece) = piece {
        migrations::note(stages, piece, &taken.admitted).await?;
    }
    Ok(taken)
}

/// A body, inflated where it is whole.
enum Sent {
    Whole(Bytes),
    Larger(Larger),
}

/// Reads a body into memory as far as it may be there.
async fn read(headers: &HeaderMap, body: Body, compression: Compression, idle: Duration) -> Result<Sent, Failure> {
    let body = match body::begin(headers, body, REQUEST_BYTES_MAX, idle).await? {
        Begun::Whole(body) => body,
        Begun::Larger { begin, rest } => return Ok(Sent::Larger(Larger { begin, rest, compression })),
    };
    if compression == Compression::None {
        return Ok(Sent::Whole(body));
    }
    match inflated(compression, body.clone()).await {
        Ok(inflated) => Ok(Sent::Whole(inflated)),
        Err(failure) if failure.status == Some(StatusCode::PAYLOAD_TOO_LARGE) => {
            Ok(Sent::Larger(Larger { begin: vec![body], rest: Body::empty(), compression }))
        }
        Err(failure) => Err(failure),
    }
}

/// Returns who asks, as a gateway tells it.
pub(crate) fn actor(headers: &HeaderMap) -> Option<String> {
    let told = ["x-actor-id", "x-iam-user", "x-user-id"].iter().find_map(|name| headers.get(*name));
    told.and_then(|value| value.to_str().ok()).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Makes of the parameters the object that a JSON body would be, without its rows.
fn head_of(format: RowsFormat, given: &[(String, String)]) -> Result<Option<Bytes>, Failure> {
    if given.is_empty() {
        return Ok(None);
    }
    if format == RowsFormat::Json {
        return Err(Failure::invalid("a JSON body says these things itself; leave the parameters out"));
    }
    let mut head = Map::new();
    for (name, text) in given {
        let is_json = matches!(name.as_str(), "partition" | "schema");
        let parsed = if is_json { serde_json::from_str(text) } else { Ok(json!(text)) };
        let value = parsed.map_err(|error| Failure::invalid(format!("the parameter `{name}` is not JSON: {error}")))?;
        head.insert(name.clone(), value);
    }
    Ok(Some(Bytes::from(Value::Object(head).to_string())))
}

fn told(taken: &Taken) -> Value {
    let admitted = &taken.admitted;
    // What a later read must at least have seen: `min_watermark=visits=1200`.
    let watermark: Vec<_> = admitted.ranges.iter().map(|(table, range)| format!("{table}={}", range.last)).collect();
    let dataset = &taken.dataset;
    let mut told = json!({
        "mode": "inline",
        "accepted": admitted.accepted,
        "rejected": admitted.rejected.total(),
        "rejections": rejections(&admitted.rejected.listed),
        "quarantined": taken.quarantined,
        "retry": admitted.is_retry,
        "watermark": watermark.join(","),
        "flushPending": !admitted.ranges.is_empty(),
        "dataset": {
            "id": dataset.slug,
            "slug": dataset.slug,
            "tableName": dataset.label,
            "table": dataset.spec.name,
            "schemaVersion": dataset.version,
            "schemaChecksum": dataset.canonical().checksum(),
        },
    });
    if let Some(signature) = &taken.signature {
        told["signature"] = json!(signature);
    }
    if let Some(change) = &taken.change {
        told["schemaEvolution"] = evolution(change, dataset.version);
    }
    told
}

/// Tells of refused rows.
pub(crate) fn rejections(listed: &[Rejection]) -> Vec<Value> {
    let told = |row: &Rejection| json!({ "index": row.index, "reason": row.reason.as_str(), "detail": row.detail });
    listed.iter().map(told).collect()
}

/// Tells how a schema changed.
pub(crate) fn evolution(change: &SchemaChange, version: u32) -> Value {
    let status = match (version, change.widened.is_empty()) {
        (1, _) => "created",
        (_, true) => "additive",
        (_, false) => "widened",
    };
    json!({
        "status": status,
        "addedColumns": change.added,
        "widenedColumns": change.widened,
        "requestedBackfill": change.backfill,
    })
}

fn format_named(headers: &HeaderMap) -> Result<RowsFormat, Failure> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match media_type.as_str() {
        "application/json" => Ok(RowsFormat::Json),
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Ok(RowsFormat::Ndjson),
        "application/vnd.apache.arrow.stream" | "application/vnd.apache.arrow.file" => Ok(RowsFormat::Arrow),
        "text/csv" | "application/csv" => Ok(RowsFormat::Csv),
        "application/vnd.apache.parquet" | "application/x-parquet" => Ok(RowsFormat::Parquet),
        other => Err(Failure::invalid(format!(
            "the content type `{other}` is not one of rows: send application/json, application/x-ndjson, text/csv, \
             application/vnd.apache.parquet or application/vnd.apache.arrow.stream"
        ))
        .with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE)),
    }
}
