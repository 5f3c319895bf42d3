//! An answer's headers and body, and how an error reaches a client that already reads.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use hyper::body::{Body, Frame};
use rand::Rng;
use tokio::sync::mpsc;

use crate::connection::Progress;
use crate::engine::{CancelOnDrop, Engine};
use crate::exception::Exception;

use super::request::RequestHead;
use super::socket::Flushes;

/// A piece of an answer on its way to the socket.
#[derive(Debug)]
pub(crate) enum Piece {
    /// Encoded bytes.
    Data(Bytes),
    /// The answer is whole.
    End,
}

/// The answer was broken off after its error's text.
#[derive(Debug, thiserror::Error)]
#[error("the query failed after its answer had begun")]
pub(crate) struct BrokenOff;

/// The body of every answer.
pub(crate) struct AnswerBody {
    first: Option<Bytes>,
    rest: Option<mpsc::Receiver<Piece>>,
    cancel: Option<CancelOnDrop>,
    flushes: Flushes,
    broken: bool,
}

impl AnswerBody {
    /// A body that is known whole.
    pub(crate) fn whole(data: impl Into<Bytes>) -> Self {
        let first = Some(data.into()).filter(|data| !data.is_empty());
        Self { first, rest: None, cancel: None, flushes: Flushes::default(), broken: false }
    }

    /// A body whose pieces come from a query's thread; dropped early, it cancels the query.
    pub(super) fn streaming(first: Bytes, rest: mpsc::Receiver<Piece>, cancel: CancelOnDrop, flushes: Flushes) -> Self {
        Self { rest: Some(rest), cancel: Some(cancel), flushes, ..Self::whole(first) }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        if self.broken {
            return self.flushes.poll_next(context).map(|()| Some(Err(BrokenOff)));
        }
        let Some(rest) = &mut self.rest else { return Poll::Ready(None) };
        match rest.poll_recv(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Piece::Data(data))) => Poll::Ready(Some(Ok(Frame::data(data)))),
            Poll::Ready(Some(Piece::End)) => {
                self.disarm();
                self.rest = None;
                Poll::Ready(None)
            }
            // Without an `End` the query failed. What it said goes out first, then the connection breaks.
            Poll::Ready(None) => {
                self.disarm();
                self.broken = true;
                self.flushes.poll_next(context).map(|()| Some(Err(BrokenOff)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.rest.is_none()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        match (&self.first, &self.rest) {
            (first, None) => {
                let bytes = first.as_ref().map_or(0, Bytes::len);
                hyper::body::SizeHint::with_exact(u64::try_from(bytes).unwrap_or(u64::MAX))
            }
            _ => hyper::body::SizeHint::default(),
        }
    }
}

impl AnswerBody {
    fn disarm(&mut self) {
        if let Some(cancel) = &mut self.cancel {
            cancel.armed = false;
        }
    }
}

/// An answer's own facts, for its headers.
#[derive(Debug, Clone)]
pub(crate) struct AnswerFacts {
    pub(crate) query_id: String,
    pub(crate) format: String,
    pub(crate) exception_tag: String,
    pub(crate) progress: Progress,
    pub(crate) elapsed: Duration,
}

/// Builds an answer of status 200.
pub(crate) fn answer(
    engine: &Engine,
    head: &RequestHead,
    facts: &AnswerFacts,
    body: AnswerBody,
) -> Response<AnswerBody> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    let content_type = if head.compress { "application/octet-stream" } else { content_type(&facts.format) };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Some(encoding) = head.accept_encoding {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding.name()));
    }
    let mut set = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    set("x-clickhouse-server-display-name", "tidegate-engine");
    set("x-clickhouse-query-id", &facts.query_id);
    set("x-clickhouse-format", &facts.format);
    set("x-clickhouse-timezone", engine.timezone());
    set("x-clickhouse-exception-tag", &facts.exception_tag);
    set("x-clickhouse-summary", &summary(facts));
    response
}

/// Builds the answer of a statement that failed before its first byte.
pub(crate) fn refusal(engine: &Engine, query_id: Option<&str>, exception: &Exception) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::whole(format!("{}\n", with_version(engine, exception))));
    *response.status_mut() = exception.status();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=UTF-8"));
    headers.insert("x-clickhouse-exception-code", HeaderValue::from(exception.code));
    headers.insert("x-clickhouse-server-display-name", HeaderValue::from_static("tidegate-engine"));
    if let Some(Ok(id)) = query_id.map(HeaderValue::from_str) {
        headers.insert("x-clickhouse-query-id", id);
    }
    if exception.status() == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// Builds a short plain answer.
pub(crate) fn plain(status: StatusCode, text: &'static str) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::whole(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=UTF-8"));
    response
}

/// Words an error that comes in the middle of an answer: the form that ClickHouse has had since 25.11.
pub(crate) fn exception_tail(engine: &Engine, exception: &Exception, tag: &str) -> String {
    let message = format!("{}\n", with_version(engine, exception));
    format!("\r\n__exception__\r\n{tag}\r\n{message}{} {tag}\r\n__exception__\r\n", message.len())
}

/// Draws the tag by which a client tells an error's text from rows that look like one.
pub(crate) fn exception_tag() -> String {
    let mut random = rand::rng();
    (0..16).map(|_| char::from(random.random_range(b'a'..=b'z'))).collect()
}

fn with_version(engine: &Engine, exception: &Exception) -> String {
    if exception.text.contains("(version ") {
        return exception.text.clone();
    }
    format!("{} (version {} (official build))", exception.text, engine.version())
}

fn summary(facts: &AnswerFacts) -> String {
    let progress = &facts.progress;
    let numbers = [
        ("read_rows", progress.read_rows),
        ("read_bytes", progress.read_bytes),
        ("written_rows", progress.written_rows),
        ("written_bytes", progress.written_bytes),
        ("total_rows_to_read", progress.read_rows),
        ("result_rows", if progress.written_rows > 0 { progress.written_rows } else { progress.result_rows }),
        ("result_bytes", progress.written_bytes),
        ("elapsed_ns", u64::try_from(facts.elapsed.as_nanos()).unwrap_or(u64::MAX)),
    ];
    let members: Vec<String> = numbers.iter().map(|(name, number)| format!("\"{name}\":\"{number}\"")).collect();
    format!("{{{}}}", members.join(","))
}

fn content_type(format: &str) -> &'static str {
    let names = |prefix: &str| format.starts_with(prefix);
    if names("JSONEachRow")
        || names("JSONCompactEachRow")
        || names("JSONStringsEachRow")
        || names("JSONLines")
        || names("NDJSON")
    {
        "application/x-ndjson; charset=UTF-8"
    } else if names("JSON") {
        "application/json; charset=UTF-8"
    } else if names("CSV") {
        "text/csv; charset=UTF-8; header=present"
    } else if names("TabSeparated") || names("TSV") {
        "text/tab-separated-values; charset=UTF-8"
    } else if names("XML") {
        "application/xml; charset=UTF-8"
    } else if names("Arrow") {
        "application/vnd.apache.arrow.stream"
    } else if names("Pretty") || names("Values") || names("Vertical") || names("Markdown") || names("SQLInsert") {
        "text/plain; charset=UTF-8"
    } else {
        "application/octet-stream"
    }
}
