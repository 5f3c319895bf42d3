use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// A request's body in pieces of known length, sent one by one without being copied together.
#[derive(Debug, Default, Clone)]
pub(super) struct Pieces {
    pieces: VecDeque<Bytes>,
}

impl Pieces {
    pub(super) fn push(&mut self, piece: impl Into<Bytes>) {
        self.pieces.push_back(piece.into());
    }

    fn len(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.len() as u64).sum()
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.pieces.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.len())
    }
}

impl From<Pieces> for reqwest::Body {
    fn from(pieces: Pieces) -> Self {
        Self::wrap(pieces)
    }
}

/// A `multipart/form-data` body: ClickHouse takes fields as parameters and files as external tables.
#[derive(Debug)]
pub(super) struct Form {
    boundary: String,
    pieces: Pieces,
}

impl Form {
    /// Begins a form whose boundary occurs in no value.
    pub(super) fn new() -> Self {
        Self { boundary: format!("tidegate-{:032x}", rand::random::<u128>()), pieces: Pieces::default() }
    }

    /// Adds a parameter.
    pub(super) fn field(&mut self, name: &str, value: &str) {
        let head = self.head(name, "");
        self.pieces.push(format!("{head}\r\n{value}\r\n"));
    }

    /// Adds a file.
    pub(super) fn file(&mut self, name: &str, content: &[Bytes]) {
        let head = self.head(name, "; filename=\"rows\"");
        self.pieces.push(format!("{head}Content-Type: application/octet-stream\r\n\r\n"));
        content.iter().for_each(|piece| self.pieces.push(piece.clone()));
        self.pieces.push("\r\n");
    }

    /// Ends the form; returns its content type and its body.
    pub(super) fn finish(mut self) -> (String, Pieces) {
        self.pieces.push(format!("--{}--\r\n", self.boundary));
        (format!("multipart/form-data; boundary={}", self.boundary), self.pieces)
    }

    fn head(&self, name: &str, more: &str) -> String {
        format!("--{}\r\nContent-Disposition: form-data; name=\"{name}\"{more}\r\n", self.boundary)
    }
}
