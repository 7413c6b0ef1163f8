//! What goes out to the peer, and what of it the peer has not taken yet.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::time::Instant;

use super::Stream;

/// Bytes on their way to the peer.
#[derive(Debug, Default)]
pub(super) struct Output {
    /// What was queued, and how much of it has gone out.
    queue: Vec<u8>,
    sent: usize,
    /// The stream holds something back itself.
    held_back: bool,
    /// Since when the stream has taken nothing.
    stuck_since: Option<Instant>,
}

impl Output {
    /// Whether everything has gone out.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty() && !self.held_back
    }

    /// Since when the peer has taken nothing of what waits for it.
    pub(super) fn stuck_since(&self) -> Option<Instant> {
        self.stuck_since
    }

    /// Where to put what [`Self::flush`] is to send.
    pub(super) fn queue(&mut self) -> &mut Vec<u8> {
        &mut self.queue
    }

    /// Sends `bytes` behind what waits; what the stream does not take waits too. Returns how many
    /// bytes the stream took.
    ///
    /// # Errors
    /// When the stream is broken.
    pub(super) fn send<S: Stream + ?Sized>(
        &mut self,
        stream: &mut S,
        bytes: &[u8],
        now: Instant,
    ) -> io::Result<usize> {
        if !self.is_empty() {
            self.queue.extend_from_slice(bytes);
            return self.flush(stream, now);
        }
        let taken = write(stream, bytes)?;
        self.queue.extend_from_slice(&bytes[taken..]);
        self.note(stream, taken, now)?;
        Ok(taken)
    }

    /// Sends what waits. Returns how many bytes the stream took.
    ///
    /// # Errors
    /// When the stream is broken.
    pub(super) fn flush<S: Stream + ?Sized>(
        &mut self,
        stream: &mut S,
        now: Instant,
    ) -> io::Result<usize> {
        let taken = write(stream, &self.queue[self.sent..])?;
        self.sent += taken;
        if self.sent == self.queue.len() {
            self.queue = Vec::new();
            self.sent = 0;
        }
        self.note(stream, taken, now)?;
        Ok(taken)
    }

    /// Has the stream send what it holds itself, and notes whether any of this went on.
    fn note<S: Stream + ?Sized>(
        &mut self,
        stream: &mut S,
        taken: usize,
        now: Instant,
    ) -> io::Result<()> {
        self.held_back = match stream.flush() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => true,
            result => result.map(|()| false)?,
        };
        if self.is_empty() {
            self.stuck_since = None;
        } else if stream.has_moved(taken) || self.stuck_since.is_none() {
            self.stuck_since = Some(now);
        }
        Ok(())
    }
}

/// Writes as much of `bytes` as the stream takes, and returns how many these were.
fn write<S: Stream + ?Sized>(stream: &mut S, bytes: &[u8]) -> io::Result<usize> {
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

/// Replies that may wait for their `REPLY_DELAY` before the connection is read on.
const MAX_DELAYED: usize = 1024;

/// Replies that are held back (`REPLY_DELAY`).
#[derive(Debug, Default)]
pub(super) struct Delayed {
    /// Frames, and when they are due.
    frames: VecDeque<(Instant, Vec<u8>)>,
    /// What these take, in bytes.
    bytes: usize,
}

impl Delayed {
    /// Holds `frames` back until they are `due`, which is not before the ones before them.
    pub(super) fn push(&mut self, due: Instant, frames: Vec<u8>) {
        self.bytes += frames.len();
        self.frames.push_back((due, frames));
    }

    /// Whether no more should be held back, where `max_bytes` may be.
    pub(super) fn is_full(&self, max_bytes: usize) -> bool {
        self.frames.len() >= MAX_DELAYED || self.bytes >= max_bytes
    }

    /// When the first ones are due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.frames.front().map(|&(due, _)| due)
    }

    /// Moves those that are due at `now` to `out`; all of them if that is `None`.
    pub(super) fn take(&mut self, now: Option<Instant>, out: &mut Vec<u8>) {
        let is_due = |&mut (due, _): &mut (Instant, _)| now.is_none_or(|now| due <= now);
        while let Some((_, frames)) = self.frames.pop_front_if(is_due) {
            self.bytes -= frames.len();
            out.extend_from_slice(&frames);
        }
    }
}
