//! One connection after its upgrade, as a state machine: it is driven by calls, time is an
//! argument, and it never waits.
//!
//! A ping comes in with [`Connection::on_ready`], which reads, decodes and serves it ([`serve`]); one
//! that repeats the [`last_ping`] needs no parsing.
//! Its line is then with the journal and its reply with the turn, and the connection awaits the
//! commit. [`Connection::complete`] brings the reply back, encoded, and sends it.

mod closing;
mod deadlines;
mod delayed;
mod ending;
mod input;
mod last_ping;
mod output;
mod probe;
mod serve;
mod stream;

use std::io::ErrorKind;
use std::mem;
use std::time::Instant;

use proto::deflate::Params;
use proto::frame::{Opcode, encode, encode_deflated};
use proto::limits::{CLOSE_TIMEOUT, PING_AFTER};

use super::turn::Context;
use crate::observe::Peer;
use crate::service::Service;
use crate::service::probe::Opened;

use closing::Closing;
use deadlines::{Deadlines, Due, Pending};
use delayed::Delayed;
use input::Input;
use last_ping::LastPing;
use output::Output;
use probe::Probe;

pub use ending::{Ending, Refusal};
pub use stream::{PolledStream, Socket, Stream};

/// Bytes of replies to one connection that may wait before it is not read any further.
const MAX_WAITING: usize = 64 * 1024;

/// What epoll reports about a stream.
#[derive(Clone, Copy, Debug, Default)]
pub struct Readiness {
    /// There is something to read.
    pub readable: bool,
    /// The peer sends no more, or the stream is broken.
    pub hung_up: bool,
}

/// A connection.
#[derive(Debug)]
pub struct Connection {
    state: State,
    service: Service,
    /// What was agreed on compression, if it was.
    deflate: Option<Params>,
    peer: Peer,
    input: Input,
    output: Output,
    delayed: Delayed,
    deadlines: Deadlines,
    /// The last ping with its line, which the next one mostly repeats.
    last_ping: Option<Box<LastPing>>,
    /// What `/probe` needs, until the connection ends.
    probe: Option<Box<Probe>>,
    stream: Box<dyn Stream>,
}

/// What a connection does at present; [`Connection::advance`] has what happens in each state.
#[derive(Debug)]
enum State {
    /// Messages are read and served.
    Open,
    /// Messages were served and their replies await the commit of the log. Nothing is read.
    AwaitingCommit(Next),
    /// The server stops: messages that were read are served, until then.
    Finishing(Instant),
    /// The closing handshake (RFC 6455, section 7).
    Closing(Closing),
}

/// The state behind a commit.
#[derive(Debug)]
enum Next {
    Open,
    Finish(Instant),
    Close(Ending),
}

