//! Serving: bytes are decoded to messages, and messages answered.

use std::mem;

use proto::PONG;
use proto::escape;
use proto::frame::{Message, Opcode, encode};
use proto::ping::ERROR_PREFIX;
use tracing::info;

use super::{Connection, Ending, MAX_WAITING, Refusal};
use crate::observe::Cause;
use crate::service::{Answer, Incoming, InvalidMessage, Reply};
use crate::throttle::warn_throttled;
use crate::worker::replies::Replies;
use crate::worker::turn::Context;

/// Most messages of one connection that are served in one turn.
const MAX_BURST: usize = 512;

/// Bytes of a long message that take as long to decompress as the smallest message.
const SMALL_MESSAGE: usize = 1024;

impl Connection {
    /// Reads once, and serves the messages that have arrived.
    pub(super) fn serve_arrived(&mut self, cx: &mut Context<'_>) -> Result<(), Ending> {
        let len = match self.read(cx)? {
            None => return Ok(()),
            Some(0) => return Err(Ending::Lost(None)),
            Some(len) => len,
        };
        let buffer = mem::take(&mut cx.buffer);
        let (served, result) = self.serve_all(&mut buffer[..len], cx);
        if served < len {
            self.input.keep_leftover(buffer[served..len].to_vec(), 0);
        }
        cx.buffer = buffer;
        result
    }

    /// Serves the messages that an earlier turn had no room for.
    pub(super) fn serve_leftover(&mut self, cx: &mut Context<'_>) -> Result<(), Ending> {
        let (mut bytes, mut served) = self.input.take_leftover();
        let (more, result) = self.serve_all(&mut bytes[served..], cx);
        served += more;
        self.input.keep_leftover(bytes, served);
        result
    }

    /// Reads once into the buffer. Returns how many bytes: `None` if none have arrived, 0 at the end
    /// of the stream.
    #[inline]
    pub(super) fn read(&mut self, cx: &mut Context<'_>) -> Result<Option<usize>, Ending> {
        let read = self.input.read(&mut *self.stream, cx.buffer)?;
        if let Some(len) = read {
            cx.shared.counts.received_bytes.add(len as u64);
            self.deadlines.heard(cx.now);
        }
        Ok(read)
    }

