use std::fmt::Write as _;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value as Written, json};
use tidegate_core::query::{PromqlAnswer, PromqlFailure, QueryError};
use tidegate_model::ErrorKind;
use tidegate_promql::{Grid, Labels, PromqlError, SampleSeries, Value, VectorSeries, value_text};

use crate::api::freshness;
use crate::errors::Failure;

/// Answers with data.
pub(super) fn success(data: &Written) -> Response {
    Json(json!({ "status": "success", "data": data })).into_response()
}

/// Refuses as Prometheus does.
pub(super) fn refused(status: StatusCode, kind: &str, text: &str) -> Response {
    (status, Json(json!({ "status": "error", "errorType": kind, "error": text }))).into_response()
}

/// Tells a failure of the doors, or of a stage.
pub(super) fn failed(failure: &Failure) -> Response {
    let (status, kind) = match failure.kind {
        ErrorKind::Timeout if failure.status.is_none() => (StatusCode::SERVICE_UNAVAILABLE, "timeout"),
        ErrorKind::Unavailable | ErrorKind::Closed | ErrorKind::Overloaded => {
            (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
        }
        ErrorKind::Internal | ErrorKind::Corrupt => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        ErrorKind::Invalid | ErrorKind::Conflict | ErrorKind::NotFound | ErrorKind::Timeout => {
            (failure.http_status(), "bad_data")
        }
    };
    let mut response = refused(status, kind, &failure.message);
    if let Some(seconds) = failure.retry_after() {
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    response
}

/// Tells why an expression has no answer.
pub(super) fn unanswered(failure: PromqlFailure) -> (Response, Failure) {
    let execution = |text: &str| refused(StatusCode::UNPROCESSABLE_ENTITY, "execution", text);
    match failure {
        PromqlFailure::Expression(error) => {
            let text = error.to_string();
            let response = match error {
                PromqlError::Execution(_) | PromqlError::TooLarge(_) => execution(&text),
                _ => refused(StatusCode::BAD_REQUEST, "bad_data", &text),
            };
            (response, Failure::invalid(text))
        }
        // The statements are ours: what the engine refuses of them is a limit, or a fault of the server.
        PromqlFailure::Read(error @ QueryError::Engine { kind: ErrorKind::Invalid, .. }) => {
            (execution(&error.to_string()), Failure::from(error))
        }
        PromqlFailure::Read(error) => {
            let failure = Failure::from(error);
            (failed(&failure), failure)
        }
    }
}

/// Answers with what an expression is worth, of one moment or of many.
pub(super) fn worth(answer: &PromqlAnswer, is_range: bool) -> Response {
    let mut body = String::from(r#"{"status":"success","data":{"resultType":""#);
    match (&answer.value, is_range) {
        (Value::Scalar(values), false) => {
            body += r#"scalar","result":"#;
            point(&mut body, answer.grid.start, values.first().copied().unwrap_or(f64::NAN));
        }
        (Value::Text(text), _) => {
            let _ = write!(body, r#"string","result":[{},{}]"#, moment(answer.grid.start), quoted(text));
        }
        (Value::Matrix(series), _) => {
            body += r#"matrix","result":["#;
            samples(&mut body, series);
            body.push(']');
        }
        (Value::Vector(series), false) => {
            body += r#"vector","result":["#;
            vector(&mut body, series, answer.grid);
            body.push(']');
        }
        (Value::Vector(series), true) => {
            body += r#"matrix","result":["#;
            matrix(&mut body, series.clone(), answer.grid);
            body.push(']');
        }
        (Value::Scalar(values), true) => {
            body += r#"matrix","result":["#;
            let values = values.iter().copied().map(Some).collect();
            matrix(&mut body, vec![VectorSeries { labels: Labels::default(), values }], answer.grid);
            body.push(']');
        }
    }
    body += "}}";
    let mut response = Response::new(body.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    freshness(response.headers_mut(), &answer.freshness);
    response
}

fn vector(body: &mut String, series: &[VectorSeries], grid: Grid) {
    let mut separator = "";
    for series in series {
        let Some(value) = series.values.first().copied().flatten() else { continue };
        body.push_str(separator);
        separator = ",";
        metric(body, &series.labels);
        body.push_str(r#","value":"#);
        point(body, grid.start, value);
        body.push('}');
    }
}

fn matrix(body: &mut String, mut series: Vec<VectorSeries>, grid: Grid) {
    series.retain(|series| series.values.iter().any(Option::is_some));
    series.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
    for (at, series) in series.iter().enumerate() {
        let points = grid.times().zip(&series.values).filter_map(|(time, value)| Some((time, (*value)?)));
        line(body, at, &series.labels, points);
    }
}

fn samples(body: &mut String, series: &[SampleSeries]) {
    for (at, series) in series.iter().enumerate() {
        line(body, at, &series.labels, series.points.iter().map(|point| (point.time, point.value)));
    }
}

fn line(body: &mut String, at: usize, labels: &Labels, points: impl Iterator<Item = (i64, f64)>) {
    if at > 0 {
        body.push(',');
    }
    metric(body, labels);
    body.push_str(r#","values":["#);
    for (at, (time, value)) in points.enumerate() {
        if at > 0 {
            body.push(',');
        }
        point(body, time, value);
    }
    body.push_str("]}");
}

fn metric(body: &mut String, labels: &Labels) {
    body.push_str(r#"{"metric":{"#);
    for (at, (name, value)) in labels.iter().enumerate() {
        let separator = if at == 0 { "" } else { "," };
        let _ = write!(body, "{separator}{}:{}", quoted(name), quoted(value));
    }
    body.push('}');
}

fn point(body: &mut String, time: i64, value: f64) {
    let _ = write!(body, r#"[{},"{}"]"#, moment(time), value_text(value));
}

/// Writes milliseconds as seconds.
fn moment(millis: i64) -> String {
    let (sign, size) = (if millis < 0 { "-" } else { "" }, millis.unsigned_abs());
    match size % 1_000 {
        0 => format!("{sign}{}", size / 1_000),
        rest => format!("{sign}{}.{rest:03}", size / 1_000),
    }
}

fn quoted(text: &str) -> Written {
    Written::from(text)
}
