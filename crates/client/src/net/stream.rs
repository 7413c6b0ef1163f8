//! The bytes below a WebSocket: TCP, or TLS over it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// First byte of an alert (RFC 8446, section 5.1), which no answer to a plain request begins with.
const ALERT: u8 = 21;

/// A connection to a server.
#[derive(Debug)]
pub enum Stream {
    /// Of a `ws://` URL.
    Plain(Plain),
    /// Of a `wss://` URL.
    Secure(Box<TlsStream<TcpStream>>),
}

/// A TCP connection that notices a server which speaks TLS.
#[derive(Debug)]
pub struct Plain {
    stream: TcpStream,
    is_unanswered: bool,
}

impl Plain {
    /// A connection on which nothing was received yet.
    #[must_use]
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, is_unanswered: true }
    }
}

impl AsyncRead for Plain {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let start = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if self.is_unanswered {
            self.is_unanswered = false;
            if buf.filled().get(start) == Some(&ALERT) {
                let cause = "the server speaks TLS there: use wss:// for it";
                return Poll::Ready(Err(io::Error::other(cause)));
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Secure(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(plain) => Pin::new(&mut plain.stream).poll_write(cx, buf),
            Self::Secure(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(plain) => Pin::new(&mut plain.stream).poll_write_vectored(cx, bufs),
            Self::Secure(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(plain) => plain.stream.is_write_vectored(),
            Self::Secure(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(plain) => Pin::new(&mut plain.stream).poll_flush(cx),
            Self::Secure(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(plain) => Pin::new(&mut plain.stream).poll_shutdown(cx),
            Self::Secure(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    async fn pair() -> (Stream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Stream::Plain(Plain::new(near)), listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn an_alert_is_noticed_in_the_first_answer_alone() {
        let (mut near, mut far) = pair().await;
        far.write_all(&[ALERT, 3, 3, 0, 2]).await.unwrap();
        let error = near.read(&mut [0; 64]).await.unwrap_err();
        assert_eq!(error.to_string(), "the server speaks TLS there: use wss:// for it");

        let (mut near, mut far) = pair().await;
        for bytes in [b"H".as_slice(), &[ALERT]] {
            far.write_all(bytes).await.unwrap();
            let mut read = [0; 64];
            let length = near.read(&mut read).await.unwrap();
            assert_eq!(&read[..length], bytes);
        }
    }

    #[tokio::test]
    async fn what_is_written_arrives_in_order() {
        let (mut near, mut far) = pair().await;
        assert!(near.is_write_vectored());
        let written = near.write_vectored(&[IoSlice::new(b"one "), IoSlice::new(b"two ")]).await;
        assert_eq!(written.unwrap(), 8);
        near.write_all(b"three").await.unwrap();
        near.shutdown().await.unwrap();
        let mut read = String::new();
        far.read_to_string(&mut read).await.unwrap();
        assert_eq!(read, "one two three");
    }
}
