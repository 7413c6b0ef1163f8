//! What a connection needs of the stream below it.

use std::fmt::Debug;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};

use rustix::net::{RecvFlags, SendFlags, recv, send};

/// A stream of bytes in both directions. It never blocks: where it would have to wait, it fails
/// with [`io::ErrorKind::WouldBlock`], and its owner learns from elsewhere when to try again.
pub trait Stream: Read + Write + Debug {
    /// Whether a read that brought `read` bytes, with room for `room`, left nothing behind. If so,
    /// an event tells of what comes next.
    fn is_drained(&self, read: usize, room: usize) -> bool {
        read < room
    }

    /// Whether anything has gone down to the system with the writes since the last call, which
    /// took `taken` bytes.
    fn has_moved(&mut self, taken: usize) -> bool {
        taken > 0
    }

    /// Ends the direction to the peer.
    ///
    /// # Errors
    /// When the stream is broken.
    fn shut_down(&mut self) -> io::Result<()>;
}

/// A TCP connection. It makes the system calls itself: those of the C library are points at which
/// a thread may be cancelled, and what they do about that shows in the cost of a ping.
#[derive(Debug)]
pub struct Socket(TcpStream);

impl Socket {
    /// Takes over a connection that was set not to block.
    #[must_use]
    pub fn new(stream: TcpStream) -> Self {
        Self(stream)
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
