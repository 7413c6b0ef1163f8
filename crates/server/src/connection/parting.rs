//! The goodbye of a connection: what the peer gets before the stream is closed, so that it can
//! read it. A socket that is closed with unread bytes in it would take the goodbye back (RFC 6455,
//! section 7.1.1).

use std::mem;
use std::time::Instant;

use proto::limits::CLOSE_TIMEOUT;

use super::messages::protocol;
use super::{Connection, Ending, Shared, Stream, Turn};

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Messages are taken.
    Open,
    /// Those that were taken before the end are answered.
    Answering,
    /// The Close frame goes out and that of the peer comes in, until then.
    Closing(Instant),
    /// The peer closes the stream, until then.
    Draining(Instant),
    /// There is nothing more to do.
    Over,
}

impl Phase {
    /// When its time is over.
    pub(super) fn deadline(self) -> Option<Instant> {
        match self {
            Self::Closing(until) | Self::Draining(until) => Some(until),
            Self::Open | Self::Answering | Self::Over => None,
        }
    }
}

impl<S: Stream + ?Sized> Connection<S> {
    /// Ends the conversation. Where that was done before, what fails now is the end of it.
    pub(super) fn part(&mut self, ending: Ending) {
        let is_over =
            self.ending.is_some() || matches!(ending, Ending::NotReading | Ending::Lost(_));
        self.ending.get_or_insert(ending);
        self.phase = if is_over { Phase::Over } else { Phase::Answering };
    }

    /// Goes on with the goodbye, as far as it comes by now.
    pub(super) fn say_goodbye(&mut self, turn: &mut Turn<'_>) {
        if self.phase == Phase::Answering && !self.staged {
            self.close(turn);
            self.phase = Phase::Closing(turn.now + CLOSE_TIMEOUT);
        }
        if let Phase::Closing(until) = self.phase
            && (self.is_closed(turn) || until <= turn.now)
        {
            let shut_down = self.stream.shut_down();
            self.phase = match shut_down {
                Ok(()) => Phase::Draining(turn.now + CLOSE_TIMEOUT / 2),
                Err(_) => Phase::Over,
            };
        }
        if let Phase::Draining(until) = self.phase
            && (self.comes_to_the_end(turn) || until <= turn.now)
        {
            self.phase = Phase::Over;
        }
    }

    /// Queues all that is still to be said, and the Close frame behind it.
    fn close(&mut self, turn: &Turn<'_>) {
        self.delayed.take(None, self.output.queue());
        let frame = self.ending.as_ref().and_then(Ending::frame);
        let protocol = protocol(&mut self.protocol, turn.shared);
        protocol.close(frame, self.output.queue());
    }

    /// Whether both sides have said that they close, or the stream is unusable.
    fn is_closed(&mut self, turn: &mut Turn<'_>) -> bool {
        if self.flush(turn).is_err() {
            return true;
        }
        if !self.output.is_empty() {
            return false;
        }
        match self.ending {
            // The peer has closed already, or what it says cannot be read.
            Some(Ending::Closed(_) | Ending::Unreadable(..)) => true,
            _ => self.hears_close(turn),
        }
    }

    /// Reads on for the Close frame of the peer.
    fn hears_close(&mut self, turn: &mut Turn<'_>) -> bool {
        if let Some(unread) = self.unread.take() {
            return self.has_close(unread.rest(), turn.shared);
        }
        if !self.readable {
            return false;
        }
        let buffer = mem::take(&mut turn.buffer);
        let heard = match self.read_into(buffer, turn) {
            Ok(None) => false,
            Ok(Some(0)) | Err(_) => true,
            Ok(Some(len)) => self.has_close(&buffer[..len], turn.shared),
        };
        turn.buffer = buffer;
        heard
    }

    fn has_close(&mut self, mut bytes: &[u8], shared: &Shared) -> bool {
        let protocol = protocol(&mut self.protocol, shared);
        while let Some(message) = protocol.next(&mut bytes, self.output.queue()) {
            if message.is_err() || matches!(message, Ok(message) if message.is_close()) {
                return true;
            }
        }
        false
    }

    /// Reads what still comes; whether that was the end of the stream.
    fn comes_to_the_end(&mut self, turn: &mut Turn<'_>) -> bool {
        if !self.readable {
            return false;
        }
        let buffer = mem::take(&mut turn.buffer);
        let read = self.read_into(buffer, turn);
        turn.buffer = buffer;
        matches!(read, Ok(Some(0)) | Err(_))
    }
}
