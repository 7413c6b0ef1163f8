//! One connection after its upgrade, as a state machine that is driven by calls and never waits.
//! Time is an argument.
//!
//! The path of a ping: [`Connection::on_ready`] leads to `receive`,
//! which reads, decodes and serves the ping ([`serve`]); a ping that repeats the [`last_ping`] needs
//! no parsing. Its line is then with the recorder and its reply with the turn, and the connection
//! awaits the commit. [`Connection::on_committed`] gets the reply back, encoded, and sends it.
//!
//! [`input`] and [`output`] hold the bytes from and to the peer. [`deadlines`] computes when the peer
//! has to act, [`timer`] acts when a deadline has passed, and [`closing`] runs the closing handshake.

mod closing;
mod deadlines;
mod delayed;
mod ending;
mod input;
mod last_ping;
mod output;
mod probe;
mod serve;

mod timer;

use std::mem;
use std::time::Instant;

use proto::deflate::Params;
use proto::frame::{Opcode, encode, encode_deflated};
use proto::limits::PING_AFTER;

use super::turn::Context;
use crate::peer::Peer;
use crate::service::Service;
use crate::service::probe::Opened;
use crate::stream::Stream;

use closing::Closing;
use deadlines::Deadlines;
use delayed::Delayed;
use ending::{Ending, Refusal};
use input::Input;
use last_ping::LastPing;
use output::Output;
use probe::Probe;

/// Bytes of replies to one connection that may wait before the connection is not read any more.
const MAX_WAITING: usize = 64 * 1024;

/// The readiness of a stream, as epoll reports it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Readiness {
    /// Bytes can be read.
    pub readable: bool,
    /// The peer has ended its direction, or the stream is broken.
    pub hung_up: bool,
}

/// A connection after its upgrade.
#[derive(Debug)]
pub(super) struct Connection {
    state: State,
    service: Service,
    /// The agreed parameters of permessage-deflate; `None` without compression.
    deflate: Option<Params>,
    peer: Peer,
    input: Input,
    output: Output,
    delayed: Delayed,
    deadlines: Deadlines,
    /// The last ping with its line; `None` before the first ping.
    last_ping: Option<Box<LastPing>>,
    /// The state of a connection of `/probe`, until it ends; `None` at other paths.
    probe: Option<Box<Probe>>,
    stream: Box<dyn Stream>,
}

/// The state of a connection, on which [`Connection::advance`] acts.
#[derive(Debug)]
enum State {
    /// Messages are read and served.
    Open,
    /// Messages were served and their replies await the commit of the log. Nothing is read.
    AwaitingCommit(Next),
    /// The server stops: until this time, messages that were read are served.
    Finishing(Instant),
    /// The closing handshake (RFC 6455, section 7).
    Closing(Closing),
}

/// The state after a commit.
#[derive(Debug)]
enum Next {
    Open,
    Finish(Instant),
    Close(Ending),
}

impl Connection {
    /// A connection over a stream that was upgraded `now`; `read_buf` holds the bytes that arrived
    /// after the request.
    pub(super) fn new(
        stream: Box<dyn Stream>,
        read_buf: Vec<u8>,
        service: Service,
        deflate: Option<Params>,
        peer: Peer,
        max_message: usize,
        now: Instant,
    ) -> Self {
        Self {
            state: State::Open,
            service,
            deflate,
            peer,
            input: Input::new(read_buf, max_message, deflate.is_some()),
            output: Output::default(),
            delayed: Delayed::default(),
            deadlines: Deadlines::new(now),
            last_ping: None,
            probe: None,
            stream,
        }
    }

    /// Makes this a connection of `/probe`, if `probe` is not `None`.
    pub(super) fn with_probe(mut self, probe: Option<Box<Opened>>) -> Self {
        self.probe = probe.map(|probe| Box::new(Probe::new(*probe)));
        self
    }

    /// Greets the client, if the service does, and serves bytes that arrived after the request.
    pub(super) fn open(&mut self, cx: &mut Context<'_>) {
        let greeting = match &mut self.probe {
            Some(probe) => Some(probe.take_hello()),
            None => self.service.greeting(&cx.shared.services),
        };
        if let Some(greeting) = greeting {
            let mut frame = Vec::new();
            let is_deflated = self.deflate(greeting.as_bytes(), cx, |payload, _| {
                encode_deflated(&mut frame, Opcode::Text, payload, None);
            });
            if !is_deflated {
                encode(&mut frame, Opcode::Text, greeting.as_bytes(), None);
            }
            if let Err(ending) = self.send(&frame, cx) {
                return self.enter_next(Next::Close(ending), cx);
            }
        }
        self.advance(cx);
    }

    /// Notes an event, and acts on it.
    pub(super) fn on_ready(&mut self, readiness: Readiness, cx: &mut Context<'_>) {
        self.input.note(readiness);
        self.advance(cx);
    }

