//! The byte stream below a WebSocket: TCP or a Unix socket, TLS over either, TLS over the TLS of a
//! proxy, and over any of these the compression of messages and the check of Close frames.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::client::TlsStream;

use super::close_code::CloseCodeCheck;
use super::deflate::Deflate;

/// A connection to a server or a proxy.
#[derive(Debug)]
pub enum Stream {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix socket (`--unix-socket`).
    Unix(UnixStream),
    /// TLS over another stream.
    Tls(Box<TlsStream<Stream>>),
    /// Compression of messages over another stream (`--compress`).
    Deflate(Box<Deflate<Stream>>),
    /// The check of the code of a Close frame, over another stream.
    CloseCodeCheck(Box<CloseCodeCheck<Stream>>),
}

impl Stream {
    /// The TCP connection below, if there is one.
    #[must_use]
    pub fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Tcp(stream) => Some(stream),
            Self::Unix(_) => None,
            Self::Tls(stream) => stream.get_ref().0.tcp(),
            Self::Deflate(stream) => stream.get_ref().tcp(),
            Self::CloseCodeCheck(stream) => stream.get_ref().tcp(),
        }
    }
}

/// Calls a method of the inner stream.
macro_rules! delegate {
    ($stream:expr, $method:ident($($arg:expr),*)) => {
        match $stream.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).$method($($arg),*),
            Stream::Unix(stream) => Pin::new(stream).$method($($arg),*),
            Stream::Tls(stream) => Pin::new(stream).$method($($arg),*),
            Stream::Deflate(stream) => Pin::new(stream).$method($($arg),*),
            Stream::CloseCodeCheck(stream) => Pin::new(stream).$method($($arg),*),
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        delegate!(self, poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        delegate!(self, poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        delegate!(self, poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Unix(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
            Self::Deflate(stream) => stream.is_write_vectored(),
            Self::CloseCodeCheck(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    async fn tcp() -> (Stream, impl AsyncRead + Unpin) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Stream::Tcp(near), listener.accept().await.unwrap().0)
    }

    async fn arrives_in_order(mut near: Stream, mut far: impl AsyncRead + Unpin) {
        assert!(near.is_write_vectored());
        let written = near.write_vectored(&[IoSlice::new(b"one "), IoSlice::new(b"two ")]).await;
        assert_eq!(written.unwrap(), 8);
        near.write_all(b"three").await.unwrap();
        near.shutdown().await.unwrap();
        let mut read = String::new();
        far.read_to_string(&mut read).await.unwrap();
        assert_eq!(read, "one two three");
    }

    #[tokio::test]
    async fn written_bytes_arrive_in_order() {
        let (near, far) = tcp().await;
        arrives_in_order(near, far).await;
        let (near, far) = UnixStream::pair().unwrap();
        arrives_in_order(Stream::Unix(near), far).await;
    }
}
