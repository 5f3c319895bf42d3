use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use memchr::memmem::Finder;
use reqwest::header::{CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING};
use reqwest::{Response, Version};
use tidegate_model::limits::STORE_ERROR_BYTES_MAX;
use tokio::time::{Instant, timeout_at};

use super::StoreError;
use super::select::KillGuard;
use tidegate_model::chain;

/// A running answer.
pub struct Answer {
    /// The body, as it comes; ends with an error when it was cut off or failed on the way.
    pub body: BoxStream<'static, Result<Bytes, StoreError>>,
    /// `X-ClickHouse-Summary` as sent with the headers, JSON.
    pub summary: Option<String>,
}

/// What a running answer is held to.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) deadline: Instant,
    pub(super) limit: Duration,
    pub(super) guard: KillGuard,
    /// The answer may be compressed, in a form that knows its own end.
    pub(super) has_frames: bool,
}

impl Answer {
    pub(super) fn over(response: Response, watch: Watch) -> Self {
        let summary = header(response.headers(), "x-clickhouse-summary").map(str::to_owned);
        let scanner = Scanner::new(header(response.headers(), "x-clickhouse-exception-tag"));
        // A decompressed body has lost its length, but the decoder refuses a frame without its end.
        let has_end = watch.has_frames || has_end(&response);
        let state = Some(Body { response, watch, scanner, has_end });
        let body = stream::unfold(state, |state| async move {
            let (item, state) = state?.next().await;
            item.map(|item| (item, state))
        });
        Self { body: body.boxed(), summary }
    }
}

struct Body {
    response: Response,
    watch: Watch,
    scanner: Scanner,
    has_end: bool,
}

impl Body {
    /// Returns the next item, and the rest unless this was the last.
    async fn next(mut self) -> (Option<Result<Bytes, StoreError>>, Option<Self>) {
        loop {
            match timeout_at(self.watch.deadline, self.response.chunk()).await {
                Err(_) => return (Some(Err(StoreError::Timeout(self.watch.limit))), None),
                Ok(Ok(Some(chunk))) => {
                    let data = self.scanner.push(chunk);
                    if !data.is_empty() {
                        return (Some(Ok(data)), Some(self));
                    }
                }
                Ok(Err(error)) => return (Some(Err(self.broken(&error.without_url()))), None),
                Ok(Ok(None)) => return self.ended(),
            }
        }
    }

    fn ended(mut self) -> (Option<Result<Bytes, StoreError>>, Option<Self>) {
        if let Some(error) = self.scanner.exception() {
            self.watch.guard.disarm();
            return (Some(Err(error)), None);
        }
        if !self.has_end {
            return (Some(Err(StoreError::CutOff("it had no length and no end mark".into()))), None);
        }
        let rest = self.scanner.rest();
        if rest.is_empty() {
            self.watch.guard.disarm();
            return (None, None);
        }
        // The next poll reads the end once more, with nothing held back.
        (Some(Ok(rest)), Some(self))
    }

    fn broken(&self, error: &reqwest::Error) -> StoreError {
        self.scanner.exception().unwrap_or_else(|| StoreError::CutOff(chain(error)))
    }
}

/// Tells the bytes of an answer from the exception that ClickHouse writes behind them when it fails on the way:
/// `\r\n__exception__\r\n<tag>\r\n<text>…`, with a tag that the headers announced.
struct Scanner {
    mark: Option<Finder<'static>>,
    /// Bytes that may be the beginning of the mark; after it: the exception's text.
    held: BytesMut,
    is_exception: bool,
}

impl Scanner {
    fn new(tag: Option<&str>) -> Self {
        let mark = tag.map(|tag| Finder::new(format!("\r\n__exception__\r\n{tag}\r\n").as_bytes()).into_owned());
        Self { mark, held: BytesMut::new(), is_exception: false }
    }