    /// Does everything possible in the present state.
    pub(super) fn advance(&mut self, cx: &mut Context<'_>) {
        let replies = cx.replies.len();
        let served = match self.state {
            State::Open => self.receive(cx),
            State::Finishing(_) => self.finish(cx),
            State::AwaitingCommit(_) => return,
            State::Closing(_) => return self.advance_closing(cx),
        };
        let next = match (served, &self.state) {
            (Err(ending), _) => Next::Close(ending),
            (Ok(()), State::Finishing(until)) => Next::Finish(*until),
            (Ok(()), _) => Next::Open,
        };
        if cx.replies.len() > replies {
            self.state = State::AwaitingCommit(next);
        } else if let Next::Close(ending) = next {
            self.close(ending, cx);
        }
    }

    /// Reads what has arrived, and serves the messages in it.
    fn receive(&mut self, cx: &mut Context<'_>) -> Result<(), Ending> {
        if self.is_backlogged() {
            self.input.restart_unfinished(cx.now);
            self.flush(cx)?;
            if self.is_backlogged() {
                return Ok(());
            }
        }
        if self.input.has_leftover() {
            return self.serve_leftover(cx);
        }
        if self.input.is_readable() { self.serve_arrived(cx) } else { Ok(()) }
    }

    /// Sends the replies of a turn, encoded, after the log has answered.
    pub(super) fn on_committed(&mut self, replies: &[u8], cx: &mut Context<'_>) {
        let next = match mem::replace(&mut self.state, State::Open) {
            State::AwaitingCommit(next) => next,
            other => {
                self.state = other;
                return;
            }
        };
        self.input.restart_unfinished(cx.now);
        match (self.reply(replies, cx), next) {
            (Ok(()), Next::Open) => {}
            (Ok(()), next) => self.enter_next(next, cx),
            (Err(ending), _) => self.close(ending, cx),
        }
    }

    /// Sends replies, or holds them back.
    #[inline]
    fn reply(&mut self, frames: &[u8], cx: &mut Context<'_>) -> Result<(), Ending> {
        let delay = cx.shared.limits.reply_delay;
        if delay.is_zero() {
            return self.send(frames, cx);
        }
        self.delayed.push(cx.now + delay, frames.to_vec());
        Ok(())
    }

    #[inline]
    fn send(&mut self, frames: &[u8], cx: &mut Context<'_>) -> Result<(), Ending> {
        let sent = self.output.send(&mut *self.stream, frames, cx.now)?;
        cx.shared.counts.sent_bytes.add(sent as u64);
        Ok(())
    }

    #[inline]
    fn enter_next(&mut self, next: Next, cx: &mut Context<'_>) {
        match next {
            Next::Open => self.state = State::Open,
            Next::Finish(until) => self.state = State::Finishing(until),
            Next::Close(ending) => self.close(ending, cx),
        }
    }

    /// Sends the bytes that wait.
    #[inline]
    fn flush(&mut self, cx: &mut Context<'_>) -> Result<(), Ending> {
        if self.output.is_empty() { Ok(()) } else { self.flush_output(cx) }
    }

    fn flush_output(&mut self, cx: &mut Context<'_>) -> Result<(), Ending> {
        let sent = self.output.flush(&mut *self.stream, cx.now)?;
        cx.shared.counts.sent_bytes.add(sent as u64);
        Ok(())
    }

    /// Whether the peer is not read, because it takes no replies, or because many are held back.
    fn is_backlogged(&self) -> bool {
        !self.output.is_empty() || self.delayed.is_full(MAX_WAITING)
    }

    /// Whether the connection has to act without an event.
    pub(super) fn is_runnable(&self) -> bool {
        match &self.state {
            State::Open => self.input.has_more() && !self.is_backlogged(),
            State::Finishing(_) => self.output.is_empty(),
            State::AwaitingCommit(_) => false,
            State::Closing(closing) => {
                closing.reads() && self.output.is_empty() && self.input.has_more()
            }
        }
    }

    /// Whether the connection has nothing to do before the next event, the commit, or `timer`, which
    /// is set. As a rule this is so after each ping, and nothing has to be scheduled.
    #[inline]
    pub(super) fn is_at_rest(&self, timer: Instant) -> bool {
        let is_between_messages = !self.input.decoder.has_partial();
        match &self.state {
            State::AwaitingCommit(_) => is_between_messages,
            State::Open => {
                let has_output = !self.output.is_empty() || !self.delayed.is_empty();
                is_between_messages
                    && !has_output
                    && !self.input.has_more()
                    && timer <= self.deadlines.silence(PING_AFTER).0
                    && self.probe.is_none()
            }
            State::Finishing(_) | State::Closing(_) => false,
        }
    }

    /// Memory that an unfinished message takes, in bytes.
    pub(super) fn buffered(&self) -> usize {
        self.input.buffered()
    }

    /// The address of the client.
    pub(super) fn peer(&self) -> Peer {
        self.peer
    }
}
