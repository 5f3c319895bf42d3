use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{MethodRouter, any, get as getting};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use tidegate_core::ingest::{Encoding, inflate};
use tidegate_model::Signal;
use tidegate_model::limits::REQUEST_BYTES_MAX;

use super::{Export, compression_named, export, idempotency_key, reply};
use crate::api::{self, WRITING};
use crate::body;
use crate::errors::Failure;
use crate::metrics::Door;
use crate::routes::{self, Gives, Route, Sends, get, post};
use crate::stages::Stages;

/// Routes OTLP/HTTP.
pub(crate) fn router(stages: Stages) -> Router {
    routes::router(routes())
        .fallback(|| async { (StatusCode::NOT_FOUND, "OTLP/HTTP is at /v1/logs, /v1/traces and /v1/metrics\n") })
        .with_state(stages)
}

/// The table of OTLP/HTTP.
pub(crate) fn routes() -> Vec<Route> {
    const TYPES: &[&str] = &["application/x-protobuf", "application/json"];
    let export = |path, about| {
        post(path, about)
            .headers(WRITING)
            .sends(Sends::Media(TYPES))
            .gives(&[(200, Gives::Export("Exported"))])
            .refuses(&[400, 405, 408, 409, 413, 415, 429, 500, 503])
    };
    vec![
        export("/v1/logs", "Takes an Export request of logs").by(signal(Signal::Logs)),
        export("/v1/traces", "Takes an Export request of traces").by(signal(Signal::Traces)),
        export("/v1/metrics", "Takes an Export request of metrics").by(signal(Signal::Metrics)),
        get("/health", "Says that the server lives, and how its parts are")
            .gives(&[(200, Gives::One("ServerHealth"))])
            .by(getting(api::health)),
    ]
}

fn signal(signal: Signal) -> MethodRouter<Stages> {
    any(move |State(stages): State<Stages>, request: Request| async move { receive(&stages, signal, request).await })
}

async fn receive(stages: &Stages, signal: Signal, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let named = encoding_named(&parts.headers);
    // Answers mirror the request; one of unknown kind is answered in the protocol's default.
    let encoding = named.as_ref().copied().unwrap_or(Encoding::Protobuf);
    let outcome = async {
        if parts.method != Method::POST {
            return Err(Failure::invalid(format!("{} is not known here: POST an Export request", parts.method))
                .with_status(StatusCode::METHOD_NOT_ALLOWED));
        }
        let encoding = named?;
        let declared = parts.headers.get(header::CONTENT_ENCODING).map(|name| name.to_str().unwrap_or("?"));
        let declared = compression_named(declared.unwrap_or_default())?;
        let idempotency_key = idempotency_key(&parts.headers)?;
        let body = body::read(&parts.headers, body, REQUEST_BYTES_MAX, stages.body_idle).await?;
        // Some exporters compress and do not say so; neither encoding can begin with gzip's magic bytes.
        let compression = match declared {
            inflate::Compression::None if body.starts_with(&[0x1f, 0x8b]) => inflate::Compression::Gzip,
            declared => declared,
        };
        export(stages, Export { door: Door::Http, signal, encoding, compression, body, idempotency_key }).await
    };
    match outcome.await {
        Ok(admitted) => answer(StatusCode::OK, encoding, reply::success(encoding, signal, &admitted).into()),
        Err(failure) => refuse(encoding, &failure),
    }
}

fn refuse(encoding: Encoding, failure: &Failure) -> Response {
    let mut response = answer(failure.http_status(), encoding, reply::status(encoding, failure).into());
    if let Some(seconds) = failure.retry_after() {
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    if failure.status == Some(StatusCode::METHOD_NOT_ALLOWED) {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
    }
    response
}

fn answer(status: StatusCode, encoding: Encoding, body: Body) -> Response {
    let media_type = match encoding {
        Encoding::Protobuf => "application/x-protobuf",
        Encoding::Json => "application/json",
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

fn encoding_named(headers: &HeaderMap) -> Result<Encoding, Failure> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match media_type.as_str() {
        "application/x-protobuf" | "application/protobuf" | "application/vnd.google.protobuf" => Ok(Encoding::Protobuf),
        json if json.contains("json") => Ok(Encoding::Json),
        other => Err(Failure::invalid(format!(
            "the content type `{other}` is not OTLP's: send application/x-protobuf or application/json"
        ))
        .with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE)),
    }
}
