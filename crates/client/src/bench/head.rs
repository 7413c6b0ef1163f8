//! Keeps what a server sends right behind its upgrade.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What an upgrade begins with; another answer has a body that explains it.
const UPGRADE: &[u8] = b"HTTP/1.1 101";

const END: &[u8] = b"\r\n\r\n";

/// A stream whose reader gets the response to a handshake and nothing of the frames behind it.
#[derive(Debug)]
pub(crate) struct Head<S> {
    stream: S,
    head: Vec<u8>,
    frames: Vec<u8>,
}

impl<S> Head<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, head: Vec::new(), frames: Vec::new() }
    }

    /// The stream, and the beginning of the frames.
    pub(crate) fn into_parts(self) -> (S, Vec<u8>) {
        (self.stream, self.frames)
    }

    /// How many of the new bytes at the end of the head belong to it.
    fn belonging(&self, new: usize) -> usize {
        let seen = self.head.len() - new;
        let from = seen.saturating_sub(END.len() - 1);
        let end = self.head[from..].windows(END.len()).position(|window| window == END);
        match end {
            Some(end) if self.head.starts_with(UPGRADE) => from + end + END.len() - seen,
            _ => new,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Head<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let start = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let new = buf.filled().len() - start;
        self.head.extend_from_slice(&buf.filled()[start..]);
        let belonging = self.belonging(new);
        self.frames.extend_from_slice(&buf.filled()[start + belonging..]);
        buf.set_filled(start + belonging);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Head<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
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

    /// What is read, and what is kept, of bytes that come in pieces of this size.
    async fn split(bytes: &[u8], piece: usize) -> (Vec<u8>, Vec<u8>) {
        let (mut far, near) = duplex(piece);
        let mut head = Head::new(near);
        let mut read = Vec::new();
        for piece in bytes.chunks(piece) {
            far.write_all(piece).await.unwrap();
            if head.frames.is_empty() && !read.ends_with(END) {
                head.read_buf(&mut read).await.unwrap();
            } else {
                break;
            }
        }
        (read, head.frames)
    }

    #[tokio::test]
    async fn frames_are_kept_from_the_reader_of_the_head() {
        let head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";
        let bytes = [head.as_slice(), b"\x81\x05Pong!"].concat();
        for piece in 1..=bytes.len() {
            let (read, frames) = split(&bytes, piece).await;
            assert_eq!(read, head, "pieces of {piece}");
            assert!(b"\x81\x05Pong!".starts_with(&frames), "{frames:?}");
        }
        assert_eq!(split(&bytes, bytes.len()).await.1, b"\x81\x05Pong!");
    }

    #[tokio::test]
    async fn the_reader_gets_the_body_of_a_refusal() {
        let bytes = b"HTTP/1.1 503 Service Unavailable\r\n\r\nno room";
        assert_eq!(split(bytes, bytes.len()).await, (bytes.to_vec(), Vec::new()));
    }
}
