//! Bytes from the peer, from readiness to the decoder.

use std::io::ErrorKind;
use std::mem;
use std::time::Instant;

use proto::frame::{Decoder, Role};

use super::deadlines::Unfinished;
use super::{Ending, Readiness, Stream};

/// The input of a connection.
#[derive(Debug)]
pub(super) struct Input {
    /// The stream may hold bytes that no event will report.
    readable: bool,
    /// The peer has ended its direction. epoll is edge-triggered, so the socket is read until EAGAIN
    /// or EOF.
    hung_up: bool,
    /// Bytes that were read and not all served in their turn; the first `served` of them were.
    leftover: Vec<u8>,
    served: usize,
    pub(super) decoder: Decoder,
    /// Since when a message is unfinished; `None` between messages.
    unfinished_since: Option<Instant>,
}

impl Input {
    /// The input of a new connection whose bytes in `read_buf` were read already. The first event
    /// tells whether more are readable: epoll reports the present state of a socket that is added.
    /// `deflate`: messages may be compressed.
    pub(super) fn new(read_buf: Vec<u8>, max_message: usize, deflate: bool) -> Self {
        let decoder = Decoder::new(Role::Server, max_message);
        Self {
            readable: false,
            hung_up: false,
            leftover: read_buf,
            served: 0,
            decoder: if deflate { decoder.with_deflate() } else { decoder },
            unfinished_since: None,
        }
    }

    /// Records the readiness that an event reports.
    pub(super) fn note(&mut self, readiness: Readiness) {
        self.readable |= readiness.readable | readiness.hung_up;
        self.hung_up |= readiness.hung_up;
    }

    /// Whether there are bytes to read or serve that no event will report.
    pub(super) fn has_more(&self) -> bool {
        self.readable || self.has_leftover()
    }

    pub(super) fn is_readable(&self) -> bool {
        self.readable
    }

    pub(super) fn has_leftover(&self) -> bool {
        !self.leftover.is_empty()
    }

    /// Takes the bytes that were read, and how many of them were served.
    pub(super) fn take_leftover(&mut self) -> (Vec<u8>, usize) {
        (mem::take(&mut self.leftover), mem::take(&mut self.served))
    }

    /// Keeps bytes that were read, of which the first `served` were served.
    pub(super) fn keep_leftover(&mut self, bytes: Vec<u8>, served: usize) {
        if served < bytes.len() {
            self.leftover = bytes;
            self.served = served;
        }
    }

    /// Reads once. Returns how many bytes: `None` if none have arrived, 0 at the end of the stream.
    #[inline]
    pub(super) fn read(
        &mut self,
        stream: &mut dyn Stream,
        buffer: &mut [u8],
    ) -> Result<Option<usize>, Ending> {
        match stream.read(buffer) {
            Ok(len) => {
                self.readable = self.hung_up || !stream.is_drained(len, buffer.len());
                Ok(Some(len))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.readable = false;
                self.hung_up = false;
                Ok(None)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// A message has ended.
    pub(super) fn message_ended(&mut self) {
        self.unfinished_since = None;
    }

    /// Notes whether a message is unfinished, and since when.
    pub(super) fn note_unfinished(&mut self, now: Instant) {
        if self.decoder.has_partial() {
            self.unfinished_since.get_or_insert(now);
        } else {
            self.unfinished_since = None;
        }
    }

    /// Restarts the time of an unfinished message, after a while in which the peer was not read. The
    /// peer must not be able to cause this cheaply: the message could stay unfinished for ever.
    pub(super) fn restart_unfinished(&mut self, now: Instant) {
        if let Some(since) = &mut self.unfinished_since {
            *since = now;
        }
    }

    /// The message that has begun and not ended, if there is one.
    pub(super) fn unfinished(&self) -> Option<Unfinished> {
        let since = self.unfinished_since?;
        Some(Unfinished { since, arrived: self.decoder.arrived() })
    }

    /// Discards the part of a message that has arrived. No further message can be decoded then.
    pub(super) fn discard(&mut self) {
        self.decoder = Decoder::new(Role::Server, 0);
        self.leftover = Vec::new();
        self.unfinished_since = None;
    }

    /// Memory that an unfinished message takes, in bytes.
    pub(super) fn buffered(&self) -> usize {
        self.decoder.buffered()
    }
}
