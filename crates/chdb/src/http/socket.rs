//! A socket that tells when everything written to it has left.
//!
//! A broken-off answer must reach its client before the connection breaks, and hyper drops what it has not
//! written yet when a body fails. It flushes the socket only after it has written all it had, so
//! the flush is the sign to wait for.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

const IDLE: u8 = 0;
const AWAITED: u8 = 1;
const FLUSHED: u8 = 2;

/// Says whether the socket was flushed since that was last asked for; clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Flushes(Arc<AtomicU8>);

impl Flushes {
    /// Waits for the next flush. The connection's own task polls this and the socket, so no waker is kept.
    pub(super) fn poll_next(&self, context: &Context<'_>) -> Poll<()> {
        match self.0.compare_exchange(FLUSHED, IDLE, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => Poll::Ready(()),
            Err(state) => {
                if state == IDLE {
                    self.0.store(AWAITED, Ordering::Relaxed);
                    context.waker().wake_by_ref();
                }
                Poll::Pending
            }
        }
    }

    fn flushed(&self, context: &Context<'_>) {
        if self.0.compare_exchange(AWAITED, FLUSHED, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            context.waker().wake_by_ref();
        }
    }
}

/// The socket.
pub(super) struct WatchedSocket {
    pub(super) inner: TcpStream,
    pub(super) flushes: Flushes,
}

impl AsyncRead for WatchedSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl AsyncWrite for WatchedSocket {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(context);
        if flushed.is_ready() {
            self.flushes.flushed(context);
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
