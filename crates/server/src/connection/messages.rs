//! What comes from the peer: bytes are read, messages are taken from them and served.

use std::io::ErrorKind;
use std::mem;

use proto::ping::ERROR_PREFIX;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::frame::{self, Whole};
use super::protocol::Protocol;
use super::{Connection, Ending, MAX_WAITING, Refusal, Shared, Stream, Turn};
use crate::metrics::Cause;
use crate::service::{Answer, Incoming, Reply, Unusable};
use crate::throttle::warn_throttled;

/// Messages of one connection that are answered in one turn.
const MAX_BURST: usize = 512;

/// Bytes that were read, some of which may have been taken.
#[derive(Debug)]
pub(super) struct Unread {
    bytes: Vec<u8>,
    taken: usize,
}

impl Unread {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, taken: 0 }
    }

    /// Those that were not taken.
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }
}

impl<S: Stream + ?Sized> Connection<S> {
    /// Reads what has arrived, and takes the messages in it.
    pub(super) fn read(&mut self, turn: &mut Turn<'_>) -> Result<(), Ending> {
        let buffer = mem::take(&mut turn.buffer);
        let read = self.read_into(buffer, turn);
        let result = match read {
            Ok(None) => Ok(()),
            Ok(Some(0)) => Err(Ending::Lost(None)),
            Ok(Some(len)) => {
                let (taken, result) = self.take(&mut buffer[..len], turn);
                if taken < len {
                    self.unread = Some(Unread::new(buffer[taken..len].to_vec()));
                }
                result
            }
            Err(ending) => Err(ending),
        };
        turn.buffer = buffer;
        result
    }

    /// Takes what is left of an earlier turn.
    pub(super) fn take_unread(&mut self, turn: &mut Turn<'_>) -> Result<(), Ending> {
        let Some(mut unread) = self.unread.take() else { return Ok(()) };
        let (taken, result) = self.take(&mut unread.bytes[unread.taken..], turn);
        unread.taken += taken;
        if unread.taken < unread.bytes.len() {
            self.unread = Some(unread);
        }
        result
    }

    /// Reads once. `None` if nothing is there, 0 at the end of the stream.
    pub(super) fn read_into(
        &mut self,
        buffer: &mut [u8],
        turn: &mut Turn<'_>,
    ) -> Result<Option<usize>, Ending> {
        match self.stream.read(buffer) {
            Ok(len) => {
                self.readable = self.hung_up || !self.stream.is_drained(len, buffer.len());
                turn.shared.counts.received_bytes.add(len as u64);
                self.deadlines.heard(turn.now);
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

    /// Takes the messages in `bytes` and stages the replies, as long as there is room for more of
    /// these. Returns how many bytes were taken.
    fn take(&mut self, bytes: &mut [u8], turn: &mut Turn<'_>) -> (usize, Result<(), Ending>) {
        let mut room = Room::new(turn);
        let mut at = 0;
        let mut result = Ok(());
        while result.is_ok() && at < bytes.len() && room.is_left(turn) {
            let (taken, outcome) = self.take_one(&mut bytes[at..], turn);
            at += taken;
            room.messages -= 1;
            result = outcome;
        }
        if self.protocol.is_some() {
            self.unfinished_since.get_or_insert(turn.now);
        }
        (at, result.and_then(|()| self.flush(turn)))
    }

    /// Takes one message, or all of `bytes` if there is none as a whole. Returns how many bytes
    /// these were.
    fn take_one(&mut self, bytes: &mut [u8], turn: &mut Turn<'_>) -> (usize, Result<(), Ending>) {
        if self.protocol.is_none()
            && let Some(frame) = Whole::parse(bytes, turn.shared.max_message)
        {
            frame.mask(bytes);
            if let Some(message) = frame.message(bytes) {
                return (frame.end(), self.serve(message, turn));
            }
            frame.mask(bytes);
        }
        self.take_unusual(bytes, turn)
    }

    /// Takes what is no message in one frame.
    fn take_unusual(&mut self, bytes: &[u8], turn: &mut Turn<'_>) -> (usize, Result<(), Ending>) {
        let protocol = protocol(&mut self.protocol, turn.shared);
        let mut rest = bytes;
        let message = protocol.next(&mut rest, self.output.queue());
        let is_idle = protocol.is_idle();
        let result = match message {
            Some(message) => self.take_message(message, turn),
            None => Ok(()),
        };
        if is_idle && result.is_ok() {
            self.protocol = None;
            self.unfinished_since = None;
        }
        (bytes.len() - rest.len(), result)
    }

    fn take_message(
        &mut self,
        message: Result<Message, Error>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Ending> {
        match message {
            Ok(Message::Text(text)) => self.serve(Incoming::Text(&text), turn),
            Ok(Message::Binary(bytes)) => self.serve(Incoming::Binary(&bytes), turn),
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {
                let allowed = self.deadlines.control_frame(turn.now);
                if allowed { Ok(()) } else { Err(Ending::Refused(Refusal::ControlFlood)) }
            }
            Ok(Message::Close(frame)) => Err(Ending::Closed(frame.map(|frame| frame.code.into()))),
            Err(error) => Err(Ending::of(error)),
        }
    }

    fn serve(&mut self, message: Incoming<'_>, turn: &mut Turn<'_>) -> Result<(), Ending> {
        self.unfinished_since = None;
        let Shared { counts, services, .. } = turn.shared;
        counts.of(self.service).messages.add(1);
        let reply = match self.service.answer(message, services) {
            Ok(Answer { reply, record }) => {
                if let Some(ping) = &record {
                    turn.recorder.record(ping);
                    counts.clients.pinged(&mut self.client, &ping.client_name);
                    self.recording = true;
                }
                reply
            }
            Err(Unusable::Text(expected)) => self.refuse(&expected, turn.shared),
            Err(Unusable::Binary) => return Err(Ending::Refused(Refusal::Binary)),
        };
        frame::append(turn.replies, &reply);
        Ok(())
    }

    fn refuse(&self, expected: &str, shared: &Shared) -> Reply<'static> {
        let peer = self.peer;
        shared.metrics.errors.count(Cause::Unusable);
        let shown = proto::escape::plain(expected);
        warn_throttled!(shared.unusable, %peer, "unusable message: {shown}");
        Reply::text(format!("{ERROR_PREFIX}{expected}"))
    }
}

/// The protocol of a connection, from now on if it had none.
pub(super) fn protocol<'a>(
    protocol: &'a mut Option<Box<Protocol>>,
    shared: &Shared,
) -> &'a mut Protocol {
    protocol.get_or_insert_with(|| Protocol::new(shared.max_message).into())
}

/// How much one connection may still do in its turn.
struct Room {
    messages: usize,
    /// The length of the replies at which it ends.
    replies: usize,
}

impl Room {
    fn new(turn: &Turn<'_>) -> Self {
        Self { messages: MAX_BURST, replies: turn.replies.len() + MAX_WAITING }
    }

    fn is_left(&self, turn: &Turn<'_>) -> bool {
        self.messages > 0 && turn.replies.len() < self.replies && !turn.recorder.is_full()
    }
}
