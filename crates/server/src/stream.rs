//! The stream of bytes below a connection.

use std::fmt::Debug;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::net::{RecvFlags, SendFlags, recv, send};

/// A stream of bytes in both directions that never blocks: a call that would have to wait fails
/// with [`io::ErrorKind::WouldBlock`], and readiness is reported elsewhere.
pub trait Stream: Read + Write + Debug + Send {
    /// Whether a read of `read` bytes into a buffer of `room` bytes took all that has arrived.
    /// Readiness is reported for bytes that arrive later.
    fn is_drained(&self, read: usize, room: usize) -> bool {
        read < room
    }

    /// Whether any bytes have been written to the socket since the last call. The writes since then
    /// took `taken` bytes.
    fn has_progressed(&mut self, taken: usize) -> bool {
        taken > 0
    }

    /// Ends the direction to the peer (`shutdown(SHUT_WR)`).
    ///
    /// # Errors
    /// When the stream is broken.
    fn shut_down(&mut self) -> io::Result<()>;
}

/// A stream that epoll can watch.
pub trait PolledStream: Stream + AsFd {}

impl<S: Stream + AsFd> PolledStream for S {}

/// A TCP connection. `recv` and `send` are called through rustix: those of the C library are
/// cancellation points (pthreads(7)), which costs instructions in each ping.
#[derive(Debug)]
pub struct Socket(TcpStream);

impl Socket {
    /// Takes over a connection that was set to non-blocking.
    #[must_use]
    pub fn new(stream: TcpStream) -> Self {
        Self(stream)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Read for Socket {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let (read, _) = recv(&self.0, buf, RecvFlags::empty())?;
        Ok(read)
    }
}

impl Write for Socket {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        Ok(send(&self.0, buf, SendFlags::NOSIGNAL)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Socket {
    fn shut_down(&mut self) -> io::Result<()> {
        self.0.shutdown(Shutdown::Write)
    }
}
