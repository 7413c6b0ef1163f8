//! From bytes to replies: messages are decoded and served.

use std::mem;

use proto::escape;
use proto::frame::{Message, Opcode, encode};
use proto::ping::ERROR_PREFIX;
use tracing::info;

use super::{Connection, Ending, MAX_WAITING, Refusal};
use crate::observe::{Cause, warn_throttled};
use crate::service::{Answer, Incoming, InvalidMessage, Reply};
use crate::worker::turn::Context;

/// Messages of one connection that are served in one turn.
const MAX_BURST: usize = 512;

impl Connection {
    /// Reads once, and serves the messages that have arrived.
    pub(super) fn serve_arrived(&mut self, cx: &mut Context<'_>) -> Result<(), Ending> {
        let buffer = mem::take(&mut cx.buffer);
        let read = self.read(buffer, cx);
        let served = match read {
            Ok(None) => Ok(()),
            Ok(Some(0)) => Err(Ending::Lost(None)),
            Ok(Some(len)) => {
                let (served, result) = self.serve_all(&mut buffer[..len], cx);
                if served < len {
                    self.input.keep_leftover(buffer[served..len].to_vec(), 0);
                }
                result
            }
            Err(ending) => Err(ending),
        };
        cx.buffer = buffer;
        served
    }

    /// Serves the messages that an earlier turn had no room for.
    pub(super) fn serve_leftover(&mut self, cx: &mut Context<'_>) -> Result<(), Ending> {
        let (mut bytes, mut served) = self.input.take_leftover();
        let (more, result) = self.serve_all(&mut bytes[served..], cx);
        served += more;
        self.input.keep_leftover(bytes, served);
        result
    }

    /// Reads once. `None` if nothing is there, 0 at the end of the stream.
    #[inline]
    pub(super) fn read(
        &mut self,
        buffer: &mut [u8],
        cx: &mut Context<'_>,
    ) -> Result<Option<usize>, Ending> {
        let read = self.input.read(&mut *self.stream, buffer)?;
        if let Some(len) = read {
            cx.shared.counts.received_bytes.add(len as u64);
            self.deadlines.heard(cx.now);
        }
        Ok(read)
    }

    /// Serves the messages in `bytes`, as long as the turn has room for more. Returns how many
    /// bytes were used up.
    #[inline]
    fn serve_all(&mut self, bytes: &mut [u8], cx: &mut Context<'_>) -> (usize, Result<(), Ending>) {
        let len = bytes.len();
        let mut rest = bytes;
        let mut room = Room::new(cx);
        let result = loop {
            if rest.is_empty() || !room.is_left(cx) {
                break Ok(());
            }
            room.messages -= 1;
            match self.input.decoder.decode(&mut rest) {
                Ok(Some(message)) => {
                    if let Err(ending) = self.on_message(message, cx) {
                        break Err(ending);
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(Ending::Undecodable(error)),
            }
        };
        self.input.note_unfinished(cx.now);
        // Answers to Ping frames do not wait for the log.
        (len - rest.len(), result.and_then(|()| self.flush(cx)))
    }

    fn on_message(&mut self, message: Message<'_>, cx: &mut Context<'_>) -> Result<(), Ending> {
        match message {
            Message::Text(text) => self.serve(Incoming::Text(&text), cx),
            Message::Binary(bytes) => self.serve(Incoming::Binary(&bytes), cx),
            Message::Ping(payload) => {
                encode(self.output.queue(), Opcode::Pong, &payload, None);
                self.count_control_frame(cx)
            }
            Message::Pong(_) => self.count_control_frame(cx),
            Message::Close(close) => Err(Ending::Closed(close.map(|close| close.code))),
        }
    }

    fn count_control_frame(&mut self, cx: &Context<'_>) -> Result<(), Ending> {
        self.note_frame(cx.now);
        let is_allowed = self.deadlines.control_frame(cx.now);
        if is_allowed { Ok(()) } else { Err(Ending::Refused(Refusal::ControlFlood)) }
    }

    #[inline]
    fn serve(&mut self, message: Incoming<'_>, cx: &mut Context<'_>) -> Result<(), Ending> {
        self.input.message_ended();
        let shared = cx.shared;
        shared.counts.service(self.service.index()).messages.add(1);
        match self.service.answer(message, &shared.services) {
            Ok(Answer::Record { ping, reply }) => {
                cx.recorder.record(&ping);
                shared.counts.clients.pinged(&mut self.client, &ping.client_name);
                cx.replies.push_recorded(reply);
                return Ok(());
            }
            Ok(Answer::Reply(reply)) => cx.replies.push(&reply),
            Ok(Answer::Probe(request)) => self.serve_probe(request, cx),
            Err(InvalidMessage::Text(expected)) => self.refuse(&expected, cx),
            Err(InvalidMessage::Binary) => return Err(Ending::Refused(Refusal::Binary)),
        }
        if shared.limits.log_messages {
            self.log_message(message);
        }
        Ok(())
    }

    #[cold]
    fn refuse(&mut self, expected: &str, cx: &mut Context<'_>) {
        let peer = self.peer;
        cx.shared.metrics.errors.count(Cause::InvalidMessage);
        let shown = escape::plain(expected);
        warn_throttled!(cx.shared.invalid_messages, %peer, "invalid message: {shown}");
        let error = format!("{ERROR_PREFIX}{expected}");
        if self.probe.is_some() {
            self.note_frame(cx.now);
            self.reply_to_probe(&error, cx);
        } else {
            cx.replies.push(&Reply::text(error));
        }
    }

    /// Logs a message as an event (`LOG_MESSAGES`).
    fn log_message(&self, message: Incoming<'_>) {
        let (peer, path) = (self.peer, self.service.path());
        match message {
            Incoming::Text(text) => info!(%peer, path, "Got message: {}", escape::plain(text)),
            Incoming::Binary(bytes) => {
                info!(%peer, path, "Got message: {} bytes of binary", bytes.len());
            }
        }
    }
}

/// How much one connection may still do in its turn.
struct Room {
    messages: usize,
    /// Size of the replies at which its turn ends.
    replies: usize,
}

impl Room {
    fn new(cx: &Context<'_>) -> Self {
        Self { messages: MAX_BURST, replies: cx.replies.size() + MAX_WAITING }
    }

    fn is_left(&self, cx: &Context<'_>) -> bool {
        self.messages > 0 && cx.replies.size() < self.replies && !cx.recorder.is_full()
    }
}
