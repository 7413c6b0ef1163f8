//! The closing handshake (RFC 6455, section 7): a Close frame each way, then the end of the TCP
//! connection. A socket that is closed with unread bytes in it would reset the connection, and
//! take back what the peer has not read yet (section 7.1.1); so the peer closes first.

use std::mem;
use std::time::Instant;

use proto::frame::{Message, Opcode, encode, encode_close};
use proto::limits::CLOSE_TIMEOUT;

use super::{Connection, Ending, Refusal, State};
use crate::worker::turn::Context;

/// How far the closing handshake is.
#[derive(Debug)]
pub(super) struct Closing {
    ending: Ending,
    step: Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The Close frame goes out, and that of the peer is awaited, until then.
    CloseFrames(Instant),
    /// The peer ends its direction of the stream, until then.
    EndOfStream(Instant),
    /// There is nothing more to do.
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

    /// Why the connection ended, once it has.
    pub(super) fn ended(&self) -> Option<&Ending> {
        (self.step == Step::Done).then_some(&self.ending)
    }
}

impl Connection {
    /// Begins the closing handshake, where the stream still allows one.
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

    /// Goes on with the closing handshake, as far as possible by now.
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

    /// Whether both Close frames have been sent, or the stream is broken.
    fn has_closed(&mut self, cx: &mut Context<'_>) -> bool {
        if self.flush(cx).is_err() {
            return true;
        }
        if !self.output.is_empty() {
            return false;
        }
        let State::Closing(closing) = &self.state else { return true };
        match closing.ending {
            // The peer has sent its Close frame already, or nothing more of it can be decoded.
            Ending::Closed(_) | Ending::Undecodable(_) | Ending::Refused(Refusal::Overload) => true,
            _ => self.receives_close(cx),
        }
    }

    /// Reads on, for the Close frame of the peer.
    fn receives_close(&mut self, cx: &mut Context<'_>) -> bool {
        let (mut leftover, served) = self.input.take_leftover();
        if self.has_close(&mut leftover[served..]) {
            return true;
        }
        if !self.input.is_readable() {
            return false;
        }
        let buffer = mem::take(&mut cx.buffer);
        let received = match self.read(buffer, cx) {
            Ok(None) => false,
            Ok(Some(0)) | Err(_) => true,
            Ok(Some(len)) => self.has_close(&mut buffer[..len]),
        };
        cx.buffer = buffer;
        received
    }

    /// Whether a Close frame is in `bytes`, or what is broken.
    fn has_close(&mut self, mut bytes: &mut [u8]) -> bool {
        loop {
            match self.input.decoder.decode(&mut bytes) {
                Ok(Some(Message::Close(_))) | Err(_) => return true,
                Ok(Some(_)) => {}
                Ok(None) => return false,
            }
        }
    }

    /// Reads on, for the end of the stream.
    fn has_ended(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.input.is_readable() {
            return false;
        }
        let buffer = mem::take(&mut cx.buffer);
        let read = self.read(buffer, cx);
        cx.buffer = buffer;
        matches!(read, Ok(Some(0)) | Err(_))
    }
}
