//! The rows of an insert, on their way from the thread that encodes them to the socket, a few pieces at a time.

use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use tidegate_model::limits::{BATCH_PIECE_BYTES, BATCH_PIECES_WAITING_MAX};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::Compression;

/// A piece, or the mark that all came; a channel that ends without it is an encoder that failed.
type Step = Option<Bytes>;

/// The end into which an Arrow IPC stream is written, from a thread that may block.
#[derive(Debug)]
pub struct Outlet {
    pieces: mpsc::Sender<Step>,
    insert: oneshot::Sender<()>,
    waited: Duration,
}

/// The end that an insert takes.
#[derive(Debug)]
pub struct ArrowRows {
    pieces: mpsc::Receiver<Step>,
    /// Goes with the insert, whatever becomes of the request's body.
    insert: Option<oneshot::Receiver<()>>,
}

/// The insert is over; nobody takes the rest of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

impl Outlet {
    /// Makes both ends.
    #[must_use]
    pub fn open() -> (Self, ArrowRows) {
        let (pieces, taken) = mpsc::channel(BATCH_PIECES_WAITING_MAX);
        let (insert, ended) = oneshot::channel();
        (Self { pieces, insert, waited: Duration::ZERO }, ArrowRows { pieces: taken, insert: Some(ended) })
    }

    /// Sends bytes; waits while enough are on their way. Blocks.
    pub fn push(&mut self, piece: Bytes) -> Result<(), Gone> {
        self.send(Some(piece))
    }

    /// Says that the stream is whole; without this the insert fails. Returns how long was waited for the socket.
    pub fn finish(mut self) -> Result<Duration, Gone> {
        self.send(None)?;
        Ok(self.waited)
    }

    fn send(&mut self, step: Step) -> Result<(), Gone> {
        let step = match self.pieces.try_send(step) {
            Ok(()) => return Ok(()),
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(Gone),
            Err(mpsc::error::TrySendError::Full(step)) => step,
        };
        let began = Instant::now();
        let sent = Handle::current().block_on(async {
            tokio::select! {
                sent = self.pieces.send(step) => sent.map_err(|_| Gone),
                () = self.insert.closed() => Err(Gone),
            }
        });
        self.waited += began.elapsed();
        sent
    }
}

impl ArrowRows {
    /// Takes the part that says to the encoder, when it is dropped, that the insert is over.
    pub(super) fn take_insert(&mut self) -> Option<oneshot::Receiver<()>> {
        self.insert.take()
    }

    /// Puts a statement before the rows, and compresses both.
    pub(super) fn into_body(self, statement: String, compression: Compression) -> RowsBody {
        let plain = RowsBody { statement: Some(statement.into()), pieces: self.pieces };
        if compression == Compression::None {
            return plain;
        }
        let (to, pieces) = mpsc::channel(BATCH_PIECES_WAITING_MAX);
        tokio::task::spawn_blocking(move || {
            // What fails here ends the channel without its mark, and so the request.
            let _ = compress(plain, compression, Compressed { to, gathered: Vec::new() });
        });
        RowsBody { statement: None, pieces }
    }
}

impl From<Vec<Bytes>> for ArrowRows {
    fn from(stream: Vec<Bytes>) -> Self {
        let (to, pieces) = mpsc::channel(stream.len() + 1);
        for step in stream.into_iter().map(Some).chain([None]) {
            to.try_send(step).expect("the channel was made for all of them");
        }
        Self { pieces, insert: None }
    }
}

/// An insert's body; its length is not known, so it is sent in chunks.
#[derive(Debug)]
pub(super) struct RowsBody {
    statement: Option<Bytes>,
    pieces: mpsc::Receiver<Step>,
}

/// The rows ended before their end: the request must not look whole.
#[derive(Debug, thiserror::Error)]
#[error("the rows could not be encoded to their end")]
pub(super) struct BrokenOff;

impl Body for RowsBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        if let Some(statement) = self.statement.take() {
            return Poll::Ready(Some(Ok(Frame::data(statement))));
        }
        self.pieces.poll_recv(context).map(|step| match step {
            Some(Some(piece)) => Some(Ok(Frame::data(piece))),
            Some(None) => None,
            None => Some(Err(BrokenOff)),
        })
    }
}

impl From<RowsBody> for reqwest::Body {
    fn from(rows: RowsBody) -> Self {
        Self::wrap(rows)
    }
}

fn compress(mut plain: RowsBody, compression: Compression, out: Compressed) -> io::Result<()> {
    let statement = plain.statement.take().unwrap_or_default();
    let mut all = |write: &mut dyn Write| {
        write.write_all(&statement)?;
        loop {
            match plain.pieces.blocking_recv() {
                Some(Some(piece)) => write.write_all(&piece)?,
                Some(None) => return Ok(()),
                None => return Err(io::Error::other(BrokenOff)),
            }
        }
    };
    let out = match compression {
        Compression::None => {
            let mut out = out;
            all(&mut out)?;
            out
        }
        Compression::Lz4 => {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(out);
            all(&mut encoder)?;
            encoder.finish().map_err(io::Error::other)?
        }
        Compression::Zstd => {
            let mut encoder = zstd::Encoder::new(out, zstd::DEFAULT_COMPRESSION_LEVEL)?;
            all(&mut encoder)?;
            encoder.finish()?
        }
    };
    out.finish()
}

/// Gathers compressed bytes to pieces.
struct Compressed {
    to: mpsc::Sender<Step>,
    gathered: Vec<u8>,
}

impl Compressed {
    fn send(&self, step: Step) -> io::Result<()> {
        self.to.blocking_send(step).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn finish(mut self) -> io::Result<()> {
        self.flush_gathered()?;
        self.send(None)
    }

    fn flush_gathered(&mut self) -> io::Result<()> {
        let gathered = std::mem::take(&mut self.gathered);
        if gathered.is_empty() { Ok(()) } else { self.send(Some(gathered.into())) }
    }
}

impl Write for Compressed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() >= BATCH_PIECE_BYTES {
            self.flush_gathered()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