    /// Takes the next bytes, returns those that are surely data.
    fn push(&mut self, chunk: Bytes) -> Bytes {
        let Some(mark) = &self.mark else { return chunk };
        if self.is_exception {
            let room = STORE_ERROR_BYTES_MAX.saturating_sub(self.held.len());
            self.held.extend_from_slice(&chunk[..chunk.len().min(room)]);
            return Bytes::new();
        }
        if self.held.is_empty() && !ends_like(&chunk, mark.needle()) && mark.find(&chunk).is_none() {
            return chunk;
        }
        self.held.extend_from_slice(&chunk);
        if let Some(at) = mark.find(&self.held) {
            self.is_exception = true;
            let data = self.held.split_to(at).freeze();
            let _ = self.held.split_to(mark.needle().len());
            return data;
        }
        let keep = tail_like(&self.held, mark.needle());
        self.held.split_to(self.held.len() - keep).freeze()
    }

    fn exception(&self) -> Option<StoreError> {
        self.is_exception.then(|| StoreError::from_text(&exception_text(&self.held)))
    }

    fn rest(&mut self) -> Bytes {
        self.held.split().freeze()
    }
}

/// Cuts off what follows the text: `\r\n<length> <tag>\r\n__exception__\r\n`.
fn exception_text(held: &[u8]) -> String {
    let text = String::from_utf8_lossy(held);
    let text = text.split_once("\r\n__exception__").map_or(text.as_ref(), |(text, _)| text);
    text.rsplit_once("\r\n").map_or(text, |(text, _)| text).trim().to_owned()
}

fn ends_like(chunk: &[u8], mark: &[u8]) -> bool {
    tail_like(chunk, mark) > 0
}

/// Returns how many of the last bytes may be the beginning of the mark.
fn tail_like(bytes: &[u8], mark: &[u8]) -> usize {
    (1..mark.len().min(bytes.len() + 1)).rev().find(|&n| bytes.ends_with(&mark[..n])).unwrap_or(0)
}

/// Says whether the transport can tell a whole body from a cut one.
fn has_end(response: &Response) -> bool {
    let headers = response.headers();
    response.version() >= Version::HTTP_2
        || headers.contains_key(TRANSFER_ENCODING)
        || headers.contains_key(CONTENT_LENGTH)
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod scanner_tests {
    use super::*;

    const TAG: &str = "abcdefghijklmnop";

    fn check(pieces: &[&str], data: &str, exception: Option<i32>) {
        let mut scanner = Scanner::new(Some(TAG));
        let mut passed = Vec::new();
        for piece in pieces {
            passed.extend_from_slice(&scanner.push(Bytes::copy_from_slice(piece.as_bytes())));
        }
        let code = scanner.exception().map(|error| match error {
            StoreError::Refused { code, text } => {
                assert!(!text.contains(TAG) && !text.contains("__exception__"), "{text}");
                code
            }
            other => panic!("{other:?}"),
        });
        if code.is_none() {
            passed.extend_from_slice(&scanner.rest());
        }
        assert_eq!((String::from_utf8_lossy(&passed).as_ref(), code), (data, exception));
    }

    #[test]
    fn an_exception_in_the_middle_is_told_from_the_data_wherever_the_pieces_break() {
        let block = format!(
            "\r\n__exception__\r\n{TAG}\r\nCode: 395. DB::Exception: gone wrong: while executing.\r\n50 {TAG}\r\n__exception__\r\n"
        );
        let whole = format!("1\n2\n{block}");
        for cut in 0..whole.len() {
            let (first, second) = whole.split_at(cut);
            check(&[first, second], "1\n2\n", Some(395));
        }
        let bytes: Vec<String> = whole.chars().map(String::from).collect();
        check(&bytes.iter().map(String::as_str).collect::<Vec<_>>(), "1\n2\n", Some(395));
    }

    #[test]
    fn data_that_looks_like_the_beginning_of_an_exception_is_data() {
        check(
            &["a\r\n__exception__\r\n", "another tag\r\n", "b\r\n__exc"],
            "a\r\n__exception__\r\nanother tag\r\nb\r\n__exc",
            None,
        );
        check(&["a\r\n", "\r\n__exception__", "\r\n"], "a\r\n\r\n__exception__\r\n", None);
        check(&[], "", None);
    }
}
