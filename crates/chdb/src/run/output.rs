use std::time::Instant;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::codec::encode::Encoder;
use crate::connection::Progress;
use crate::engine::{Engine, cancelled};
use crate::exception::Exception;
use crate::http::{AnswerFacts, Piece, RequestHead, exception_tail};
use crate::limits::{ANSWER_HEAD_BYTES, PIECES_IN_FLIGHT, WHOLE_ANSWER_BYTES_MAX};

/// How a statement ended, or began to answer.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Status 200: the first bytes, and where the others come from.
    Answer { facts: AnswerFacts, first: Bytes, rest: Option<mpsc::Receiver<Piece>> },
    /// It failed before its first byte.
    Refused(Exception),
}

/// The answer's way out: held back at first, so that an early error has its own status; then streamed.
pub(super) struct Output {
    engine: Engine,
    facts: AnswerFacts,
    started: Instant,
    encoder: Option<Encoder>,
    held: Vec<u8>,
    held_max: usize,
    reply: Option<oneshot::Sender<Outcome>>,
    pieces: Option<mpsc::Sender<Piece>>,
    encoding: (Option<crate::codec::Encoding>, bool),
}

impl Output {
    pub(super) fn new(
        engine: Engine,
        head: &RequestHead,
        facts: AnswerFacts,
        started: Instant,
        reply: oneshot::Sender<Outcome>,
    ) -> Self {
        let held_max = if head.wait_end { WHOLE_ANSWER_BYTES_MAX } else { ANSWER_HEAD_BYTES };
        let encoding = (head.accept_encoding, head.compress);
        let (encoder, held, reply, pieces) = (None, Vec::new(), Some(reply), None);
        Self { engine, facts, started, encoder, held, held_max, reply, pieces, encoding }
    }

    /// Names the answer's format, before its first byte.
    pub(super) fn begin(&mut self, format: &str) -> Result<(), Exception> {
        format.clone_into(&mut self.facts.format);
        self.encoder = Some(Encoder::new(self.encoding.0, self.encoding.1).map_err(Exception::internal)?);
        Ok(())
    }

    /// Says what the summary tells.
    pub(super) const fn add(&mut self, progress: Progress) {
        self.facts.progress = progress;
    }

    /// Takes one piece of the answer.
    pub(super) fn piece(&mut self, data: &[u8]) -> Result<(), Exception> {
        if self.reply.is_none() {
            return self.send(data);
        }
        self.held.extend_from_slice(data);
        if self.held.len() < self.held_max {
            return Ok(());
        }
        let held = std::mem::take(&mut self.held);
        let first = self.encode(&held)?;
        let (sender, rest) = mpsc::channel(PIECES_IN_FLIGHT);
        self.pieces = Some(sender);
        self.reply(Bytes::from(first), Some(rest))
    }

    /// Sends the answer's end, or its error: as the status when nothing was sent, else as text before the connection breaks.
    ///
    /// Called when the statement has left its connection, session and slot: a client that has its
    /// answer finds them free.
    pub(super) fn conclude(mut self, result: Result<(), Exception>) {
        match result.and_then(|()| self.end()) {
            Ok(()) => {}
            Err(exception) => self.fail(&exception),
        }
    }

    fn end(&mut self) -> Result<(), Exception> {
        let held = std::mem::take(&mut self.held);
        let last = self.last_bytes(&held)?;
        match self.pieces.take() {
            None => self.reply(last, None),
            Some(pieces) => {
                let sent = if last.is_empty() { Ok(()) } else { pieces.blocking_send(Piece::Data(last)) };
                sent.and_then(|()| pieces.blocking_send(Piece::End)).map_err(|_| cancelled())
            }
        }
    }

    fn fail(&mut self, exception: &Exception) {
        if let Some(reply) = self.reply.take() {
            let _gone = reply.send(Outcome::Refused(exception.clone()));
            return;
        }
        let tail = exception_tail(&self.engine, exception, &self.facts.exception_tag);
        if let (Ok(last), Some(pieces)) = (self.last_bytes(tail.as_bytes()), self.pieces.take()) {
            let _gone = pieces.blocking_send(Piece::Data(last));
        }
    }

    fn last_bytes(&mut self, data: &[u8]) -> Result<Bytes, Exception> {
        let mut last = self.encode(data)?;
        if let Some(encoder) = self.encoder.take() {
            last.extend(encoder.finish().map_err(Exception::internal)?);
        }
        Ok(Bytes::from(last))
    }

    fn send(&mut self, data: &[u8]) -> Result<(), Exception> {
        let encoded = self.encode(data)?;
        match &self.pieces {
            Some(_) if encoded.is_empty() => Ok(()),
            Some(pieces) => pieces.blocking_send(Piece::Data(Bytes::from(encoded))).map_err(|_| cancelled()),
            None => Err(cancelled()),
        }
    }

    fn encode(&mut self, data: &[u8]) -> Result<Vec<u8>, Exception> {
        match &mut self.encoder {
            Some(encoder) if !data.is_empty() => encoder.piece(data).map_err(Exception::internal),
            _ => Ok(Vec::new()),
        }
    }

    fn reply(&mut self, first: Bytes, rest: Option<mpsc::Receiver<Piece>>) -> Result<(), Exception> {
        self.facts.elapsed = self.started.elapsed();
        let outcome = Outcome::Answer { facts: self.facts.clone(), first, rest };
        let reply = self.reply.take().ok_or_else(cancelled)?;
        reply.send(outcome).map_err(|_| cancelled())
    }
}
