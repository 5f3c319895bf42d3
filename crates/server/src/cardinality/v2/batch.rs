use std::collections::BTreeMap;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use futures_util::{StreamExt, stream};
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tower_service::Service;

use super::super::answer::{Answer, Ask};
use crate::body;
use crate::errors::Failure;

/// Requests of one batch.
const QUERIES_MAX: usize = 100;
/// Requests of one batch that run at a time: one batch must not take the engine from everybody else.
const AT_A_TIME: usize = 4;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch {
    queries: Vec<Query>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    id: String,
    endpoint: String,
    #[serde(default)]
    params: BTreeMap<String, Value>,
}

/// Answers `POST query/batch`: several GETs of these routes at once, each with its own outcome.
pub(super) async fn run(ask: Ask) -> Result<Answer, Failure> {
    let batch: Batch =
        body::json(&ask.body, r#"send {"queries":[{"id":"a","endpoint":"/v2/metrics","params":{"limit":10}}]}"#)?;
    if batch.queries.len() > QUERIES_MAX {
        return Err(Failure::invalid(format!(
            "a batch has at most {QUERIES_MAX} queries, it has {}",
            batch.queries.len()
        )));
    }
    let mut ids: Vec<&str> = batch.queries.iter().map(|query| query.id.as_str()).collect();
    ids.sort_unstable();
    if let Some(twice) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Failure::invalid(format!("the id `{}` is given twice: each answer is found by its id", twice[0])));
    }
    let router = super::super::answering().with_state(ask.reader.stages.clone());
    let outcomes = stream::iter(batch.queries.into_iter().map(|query| async {
        let (status, body) = answer(router.clone(), &query).await;
        (query.id, status, body)
    }));
    let outcomes: Vec<(String, StatusCode, Value)> = outcomes.buffered(AT_A_TIME).collect().await;
    let statuses: Map<_, _> = outcomes.iter().map(|(id, status, _)| (id.clone(), json!(status.as_u16()))).collect();
    let results: Map<_, _> = outcomes.into_iter().map(|(id, _, body)| (id, body)).collect();
    Ok(json!({ "results": results, "statuses": statuses }).into())
}

async fn answer(mut router: Router, query: &Query) -> (StatusCode, Value) {
    let told = |text: String| (StatusCode::BAD_REQUEST, json!({ "error": text }));
    let path = query.endpoint.as_str();
    if !(path.starts_with("/v2/") || path.starts_with("/api/v1/")) || path.contains('?') {
        return told(format!("the endpoint `{path}` is not a path of /v2 or /api/v1; its parameters go into `params`"));
    }
    let pairs = query.params.iter().map(|(name, value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("{}={}", encoded(name), encoded(&value))
    });
    let uri = format!("{path}?{}", pairs.collect::<Vec<_>>().join("&"));
    let Ok(request) = Request::builder().method(Method::GET).uri(uri).body(Body::empty()) else {
        return told(format!("the endpoint `{path}` is not a path: encode what is in it"));
    };
    let response = match router.call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let status = response.status();
    match response.into_body().collect().await {
        Ok(body) => (status, serde_json::from_slice(&body.to_bytes()).unwrap_or(Value::Null)),
        // A list that broke off is not a shorter one.
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, json!({ "error": error.to_string() })),
    }
}

/// Encodes a text for a query string.
fn encoded(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
