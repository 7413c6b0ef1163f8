//! What a connection needs of the stream below it.

use std::fmt::Debug;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};

/// A stream of bytes in both directions. It never blocks: where it would have to wait, it fails
/// with [`io::ErrorKind::WouldBlock`], and its owner learns from elsewhere when to try again.
pub trait Stream: Read + Write + Debug {
    /// Whether a read that brought `read` bytes, with room for `room`, left nothing behind. If so,
    /// an event tells of what comes next.
    fn is_drained(&self, read: usize, room: usize) -> bool {
        read < room
    }

    /// How many bytes have gone down to the system so far, where that is not what writing says.
    fn written(&self) -> Option<u64> {
        None
    }

    /// Ends the direction to the peer.
    ///
    /// # Errors
    /// When the stream is broken.
    fn shut_down(&mut self) -> io::Result<()>;
}

impl Stream for TcpStream {
    fn shut_down(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}
