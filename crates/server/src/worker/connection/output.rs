//! Bytes to the peer: those that the stream does not take at once wait here.

use std::io::{self, ErrorKind};
use std::time::Instant;

use super::Stream;

/// Bytes on their way to the peer.
#[derive(Debug, Default)]
pub(super) struct Output {
    /// Bytes that wait; the stream has taken the first `sent` of them.
    queue: Vec<u8>,
    sent: usize,
    /// The stream has taken bytes that it could not write to the socket yet, as TLS does.
    held_back: bool,
    /// Since when no byte has gone out, while some wait.
    stuck_since: Option<Instant>,
}

impl Output {
    /// Whether everything has gone out.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty() && !self.held_back
    }

    /// Since when no byte has gone out, while some wait.
    pub(super) fn stuck_since(&self) -> Option<Instant> {
        self.stuck_since
    }

    /// Restarts the time in which the peer has to take a byte, after a pause of the server.
    pub(super) fn restart_stuck(&mut self, now: Instant) {
        if let Some(since) = &mut self.stuck_since {
            *since = now;
        }
    }

    /// The queue that [`Self::flush`] sends.
    pub(super) fn queue(&mut self) -> &mut Vec<u8> {
        &mut self.queue
    }

    /// Sends `bytes` behind the queue; bytes that the stream does not take are queued. Returns how
    /// many bytes the stream took.
    ///
    /// # Errors
    /// When the stream is broken.
    #[inline]
    pub(super) fn send(
        &mut self,
        stream: &mut dyn Stream,
        bytes: &[u8],
        now: Instant,
    ) -> io::Result<usize> {
        if !self.is_empty() {
            self.queue.extend_from_slice(bytes);
            return self.flush(stream, now);
        }
        let taken = write(stream, bytes)?;
        if taken < bytes.len() {
            self.queue.extend_from_slice(&bytes[taken..]);
        }
        self.note_progress(stream, taken, now)?;
        Ok(taken)
    }

    /// Sends the queue. Returns how many bytes the stream took.
    ///
    /// # Errors
    /// When the stream is broken.
    pub(super) fn flush(&mut self, stream: &mut dyn Stream, now: Instant) -> io::Result<usize> {
        let taken = write(stream, &self.queue[self.sent..])?;
        self.sent += taken;
        if self.sent == self.queue.len() {
            self.queue = Vec::new();
            self.sent = 0;
        }
        self.note_progress(stream, taken, now)?;
        Ok(taken)
    }

    /// Makes the stream send the bytes that it holds back, and notes whether any byte was sent.
    fn note_progress(
        &mut self,
        stream: &mut dyn Stream,
        taken: usize,
        now: Instant,
    ) -> io::Result<()> {
        self.held_back = match stream.flush() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => true,
            result => result.map(|()| false)?,
        };
        if self.is_empty() {
            self.stuck_since = None;
        } else if stream.has_progressed(taken) || self.stuck_since.is_none() {
            self.stuck_since = Some(now);
        }
        Ok(())
    }
}

/// Writes as many of `bytes` as the stream takes, and returns how many.
fn write(stream: &mut dyn Stream, bytes: &[u8]) -> io::Result<usize> {
    let mut taken = 0;
    while taken < bytes.len() {
        match stream.write(&bytes[taken..]) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(n) => taken += n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(taken)
}
