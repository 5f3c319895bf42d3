use std::time::Instant;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use tidegate_core::ingest::Admitted;
use tidegate_core::ingest::remote_write::{RemoteWrite, RemoteWriteError, remote_write};
use tidegate_model::limits::REQUEST_BYTES_MAX;
use tidegate_model::{ErrorKind, Signal};

use crate::body;
use crate::errors::Failure;
use crate::metrics::Door;
use crate::stages::Stages;

/// Refused samples that one answer spells out; all are counted.
const SPELLED_OUT_MAX: usize = 5;

/// Answers `write`: 204 once every sample is durable.
pub(super) async fn write(State(stages): State<Stages>, request: Request) -> Response {
    let (began, id) = (Instant::now(), stages.request_id());
    let (parts, body) = request.into_parts();
    let read = async {
        check(&parts.headers)?;
        body::read(&parts.headers, body, REQUEST_BYTES_MAX, stages.body_idle).await
    };
    let body = match read.await {
        Ok(body) => body,
        Err(failure) => return failure.answer(&id),
    };
    let bytes = body.len();
    let outcome = taken(&stages, body).await;
    stages.metrics.request(Door::RemoteWrite, Signal::Metrics, bytes, began.elapsed(), &outcome);
    match outcome {
        Ok(admitted) if admitted.rejected.total() == 0 => StatusCode::NO_CONTENT.into_response(),
        // The protocol knows no success in part: this says that sending it again helps nobody.
        Ok(admitted) => Failure::invalid(refused(&admitted)).with_hint("the other samples are stored").answer(&id),
        Err(failure) => failure.answer(&id),
    }
}

fn check(headers: &HeaderMap) -> Result<(), Failure> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_ascii_lowercase();
    let unsupported = |what: String| {
        let failure = Failure::invalid(what).with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE);
        failure.with_hint("send remote write 1.0: application/x-protobuf with Content-Encoding snappy")
    };
    let (kind, encoding) = (text(header::CONTENT_TYPE), text(header::CONTENT_ENCODING));
    if kind.contains("io.prometheus.write.v2") {
        return Err(unsupported("remote write 2.0 is not taken".to_owned()));
    }
    if !kind.is_empty() && kind.split(';').next().map(str::trim) != Some("application/x-protobuf") {
        return Err(unsupported(format!("the content type `{kind}` is not that of remote write")));
    }
    if !encoding.is_empty() && encoding != "snappy" {
        return Err(unsupported(format!("the compression `{encoding}` is not that of remote write")));
    }
    Ok(())
}

async fn taken(stages: &Stages, body: Bytes) -> Result<Admitted, Failure> {
    let read = tokio::task::spawn_blocking(move || remote_write(&body)).await;
    let request: Result<RemoteWrite, RemoteWriteError> =
        read.map_err(|error| Failure::of(ErrorKind::Internal, &error))?;
    let request = request.map_err(|error| {
        let failure = Failure::invalid(error.to_string());
        match error {
            RemoteWriteError::TooLarge(_) => failure.with_status(StatusCode::PAYLOAD_TOO_LARGE),
            _ => failure,
        }
    })?;
    Ok(stages.ingest.remote_write(request).await?)
}

fn refused(admitted: &Admitted) -> String {
    let total = admitted.rejected.total();
    let spelled: Vec<_> = admitted.rejected.listed.iter().take(SPELLED_OUT_MAX).map(ToString::to_string).collect();
    let more = if total > spelled.len() as u64 { ", …" } else { "" };
    format!("{total} samples refused: {}{more}", spelled.join(", "))
}
