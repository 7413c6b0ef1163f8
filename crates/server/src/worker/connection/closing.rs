//! The end of a connection: the stop, and the closing handshake (RFC 6455, section 7), which is a
//! Close frame each way and then the end of the TCP connection. Closing a socket with unread bytes
//! resets the connection, and the peer may lose bytes that it has not read yet (section 7.1.1); so
//! the server waits for the peer to end its direction.

use std::time::Instant;

use proto::frame::{Message, Opcode, encode, encode_close};
use proto::limits::CLOSE_TIMEOUT;

use super::{Connection, Ending, Next, Refusal, State};
use crate::worker::turn::Context;

/// The progress of the closing handshake.
#[derive(Debug)]
pub(super) struct Closing {
    ending: Ending,
    step: Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Until this time, the Close frame is sent, and that of the peer awaited.
    CloseFrames(Instant),
    /// Until this time, the end of the peer's direction is awaited.
    EndOfStream(Instant),
    /// The connection has ended.
    Done,
}

impl Closing {
    /// When the present step ends at the latest.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.step {
            Step::CloseFrames(until) | Step::EndOfStream(until) => Some(until),
            Step::Done => None,
        }
    }

    /// Whether the peer is read.
    pub(super) fn reads(&self) -> bool {
        self.step != Step::Done
    }
}

impl Connection {
    /// Begins to end the connection, as the server stops. Messages that were read are served before,
    /// as long as the peer takes the replies.
    pub(in crate::worker) fn stop(&mut self, cx: &mut Context<'_>) {
        let until = cx.now + CLOSE_TIMEOUT;
        match &mut self.state {
            State::Open => {
                self.note_end(&Ending::Stopping, cx.now);
                self.state = State::Finishing(until);
                self.advance(cx);
            }
            State::AwaitingCommit(next @ Next::Open) => *next = Next::Finish(until),
            State::AwaitingCommit(_) | State::Finishing(_) | State::Closing(_) => {}
        }
    }

    /// Serves messages that were read before the stop; reads no more.
    pub(super) fn finish(&mut self, cx: &mut Context<'_>) -> Result<(), Ending> {
        self.flush(cx)?;
        if !self.output.is_empty() {
            return Ok(());
        }
        let replies = cx.replies.len();
        self.serve_leftover(cx)?;
        let is_done = cx.replies.len() == replies && !self.input.has_leftover();
        if is_done { Err(Ending::Stopping) } else { Ok(()) }
    }

    /// Discards an unfinished message, and ends the connection.
    pub(in crate::worker) fn evict(&mut self, cx: &mut Context<'_>) {
        self.input.discard();
        let ending = Ending::Refused(Refusal::Overload);
        match &mut self.state {
            State::Open | State::Finishing(_) => self.close(ending, cx),
            State::AwaitingCommit(next) => *next = Next::Close(ending),
            State::Closing(_) => {}
        }
    }

    /// Why the connection ended, once it has.
    pub(in crate::worker) fn ended(&self) -> Option<&Ending> {
        match &self.state {
            State::Closing(Closing { ending, step: Step::Done }) => Some(ending),
            _ => None,
        }
    }

    /// Begins the closing handshake, if the stream still allows one.
    pub(super) fn close(&mut self, ending: Ending, cx: &mut Context<'_>) {
        self.note_end(&ending, cx.now);
        if matches!(ending, Ending::NotReading | Ending::Lost(_)) {
            self.state = State::Closing(Closing { ending, step: Step::Done });
            return;
        }
        let queue = self.output.queue();
        self.delayed.release(None, queue);
        match &ending {
            Ending::Closed(None) => encode(queue, Opcode::Close, b"", None),
            Ending::Closed(Some(code)) => encode_close(queue, *code, "", None),
            ending => {
                if let Some((code, reason)) = ending.close_frame() {
                    encode_close(queue, code, &reason, None);
                }
            }
        }
        let step = Step::CloseFrames(cx.now + CLOSE_TIMEOUT);
        self.state = State::Closing(Closing { ending, step });
        self.advance_closing(cx);
    }

    /// Goes on with the closing handshake, as far as possible at present.
    pub(super) fn advance_closing(&mut self, cx: &mut Context<'_>) {
        if let Some(Step::CloseFrames(until)) = self.step()
            && (self.has_closed(cx) || until <= cx.now)
        {
            let step = match self.stream.shut_down() {
                Ok(()) => Step::EndOfStream(cx.now + CLOSE_TIMEOUT / 2),
                Err(_) => Step::Done,
            };
            self.set_step(step);
        }
        if let Some(Step::EndOfStream(until)) = self.step()
            && (self.has_ended(cx) || until <= cx.now)
        {
            self.set_step(Step::Done);
        }
    }

    fn step(&self) -> Option<Step> {
        match &self.state {
            State::Closing(closing) => Some(closing.step),
            _ => None,
        }
    }

    fn set_step(&mut self, step: Step) {
        if let State::Closing(closing) = &mut self.state {
            closing.step = step;
        }
    }

    /// Whether both Close frames have been exchanged, or the stream is broken.
    fn has_closed(&mut self, cx: &mut Context<'_>) -> bool {
        if self.flush(cx).is_err() {
            return true;
        }
        if !self.output.is_empty() {
            return false;
        }
        let State::Closing(closing) = &self.state else { return true };
        match closing.ending {
            // The peer has sent its Close frame already, or no further frame can be decoded.
            Ending::Closed(_) | Ending::Undecodable(_) | Ending::Refused(Refusal::Overload) => true,
            _ => self.receives_close(cx),
        }
    }

    /// Reads once; returns whether the Close frame of the peer has come, or none can come.
    fn receives_close(&mut self, cx: &mut Context<'_>) -> bool {
        let (mut leftover, served) = self.input.take_leftover();
        if self.has_close(&mut leftover[served..]) {
            return true;
        }
        if !self.input.is_readable() {
            return false;
        }
        match self.read(cx) {
            Ok(None) => false,
            Ok(Some(0)) | Err(_) => true,
            Ok(Some(len)) => self.has_close(&mut cx.buffer[..len]),
        }
    }

    /// Whether `bytes` contain a Close frame, or cannot be decoded.
    fn has_close(&mut self, mut bytes: &mut [u8]) -> bool {
        loop {
            match self.input.decoder.decode(&mut bytes) {
                Ok(Some(Message::Close(_))) | Err(_) => return true,
                Ok(Some(_)) => {}
                Ok(None) => return false,
            }
        }
    }

    /// Reads once; returns whether the stream has ended.
    fn has_ended(&mut self, cx: &mut Context<'_>) -> bool {
        self.input.is_readable() && matches!(self.read(cx), Ok(Some(0)) | Err(_))
    }
}
