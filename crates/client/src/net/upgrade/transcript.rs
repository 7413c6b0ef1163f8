//! The bytes of a handshake as they went over the wire, which a parser of HTTP hides: the spelling
//! of names, the order of lines.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Most bytes that are kept in each direction.
const MAX: usize = 16 * 1024;

/// What was sent and received, up to [`MAX`] bytes of each. The request may hold secrets.
#[derive(Clone, Default)]
pub(crate) struct Transcript {
    pub(crate) sent: Vec<u8>,
    pub(crate) received: Vec<u8>,
}

impl fmt::Debug for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Transcript({} bytes, {} bytes)", self.sent.len(), self.received.len())
    }
}

/// A transcript that is being written.
#[derive(Clone, Debug, Default)]
pub(super) struct Notes(Arc<Mutex<Transcript>>);

impl Notes {
    /// What was written so far.
    pub(super) fn take(&self) -> Transcript {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn add(&self, direction: fn(&mut Transcript) -> &mut Vec<u8>, bytes: &[u8]) {
        let mut transcript = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = direction(&mut transcript);
        let room = MAX - kept.len();
        kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

/// A stream of which notes are taken.
#[derive(Debug)]
pub(super) struct Noted<S> {
    stream: S,
    notes: Notes,
}

impl<S> Noted<S> {
    pub(super) fn new(stream: S, notes: Notes) -> Self {
        Self { stream, notes }
    }

    pub(super) fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Noted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let start = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        self.notes.add(|transcript| &mut transcript.received, &buf.filled()[start..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Noted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.notes.add(|transcript| &mut transcript.sent, &bytes[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    #[tokio::test]
    async fn the_beginning_of_each_direction_is_kept() {
        let (near, mut far) = duplex(2 * MAX);
        let notes = Notes::default();
        let mut near = Noted::new(near, notes.clone());
        near.write_all(b"GET / ").await.unwrap();
        near.write_all(b"HTTP/1.1").await.unwrap();
        far.write_all(&[b'x'; MAX + 1]).await.unwrap();
        near.read_exact(&mut [0; MAX + 1]).await.unwrap();
        let Transcript { sent, received } = notes.take();
        assert_eq!((&sent[..], received.len()), (&b"GET / HTTP/1.1"[..], MAX));
    }
}
