use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{get as getting, post as posting};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use tidegate_core::ingest::wire::Writer;
use tidegate_traces::{Exported, read_export};

use super::project::{PROJECT, PROJECT_HEADER};
use super::sent::{defaults, made_name};
use super::write::{Change, write};
use super::{answered, invalid, of_parts, whole};
use crate::datasets::Want;
use crate::errors::Failure;
use crate::routes::{Gives, Route, Sends, get, post};
use crate::stages::Stages;

const PATH: &str = "/otlp/v1/traces";
const PROTOBUF: &str = "application/x-protobuf";

/// An Export request: what exporters batch by default stays far below, and clients of this path expect the limit.
const BYTES_MAX: usize = 4 << 20;

/// Refused spans that one message spells out; all are counted.
const SPELLED_OUT_MAX: usize = 5;

/// The routes of OTLP here.
pub(super) fn routes() -> Vec<Route> {
    let ready = get(PATH, "Says that spans are taken").gives(&[(200, Gives::One("OtlpReady"))]);
    let export = post(PATH, "Takes an Export request of spans of AI applications, as protobuf")
        .takes(&[PROJECT])
        .headers(PROJECT_HEADER)
        .sends(Sends::Media(&[PROTOBUF]))
        .gives(&[(200, Gives::Media(&[PROTOBUF]))]);
    vec![
        ready.by(getting(async || axum::Json(serde_json::json!({ "status": "ready" })))),
        export.refuses(&[401, 403, 408, 413, 415, 429, 504]).by(posting(receive)),
    ]
}

async fn receive(State(stages): State<Stages>, request: Request) -> Response {
    match taken(&stages, request).await {
        Ok(body) => {
            let mut response = Response::new(body.into());
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PROTOBUF));
            response
        }
        Err(failure) => answered(&stages, StatusCode::OK, Err(failure)),
    }
}

async fn taken(stages: &Stages, request: Request) -> Result<Bytes, Failure> {
    let (parts, body) = request.into_parts();
    let asked = of_parts(stages, &parts, Want::Write)?;
    let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or(PROTOBUF);
    if !kind.contains("protobuf") {
        return Err(Failure::invalid(format!("the content type `{kind}` is not taken here: send {PROTOBUF}"))
            .with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }
    let body = whole(stages, &parts, body, BYTES_MAX).await?;
    if body.len() > BYTES_MAX {
        return Err(crate::body::too_large(BYTES_MAX));
    }
    let exported =
        read_export(&body, &defaults(stages, &asked), || made_name(stages)).map_err(|error| invalid(&error))?;
    let Exported { spans, refused } = exported;
    if let (true, Some(error)) = (spans.is_empty(), refused.first()) {
        return Err(invalid(error));
    }
    write(stages, asked.project, Change::Put(spans)).await?;
    let mut writer = Writer::new();
    if !refused.is_empty() {
        let told: Vec<String> = refused.iter().take(SPELLED_OUT_MAX).map(ToString::to_string).collect();
        writer.message(1, |partial| {
            partial.uint(1, refused.len() as u64);
            partial.bytes(2, told.join("; ").as_bytes());
        });
    }
    Ok(writer.into_bytes().into())
}
