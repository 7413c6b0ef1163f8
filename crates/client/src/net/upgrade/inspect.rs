//! A stream whose bytes are inspected on their way.

use std::borrow::Cow;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Inspects the bytes of a stream in both directions.
pub(in crate::net) trait Inspect {
    /// The bytes to write in place of `bytes`; they must have the same length.
    fn outgoing<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        Cow::Borrowed(bytes)
    }

    /// Inspects bytes that the stream has accepted.
    fn sent(&mut self, _bytes: &[u8]) {}

    /// Inspects bytes that were read.
    ///
    /// # Errors
    /// The error that the read fails with.
    fn received(&mut self, bytes: &[u8]) -> io::Result<()>;
}

/// A stream with its inspector.
#[derive(Debug)]
pub(in crate::net) struct Inspected<S, I> {
    stream: S,
    inspector: I,
}

impl<S, I> Inspected<S, I> {
    pub(in crate::net) fn new(stream: S, inspector: I) -> Self {
        Self { stream, inspector }
    }

    pub(in crate::net) fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: AsyncRead + Unpin, I: Inspect + Unpin> AsyncRead for Inspected<S, I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let start = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        Poll::Ready(self.inspector.received(&buf.filled()[start..]))
    }
}

impl<S: AsyncWrite + Unpin, I: Inspect + Unpin> AsyncWrite for Inspected<S, I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let bytes = self.inspector.outgoing(bytes);
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &bytes))?;
        self.inspector.sent(&bytes[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
