use std::sync::{Arc, Mutex, PoisonError};

use crate::limits::AGENT_REQUEST_BYTES;
use tidegate_model::Signal;
use tokio::sync::{Notify, mpsc};

use crate::counts::Counts;
use crate::queue::{Entry, MarkChange, Queue, QueueError};
use crate::rows::Piece;
use crate::settings::Compression;

/// zstd's cheapest level that still packs text five times.
const ZSTD_LEVEL: i32 = 1;

/// What writer and sender share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) queue: Mutex<Queue>,
    pub(crate) counts: Counts,
    /// Told when there is something to send.
    pub(crate) written: Notify,
    /// Told when there may be room again.
    pub(crate) delivered: Notify,
}

impl Shared {
    pub(crate) fn with_queue<T>(&self, act: impl FnOnce(&mut Queue) -> T) -> T {
        act(&mut self.queue.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Pieces of one signal that go out as one request.
#[derive(Debug)]
struct Request {
    signal: Signal,
    rows: u32,
    body: Vec<u8>,
    marks: Vec<MarkChange>,
    may_drop: bool,
}

/// Writes pieces into the queue, in their order, until nobody sends any more.
///
/// A full queue holds up everything but what may be dropped: sources are then not read on.
pub(crate) async fn run(
    shared: Arc<Shared>,
    mut pieces: mpsc::Receiver<Piece>,
    compression: Compression,
) -> Result<(), QueueError> {
    let mut next = None;
    loop {
        let Some(first) = (match next.take() {
            Some(piece) => Some(piece),
            None => pieces.recv().await,
        }) else {
            return Ok(());
        };
        let mut request = Request::of(first);
        while let Ok(piece) = pieces.try_recv() {
            if let Some(other) = request.join(piece) {
                next = Some(other);
                break;
            }
        }
        write(&shared, request, compression).await?;
    }
}

impl Request {
    fn of(piece: Piece) -> Self {
        let Piece { signal, rows, body, marks, may_drop } = piece;
        Self { signal, rows, body, marks, may_drop }
    }

    /// Takes a piece in; gives it back when it does not belong in here.
    fn join(&mut self, mut piece: Piece) -> Option<Piece> {
        let fits = self.body.len() + piece.body.len() <= AGENT_REQUEST_BYTES;
        if self.signal != piece.signal || self.may_drop != piece.may_drop || !fits {
            return Some(piece);
        }
        self.rows = self.rows.saturating_add(piece.rows);
        // Protobuf: a message behind another of its kind is both in one.
        self.body.append(&mut piece.body);
        self.marks.append(&mut piece.marks);
        None
    }
}

async fn write(shared: &Arc<Shared>, request: Request, compression: Compression) -> Result<(), QueueError> {
    let request = Arc::new(pack(request, compression));
    loop {
        // Made before the attempt, so that room that comes in between is not missed.
        let room = shared.delivered.notified();
        let (sharing, writing) = (Arc::clone(shared), Arc::clone(&request));
        let outcome = tokio::task::spawn_blocking(move || sharing.with_queue(|queue| append(queue, &writing))).await;
        match outcome.unwrap_or(Err(QueueError::Closed)) {
            Ok(()) => {
                Counts::add(&shared.counts.collected_rows, u64::from(request.0.rows));
                shared.written.notify_one();
                return Ok(());
            }
            Err(QueueError::Full { .. }) if request.0.may_drop => {
                Counts::add(&shared.counts.dropped_rows, u64::from(request.0.rows));
                return Ok(());
            }
            Err(QueueError::Full { used, max }) => {
                tracing::warn!(
                    used,
                    max,
                    "the queue is full: sources are not read on until the server takes something"
                );
                room.await;
            }
            Err(error) => return Err(error),
        }
    }
}

fn append(queue: &mut Queue, (request, is_packed): &(Request, bool)) -> Result<(), QueueError> {
    if request.rows == 0 {
        queue.note(&request.marks)?;
    } else {
        let Request { signal, rows, body, marks, .. } = request;
        queue.append(&Entry { signal: *signal, rows: *rows, body, is_packed: *is_packed, marks })?;
    }
    queue.sync()
}

fn pack(mut request: Request, compression: Compression) -> (Request, bool) {
    if compression == Compression::None || request.rows == 0 {
        return (request, false);
    }
    match zstd::bulk::compress(&request.body, ZSTD_LEVEL) {
        Ok(packed) => {
            request.body = packed;
            (request, true)
        }
        // Not packed is as good, only larger.
        Err(_) => (request, false),
    }
}