    /// Serves the messages in `bytes`, as long as the turn has room for more. Returns how many bytes
    /// were decoded.
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
            if self.take_repeated(&mut rest, cx) {
                continue;
            }
            match self.input.decoder.decode(&mut rest) {
                Ok(Some(message)) => {
                    if let Err(ending) = self.on_message(message, cx) {
                        break Err(ending);
                    }
                }
                // A binary message for a service of text is refused before it is complete.
                Ok(None) if self.input.decoder.is_mid_binary() && !self.service.takes_binary() => {
                    break Err(Ending::Refused(Refusal::Binary));
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(Ending::Undecodable(error)),
            }
        };
        self.input.note_unfinished(cx.now);
        // Answers to Ping frames do not wait for the log.
        (len - rest.len(), result.and_then(|()| self.flush(cx)))
    }

    /// Serves the next message if it repeats the last ping.
    #[inline]
    fn take_repeated(&mut self, rest: &mut &mut [u8], cx: &mut Context<'_>) -> bool {
        let Some(last) = &mut self.last_ping else { return false };
        let Some((text, line)) = last.get() else { return false };
        if !self.input.decoder.take_text(rest, text) {
            return false;
        }
        let counts = &cx.shared.counts;
        counts.service(self.service.index()).messages.add(1);
        cx.recorder.record_again(line);
        counts.clients.pinged_again(&mut last.client);
        cx.replies.push_recorded(PONG);
        true
    }

    fn on_message(&mut self, message: Message<'_>, cx: &mut Context<'_>) -> Result<(), Ending> {
        match message {
            Message::Text(text) => self.serve(Incoming::Text(&text), cx),
            Message::Binary(bytes) => self.serve(Incoming::Binary(&bytes), cx),
            Message::Deflated(opcode, payload) => self.serve_deflated(opcode, &payload, cx),
            Message::Ping(payload) => {
                encode(self.output.queue(), Opcode::Pong, &payload, None);
                self.count_control_frame(cx)
            }
            Message::Pong(_) => self.count_control_frame(cx),
            Message::Close(close) => Err(Ending::Closed(close.map(|close| close.code))),
        }
    }

    /// Serves a compressed message.
    #[cold]
    fn serve_deflated(
        &mut self,
        opcode: Opcode,
        payload: &[u8],
        cx: &mut Context<'_>,
    ) -> Result<(), Ending> {
        let (max, counts) = (cx.shared.limits.max_message, &cx.shared.counts.received_deflated);
        let mut inflater = cx.compression.take_inflater();
        let mut count = |plain: usize| {
            counts.add(payload.len(), plain);
            cx.replies.count_work(SMALL_MESSAGE + plain);
        };
        let served = match inflater.message(opcode, payload, max, None) {
            Ok(Message::Text(text)) => {
                count(text.len());
                self.serve(Incoming::Text(&text), cx)
            }
            Ok(Message::Binary(bytes)) => {
                count(bytes.len());
                self.serve(Incoming::Binary(&bytes), cx)
            }
            Ok(_) => Ok(()),
            Err(error) => Err(Ending::Undecodable(error)),
        };
        cx.compression.put_inflater(inflater);
        served
    }

    /// Passes the compressed payload of a reply to `take`, if compression is agreed on and makes the
    /// reply smaller. Returns whether it does.
    #[inline]
    pub(super) fn deflate(
        &self,
        reply: &[u8],
        cx: &mut Context<'_>,
        take: impl FnOnce(&[u8], &mut Replies),
    ) -> bool {
        let Some(agreed) = self.deflate else { return false };
        let Context { compression, replies, shared, .. } = cx;
        replies.count_work(reply.len());
        compression.deflate(reply, agreed, &shared.counts, |payload| take(payload, replies))
    }

    /// Adds a reply that does not depend on the log.
    fn push(&self, reply: &Reply<'_>, cx: &mut Context<'_>) {
        let take =
            |payload: &[u8], replies: &mut Replies| replies.push_deflated(reply.opcode, payload);
        if !self.deflate(&reply.bytes, cx, take) {
            cx.replies.push(reply);
        }
    }

    fn count_control_frame(&mut self, cx: &Context<'_>) -> Result<(), Ending> {
        self.note_probe_frame(cx.now);
        // The unfinished frame may have been this control frame.
        if !self.input.decoder.has_partial() {
            self.input.message_ended();
        }
        let is_allowed = self.deadlines.control_frame(cx.now);
        if is_allowed { Ok(()) } else { Err(Ending::Refused(Refusal::ControlFlood)) }
    }

    #[inline]
    fn serve(&mut self, message: Incoming<'_>, cx: &mut Context<'_>) -> Result<(), Ending> {
        self.input.message_ended();
        let shared = cx.shared;
        shared.counts.service(self.service.index()).messages.add(1);
        match self.service.answer(message, &shared.services) {
            Ok(Answer::Record(ping)) => {
                let line = cx.recorder.record(&ping);
                let last = self.last_ping.get_or_insert_default();
                shared.counts.clients.pinged(&mut last.client, &ping.client_name);
                if let Incoming::Text(text) = message {
                    last.remember(text, line);
                }
                cx.replies.push_recorded(PONG);
                return Ok(());
            }
            Ok(Answer::Reply(reply)) => self.push(&reply, cx),
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
            self.note_probe_frame(cx.now);
            self.reply_to_probe(&error, cx);
        } else {
            self.push(&Reply::text(error), cx);
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

/// How much of a connection may still be served in the turn.
struct Room {
    messages: usize,
    /// Bound on [`Replies::size`].
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
