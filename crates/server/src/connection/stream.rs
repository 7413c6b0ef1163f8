//! What a connection needs of the stream below it.

use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::TcpStream;

/// A stream of bytes in both directions.
pub trait Stream: AsyncRead + AsyncWrite + Unpin {
    /// Whether there may be something to read. `Pending` promises that the task is woken when
    /// there is; a stream that cannot tell says `Ready`.
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()>;

    /// How many bytes have gone further down, where that is more than can be seen from what
    /// writing returns.
    fn written(&self) -> u64 {
        0
    }
}

impl Stream for TcpStream {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_read_ready(cx).map(drop)
    }
}

impl Stream for DuplexStream {
    fn poll_readable(&self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}
