use std::sync::Arc;
use std::time::Duration;

use crate::limits::{AGENT_RETRY_MS, AGENT_SEND_MS};
use bytes::Bytes;
use rand::Rng;
use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use tidegate_core::ingest::wire;
use tidegate_model::{Signal, chain};
use tokio::sync::watch;

use crate::counts::Counts;
use crate::queue::{QueueError, Request};
use crate::writer::Shared;

const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Where requests go.
#[derive(Debug)]
pub(crate) struct Server {
    http: reqwest::Client,
    url: String,
    token: String,
}

/// What became of a request.
#[derive(Debug)]
enum Outcome {
    /// It is stored, but for so many rows.
    Stored { refused: u64, message: String },
    /// It will never be.
    Refused(String),
    /// Not now: try again, not before a while when the server says so.
    Later { reason: String, after: Option<Duration> },
}

impl Server {
    pub(crate) fn new(url: &str, token: &str) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .timeout(Duration::from_millis(AGENT_SEND_MS))
            .pool_max_idle_per_host(1)
            .http1_only()
            .build()?;
        Ok(Self { http, url: url.trim_end_matches('/').to_owned(), token: token.to_owned() })
    }

    async fn send(&self, request: &Request, body: Bytes) -> Outcome {
        let path = if request.signal == Signal::Metrics { "metrics" } else { "logs" };
        let mut call = self
            .http
            .post(format!("{}/v1/{path}", self.url))
            .header(CONTENT_TYPE, "application/x-protobuf")
            .header(IDEMPOTENCY_KEY, &request.key);
        if request.is_packed {
            call = call.header(CONTENT_ENCODING, "zstd");
        }
        if !self.token.is_empty() {
            call = call.header(AUTHORIZATION, format!("Bearer {}", self.token));
        }
        let answer = match call.body(body).send().await {
            Ok(answer) => answer,
            Err(error) => return Outcome::Later { reason: chain(&error), after: None },
        };
        let (status, after) = (answer.status(), retry_after(&answer));
        let body = match answer.bytes().await {
            Ok(body) => body,
            Err(error) => return Outcome::Later { reason: chain(&error), after: None },
        };
        outcome(status, after, &body)
    }
}

/// Sends what the queue has, one request after the other, until told to stop; then, for a while, what is left.
pub(crate) async fn run(
    shared: Arc<Shared>,
    server: Server,
    mut stop: watch::Receiver<bool>,
) -> Result<(), QueueError> {
    let mut pause = Duration::from_millis(AGENT_RETRY_MS.0);
    loop {
        // Made before the look, so that what comes in between is not missed.
        let written = shared.written.notified();
        let Some(request) = blocking(&shared, |queue| queue.next_request()).await? else {
            if *stop.borrow() {
                return Ok(());
            }
            tokio::select! {
                () = written => {}
                _ = stop.changed() => {}
            }
            continue;
        };
        let body = Bytes::from(request.body.clone());
        let first = AGENT_RETRY_MS.0;
        loop {
            match server.send(&request, body.clone()).await {
                Outcome::Stored { refused, message } => {
                    if refused > 0 {
                        tracing::warn!(refused, %message, "the server refused rows");
                    }
                    Counts::add(&shared.counts.refused_rows, refused);
                    Counts::add(&shared.counts.sent_rows, u64::from(request.rows).saturating_sub(refused));
                    Counts::add(&shared.counts.sent_requests, 1);
                    break;
                }
                Outcome::Refused(reason) => {
                    tracing::error!(rows = request.rows, %reason, "the server refused a request for good");
                    Counts::add(&shared.counts.refused_rows, u64::from(request.rows));
                    break;
                }
                Outcome::Later { reason, after } => {
                    Counts::add(&shared.counts.retries, 1);
                    tracing::debug!(%reason, pause_ms = pause.as_millis(), "a request is sent again");
                    wait(after.unwrap_or(pause), &mut stop).await;
                    pause = (pause * 2).min(Duration::from_millis(AGENT_RETRY_MS.1));
                }
            }
        }
        pause = Duration::from_millis(first);
        blocking(&shared, move |queue| queue.delivered(&request)).await?;
        shared.delivered.notify_one();
    }
}

/// Waits between half and all of a pause, so that a fleet does not come all at once; a stop ends it once.
async fn wait(pause: Duration, stop: &mut watch::Receiver<bool>) {
    let pause = pause.min(Duration::from_millis(AGENT_RETRY_MS.1)).mul_f64(rand::rng().random_range(0.5..=1.0));
    if *stop.borrow() {
        return tokio::time::sleep(pause).await;
    }
    tokio::select! {
        () = tokio::time::sleep(pause) => {}
        _ = stop.changed() => {}
    }
}

async fn blocking<T: Send + 'static>(
    shared: &Arc<Shared>,
    act: impl FnOnce(&mut crate::queue::Queue) -> Result<T, QueueError> + Send + 'static,
) -> Result<T, QueueError> {
    let shared = Arc::clone(shared);
    tokio::task::spawn_blocking(move || shared.with_queue(act)).await.unwrap_or(Err(QueueError::Closed))
}

fn outcome(status: StatusCode, after: Option<Duration>, body: &Bytes) -> Outcome {
    if status.is_success() {
        let (refused, message) = partial_success(body).unwrap_or_default();
        return Outcome::Stored { refused, message };
    }
    let text: String = String::from_utf8_lossy(body).chars().filter(|char| !char.is_control()).take(300).collect();
    let reason = format!("{status}: {text}");
    // Only what is wrong with the request itself is final: a wrong address or token is mended on one side or the other.
    match status {
        StatusCode::BAD_REQUEST
        | StatusCode::CONFLICT
        | StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::UNSUPPORTED_MEDIA_TYPE
        | StatusCode::UNPROCESSABLE_ENTITY => Outcome::Refused(reason),
        _ => Outcome::Later { reason, after },
    }
}

/// Reads how many rows a partial success refused, and why.
fn partial_success(body: &[u8]) -> Option<(u64, String)> {
    const PARTIAL_SUCCESS: u32 = wire::len(1);
    const REJECTED: u32 = wire::varint(1);
    const MESSAGE: u32 = wire::len(2);
    let mut answer = wire::Reader::new(body);
    let mut told = (0, String::new());
    while let Some(tag) = answer.tag().ok()? {
        if tag != PARTIAL_SUCCESS {
            answer.skip(tag, 0).ok()?;
            continue;
        }
        let mut partial = wire::Reader::new(answer.bytes().ok()?);
        while let Some(tag) = partial.tag().ok()? {
            match tag {
                REJECTED => told.0 = partial.varint().ok()?,
                MESSAGE => told.1 = String::from_utf8_lossy(partial.bytes().ok()?).into_owned(),
                _ => partial.skip(tag, 0).ok()?,
            }
        }
    }
    Some(told)
}

fn retry_after(answer: &reqwest::Response) -> Option<Duration> {
    let seconds = answer.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}
