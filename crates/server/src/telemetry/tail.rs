//! New log records and events, sent as they are acknowledged, as server-sent events.
//!
//! Nothing is kept for a reader: whoever is ready for more is given what came since the last row that was looked at, in
//! the order of `_seq`, each row once. Rows that moved to ClickHouse meanwhile are read from there; a reader that is
//! further behind than [`TAIL_CATCH_UP_ROWS`] is told how many rows were not looked at.

use std::collections::VecDeque;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use axum::routing::{MethodRouter, get as getting};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, header};
use serde_json::json;
use tidegate_core::buffer::{BufferError, Chunk};
use tidegate_core::query::telemetry::{Asking, Record, RecordFilter, RecordKind, matching};
use tidegate_model::limits::{TAIL_CATCH_UP_ROWS, TAIL_LOOK_MS, TAIL_READERS_MAX, TAIL_SIGN_OF_LIFE_MS};
use tidegate_model::{ErrorKind, Seq};
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time::Instant;

use super::asked::{Asked, EVENTS, RECORDS, SPAN};
use crate::errors::{Failure, chain};
use crate::stages::Stages;

/// Becomes true when the server stops: streams without an end of their own end then.
#[derive(Debug, Clone)]
pub(crate) struct Stopping(pub(crate) watch::Receiver<bool>);

/// One for each reader; all servers of a process share them.
static READERS: Semaphore = Semaphore::const_new(TAIL_READERS_MAX);

/// Answers `GET /v1/json/…/tail`.
pub(super) fn following(kind: RecordKind) -> MethodRouter<Stages> {
    getting(
        move |State(stages): State<Stages>,
              Extension(Stopping(stop)): Extension<Stopping>,
              RawQuery(query): RawQuery| async move {
            match begin(&stages, kind, query.as_deref(), stop) {
                Ok(reader) => answer(reader),
                Err(failure) => failure.answer(&stages.request_id()),
            }
        },
    )
}

fn begin(
    stages: &Stages,
    kind: RecordKind,
    query: Option<&str>,
    stop: watch::Receiver<bool>,
) -> Result<Reader, Failure> {
    let filter = match kind {
        RecordKind::Logs => Asked::parse(query, &[SPAN, RECORDS])?,
        RecordKind::Events => Asked::parse(query, &[SPAN, RECORDS, EVENTS])?,
    }
    .records(kind)?;
    let permit = READERS.try_acquire().map_err(|_| {
        let message = format!("{TAIL_READERS_MAX} readers follow what comes already: try again when one has left");
        Failure::new(ErrorKind::Overloaded, message)
    })?;
    let seen =
        stages.buffer.snapshot(std::slice::from_ref(&kind.spec().name)).first().map_or(Seq::ZERO, |tail| tail.head);
    // Headers go out at once: a reader knows from when on it is told.
    let ready = VecDeque::from([event("begin", None, &json!({ "after": seen }))]);
    Ok(Reader { stages: stages.clone(), kind, filter, seen, ready, stop, _permit: permit })
}

fn answer(reader: Reader) -> Response {
    let pieces = stream::unfold(reader, |mut reader| async move {
        let piece = reader.next().await?;
        Some((Ok::<_, BufferError>(piece), reader))
    });
    let mut response = Response::new(Body::from_stream(pieces));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// One reader: how far it is, and what it is yet to be given of that.
struct Reader {
    stages: Stages,
    kind: RecordKind,
    filter: RecordFilter,
    /// Rows up to here were looked at.
    seen: Seq,
    ready: VecDeque<Bytes>,
    stop: watch::Receiver<bool>,
    _permit: SemaphorePermit<'static>,
}

impl Reader {
    /// Returns the next piece of the stream; `None` when the server stops.
    async fn next(&mut self) -> Option<Bytes> {
        let quiet_until = Instant::now() + Duration::from_millis(TAIL_SIGN_OF_LIFE_MS);
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Some(piece);
            }
            if *self.stop.borrow() {
                return None;
            }
            if Instant::now() >= quiet_until {
                return Some(Bytes::from_static(b": nothing yet\n\n"));
            }
            if !self.look().await {
                tokio::time::sleep(Duration::from_millis(TAIL_LOOK_MS)).await;
            }
        }
    }

    /// Looks at what came since; says whether anything did.
    async fn look(&mut self) -> bool {
        let name = self.kind.spec().name.clone();
        let Some(tail) = self.stages.buffer.snapshot_above(&[(name, self.seen)]).pop() else { return false };
        if tail.stored > self.seen {
            self.catch_up(tail.stored).await;
            return true;
        }
        // A request at a time: so much is held for a reader, and no more.
        let Some(chunk) = tail.chunks.into_iter().next() else { return false };
        let chunk = chunk.above(self.seen);
        let last = chunk.range.last;
        match self.matching(chunk).await {
            Ok(records) => self.push(&records),
            Err(why) => self.lose(last, &why),
        }
        self.seen = last;
        true
    }

    async fn matching(&self, chunk: Chunk) -> Result<Vec<Record>, String> {
        let (kind, filter) = (self.kind, self.filter.clone());
        let found = tokio::task::spawn_blocking(move || {
            let rows = chunk.rows().map_err(|error| chain(&error))?;
            matching(kind, &filter, (chunk.range.first, &rows)).map_err(|error| chain(&error))
        });
        found.await.map_err(|error| chain(&error))?
    }

    /// Gives what moved to ClickHouse before it was looked at, if that is not too much.
    async fn catch_up(&mut self, stored: Seq) {
        let missed = stored.0 - self.seen.0;
        if missed > TAIL_CATCH_UP_ROWS {
            self.lose(stored, "the reader was too slow");
        } else {
            let asking = Asking { query_id: self.stages.request_id(), ..Asking::default() };
            let between = (self.seen, stored);
            match self.stages.query.records_between(self.kind, &self.filter, between, &asking).await {
                Ok(records) => self.push(&records),
                Err(error) => self.lose(stored, &chain(&error)),
            }
        }
        self.seen = stored;
    }

    fn push(&mut self, records: &[Record]) {
        let told = records.iter().map(|record| event("entry", Some(record.seq), &record.to_json(self.kind)));
        self.ready.extend(told);
    }

    /// Tells that rows were not looked at: how many of them are wanted nobody knows.
    fn lose(&mut self, last: Seq, why: &str) {
        let (first, rows) = (self.seen.next(), last.0 - self.seen.0);
        tracing::info!(table = %self.kind.spec().name, rows, why, "a reader of new rows was not given some");
        let told =
            json!({ "from": first, "to": last, "rows": rows, "why": "the reader was too slow, or ClickHouse is away" });
        self.ready.push_back(event("lost", None, &told));
    }
}

fn event(name: &str, id: Option<u64>, data: &serde_json::Value) -> Bytes {
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    Bytes::from(format!("event: {name}\n{id}data: {data}\n\n"))
}
