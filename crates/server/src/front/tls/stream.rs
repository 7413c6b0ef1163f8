//! A non-blocking TLS stream, as a worker's connection needs it.

use std::io::{self, ErrorKind, Read, Write};
use std::mem;
use std::os::fd::{AsFd, BorrowedFd};

use tokio_rustls::rustls::ServerConnection;

use crate::stream::{Socket, Stream};

/// A connection over TLS, after its handshake.
#[derive(Debug)]
pub struct TlsSocket {
    tls: ServerConnection,
    socket: TrackedSocket,
    /// Decrypted bytes that were not read yet.
    decrypted: usize,
}

/// A socket that records whether the last read drained it, and whether bytes were written.
#[derive(Debug)]
struct TrackedSocket {
    socket: Socket,
    /// The last read brought less than there was room for.
    drained: bool,
    /// Bytes were written since the last [`Stream::has_progressed`].
    has_moved: bool,
}

impl TlsSocket {
    /// The stream of a connection whose handshake is over.
    #[must_use]
    pub fn new(socket: Socket, tls: ServerConnection) -> Self {
        let socket = TrackedSocket { socket, drained: false, has_moved: false };
        Self { tls, socket, decrypted: 0 }
    }

    /// Appends the bytes that the handshake left decrypted.
    ///
    /// # Errors
    /// When the peer broke TLS.
    pub fn read_decrypted(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        let state = self.tls.process_new_packets();
        let state = state.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        let len = u64::try_from(state.plaintext_bytes_to_read()).unwrap_or(u64::MAX);
        (&mut self.tls.reader()).take(len).read_to_end(out)?;
        Ok(())
    }

    /// Reads and decrypts the bytes that have arrived. Returns how many bytes were read; 0 is the end
    /// of the stream.
    fn receive(&mut self) -> io::Result<usize> {
        let received = self.tls.read_tls(&mut self.socket)?;
        let state = self.tls.process_new_packets();
        // Sends what TLS answers: a key update, or an alert about an error. If that is not possible
        // now, the answer is sent with the next write.
        let _ = self.flush();
        let state = state.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        self.decrypted = state.plaintext_bytes_to_read();
        Ok(received)
    }
}

impl AsFd for TlsSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.socket.as_fd()
    }
}

impl Stream for TlsSocket {
    fn is_drained(&self, _read: usize, _room: usize) -> bool {
        self.decrypted == 0 && self.socket.drained
    }

    /// Bytes that were taken may still be buffered here, encrypted: writes to the socket count.
    fn has_progressed(&mut self, _taken: usize) -> bool {
        mem::take(&mut self.socket.has_moved)
    }

    fn shut_down(&mut self) -> io::Result<()> {
        self.tls.send_close_notify();
        // A peer that does not read gets no close_notify.
        let _ = self.flush();
        self.socket.socket.shut_down()
    }
}

impl Read for TlsSocket {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.tls.reader().read(buf) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.receive()?,
                result => {
                    let read = result?;
                    self.decrypted = self.decrypted.saturating_sub(read);
                    return Ok(read);
                }
            };
        }
    }
}

impl Write for TlsSocket {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        // Encrypted bytes take memory until they are sent, so the earlier ones go first.
        self.flush()?;
        self.tls.writer().write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            if self.tls.write_tls(&mut self.socket)? == 0 {
                return Err(ErrorKind::WriteZero.into());
            }
        }
        Ok(())
    }
}

impl Read for TrackedSocket {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.socket.read(buf)?;
        self.drained = read < buf.len();
        Ok(read)
    }
}

impl Write for TrackedSocket {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let written = self.socket.write(buf)?;
        self.has_moved |= written > 0;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