impl Connection {
    /// A connection over a stream that was upgraded `now`; `early` are bytes that arrived with the
    /// request.
    #[must_use]
    pub fn new(
        stream: Box<dyn Stream>,
        early: Vec<u8>,
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
            input: Input::new(early, max_message, deflate.is_some()),
            output: Output::default(),
            delayed: Delayed::default(),
            deadlines: Deadlines::new(now),
            last_ping: None,
            probe: None,
            stream,
        }
    }

    /// The same connection, at `/probe` if `probe` is something.
    #[must_use]
    pub fn probing(mut self, probe: Option<Box<Opened>>) -> Self {
        self.probe = probe.map(|probe| Box::new(Probe::new(*probe)));
        self
    }

    /// Where the client is.
    #[must_use]
    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// Greets the client, if the service does, and serves bytes that arrived with the request.
    pub fn open(&mut self, cx: &mut Context<'_>) {
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
                return self.enter(Next::Close(ending), cx);
            }
        }
        self.advance(cx);
    }

    /// Takes note of an event, and goes on.
    pub fn on_ready(&mut self, readiness: Readiness, cx: &mut Context<'_>) {
        self.input.note(readiness);
        self.advance(cx);
    }

    /// Does what is possible in the present state.
    pub fn advance(&mut self, cx: &mut Context<'_>) {
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

    /// Sends the replies of a turn, encoded, after the log has answered.
    pub fn complete(&mut self, replies: &[u8], cx: &mut Context<'_>) {
        let State::AwaitingCommit(next) = mem::replace(&mut self.state, State::Open) else {
            return;
        };
        self.input.restart_unfinished(cx.now);
        match (self.reply(replies, cx), next) {
            (Ok(()), Next::Open) => {}
            (Ok(()), next) => self.enter(next, cx),
            (Err(ending), _) => self.close(ending, cx),
        }
    }

    /// Does what is due by now.
    pub fn on_timer(&mut self, cx: &mut Context<'_>) {
        match self.state {
            State::Open => {
                if let Err(ending) = self.do_due(cx) {
                    self.close(ending, cx);
                }
            }
            State::Finishing(until) if until <= cx.now => self.close(Ending::Stopping, cx),
            State::Finishing(_) | State::AwaitingCommit(_) => {}
            State::Closing(_) => self.advance_closing(cx),
        }
    }

    /// Ends the connection, as the server stops. Messages that were read are served before, as
    /// long as the peer takes the replies.
    pub fn stop(&mut self, cx: &mut Context<'_>) {
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

    /// When something is due, if nothing happens before.
    #[must_use]
    pub fn next_timer(&self) -> Option<Instant> {
        match &self.state {
            State::Open => {
                let deadline = self.deadlines.next(self.pending(), self.ping_after());
                let others = [self.delayed.next(), self.next_push()];
                Some(others.into_iter().flatten().fold(deadline, Instant::min))
            }
            State::Finishing(until) => Some(*until),
            State::AwaitingCommit(_) => None,
            State::Closing(closing) => closing.deadline(),
        }
    }

    /// Whether there is something to do that no event will report.
    #[must_use]
    pub fn is_runnable(&self) -> bool {
        match &self.state {
            State::Open => self.input.has_more() && !self.is_backlogged(),
            State::Finishing(_) => self.output.is_empty(),
            State::AwaitingCommit(_) => false,
            State::Closing(closing) => {
                closing.reads() && self.output.is_empty() && self.input.has_more()
            }
        }
    }

    /// Whether nothing is to be done before the next event, the commit, or `timer`, which is set:
    /// so it is, as a rule, after each ping.
    #[inline]
    #[must_use]
    pub fn is_at_rest(&self, timer: Instant) -> bool {
        let is_between_messages = !self.input.decoder.is_mid_message();
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
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.input.buffered()
    }

    /// Gives up an unfinished message, and the connection with it.
    pub fn evict(&mut self, cx: &mut Context<'_>) {
        self.input.discard();
        let ending = Ending::Refused(Refusal::Overload);
        match &mut self.state {
            State::Open | State::Finishing(_) => self.close(ending, cx),
            State::AwaitingCommit(next) => *next = Next::Close(ending),
            State::Closing(_) => {}
        }
    }

    /// Why the connection ended, once it has.
    #[must_use]
    pub fn ended(&self) -> Option<&Ending> {
        match &self.state {
            State::Closing(closing) => closing.ended(),
            _ => None,
        }
    }

    #[inline]
    fn enter(&mut self, next: Next, cx: &mut Context<'_>) {
        match next {
            Next::Open => self.state = State::Open,
            Next::Finish(until) => self.state = State::Finishing(until),
            Next::Close(ending) => self.close(ending, cx),
        }
    }

    /// Reads what has arrived, and serves the messages in it.
    fn receive(&mut self, cx: &mut Context<'_>) -> Result<(), Ending> {
        self.flush(cx)?;
        if self.is_backlogged() {
            return Ok(());
        }
        if self.input.has_leftover() {
            return self.serve_leftover(cx);
        }
        if self.input.is_readable() { self.serve_arrived(cx) } else { Ok(()) }
    }

    /// Serves what was read before the stop; what the peer sent since stays unread.
    fn finish(&mut self, cx: &mut Context<'_>) -> Result<(), Ending> {
        self.flush(cx)?;
        if !self.output.is_empty() {
            return Ok(());
        }
        let replies = cx.replies.len();
        self.serve_leftover(cx)?;
        let is_done = cx.replies.len() == replies && !self.input.has_leftover();
        if is_done { Err(Ending::Stopping) } else { Ok(()) }
    }

    /// Whether the peer is not read, as it takes no replies or many are held back.
    fn is_backlogged(&self) -> bool {
        !self.output.is_empty() || self.delayed.is_full(MAX_WAITING)
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

    /// Sends what waits.
    #[inline]
    fn flush(&mut self, cx: &mut Context<'_>) -> Result<(), Ending> {
        if self.output.is_empty() { Ok(()) } else { self.flush_output(cx) }
    }

    fn flush_output(&mut self, cx: &mut Context<'_>) -> Result<(), Ending> {
        let sent = self.output.flush(&mut *self.stream, cx.now)?;
        cx.shared.counts.sent_bytes.add(sent as u64);
        if !self.is_backlogged() {
            self.input.restart_unfinished(cx.now);
        }
        Ok(())
    }

    fn do_due(&mut self, cx: &mut Context<'_>) -> Result<(), Ending> {
        self.delayed.release(Some(cx.now), self.output.queue());
        self.flush(cx)?;
        self.push_due(cx)?;
        match self.deadlines.due(cx.now, self.pending(), self.ping_after()) {
            Some(Due::Ping) => {
                self.deadlines.pinged(cx.now);
                let mut frame = Vec::new();
                encode(&mut frame, Opcode::Ping, b"", None);
                self.send(&frame, cx)
            }
            // Its sign of life may lie unread.
            Some(Due::Silent) if self.is_backlogged() => {
                self.deadlines.heard(cx.now);
                Ok(())
            }
            Some(Due::Silent) => Err(Ending::Refused(Refusal::Silent)),
            Some(Due::Unfinished) => Err(Ending::Refused(Refusal::Unfinished)),
            Some(Due::NotReading) => Err(Ending::NotReading),
            None => Ok(()),
        }
    }

    /// What the peer has begun and not ended. A message that is not read makes no progress, and
    /// the peer is not to blame.
    fn pending(&self) -> Pending {
        Pending {
            unfinished: self.input.unfinished().filter(|_| !self.is_backlogged()),
            stuck_since: self.output.stuck_since(),
        }
    }
}

impl From<std::io::Error> for Ending {
    fn from(error: std::io::Error) -> Self {
        // TLS without close_notify: to a reader of the log the same as a FIN without a Close frame.
        let is_end = error.kind() == ErrorKind::UnexpectedEof;
        Self::Lost((!is_end).then_some(error))
    }
}
