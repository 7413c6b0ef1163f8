//! One connection after its upgrade: what to do about the frames that come, whatever the stream
//! and the service. It never waits itself: the event loop says when there is something to do.

mod deadline;
mod ending;
mod frame;
mod output;
mod parting;
mod protocol;
mod stream;
mod tracker;

use std::io::ErrorKind;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proto::PONG;
use proto::limits::CLOSE_TIMEOUT;
use proto::ping::ERROR_PREFIX;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::http::Peer;
use crate::journal::{Recorder, Unrecorded};
use crate::metrics::{self, Cause, Metrics, WorkerMetrics};
use crate::service::{self, Answer, Incoming, Reply, Service, Unusable};
use crate::throttle::{Throttle, warn_throttled};

use deadline::{Deadlines, Due, Pending};
use frame::Whole;
use output::{Delayed, Output};
use parting::Phase;
use protocol::Protocol;

pub use ending::{Ending, Refusal};
pub use stream::{Socket, Stream};

/// Messages of one connection that are answered in one turn.
const MAX_BURST: usize = 512;

/// What the replies to one connection may take before no further message of it is read, in bytes.
const MAX_WAITING: usize = 64 * 1024;

/// What the connections of a worker share.
#[derive(Debug)]
pub struct Shared {
    /// Largest message in bytes (`MAX_MESSAGE`).
    pub max_message: usize,
    /// Time that each reply is held back (`REPLY_DELAY`).
    pub reply_delay: Duration,
    /// What the services remember.
    pub services: Arc<service::State>,
    /// What the server counts.
    pub metrics: Arc<Metrics>,
    /// What this worker counts.
    pub counts: Arc<WorkerMetrics>,
    /// Warnings about messages that a service cannot use.
    pub unusable: Arc<Throttle>,
}

/// What a connection has at hand when it is its turn.
#[derive(Debug)]
pub struct Turn<'a> {
    /// The present.
    pub now: Instant,
    /// What it shares with the others.
    pub shared: &'a Shared,
    /// Room to read into.
    pub buffer: &'a mut [u8],
    /// Takes the pings.
    pub recorder: &'a mut Recorder,
    /// Takes the frames that may leave once the recorder has committed. What the connection adds
    /// comes back to it with [`Connection::settle`].
    pub replies: &'a mut Vec<u8>,
}

/// What has become possible with a stream.
#[derive(Clone, Copy, Debug, Default)]
pub struct Readiness {
    /// There is something to read.
    pub readable: bool,
    /// The peer sends no more, or the stream is broken.
    pub hung_up: bool,
}

/// A connection.
#[derive(Debug)]
pub struct Connection<S: ?Sized> {
    service: Service,
    peer: Peer,
    phase: Phase,
    /// Why it ends, once it does.
    ending: Option<Ending>,
    /// The server stops: only what was read is still answered, until then.
    stopping: Option<Instant>,
    /// There may be something to read that no event will tell of.
    readable: bool,
    /// So it is to the end of the stream.
    hung_up: bool,
    /// Replies wait for the recorder.
    staged: bool,
    /// Some of them say that a ping is recorded.
    recording: bool,
    /// The peer is not read at present.
    paused: bool,
    /// What was read and could not be taken in its turn.
    unread: Option<Unread>,
    /// Since when a message is unfinished.
    unfinished_since: Option<Instant>,
    protocol: Option<Box<Protocol>>,
    deadlines: Deadlines,
    output: Output,
    delayed: Delayed,
    /// Who sent the last ping.
    client: Option<Arc<metrics::Client>>,
    stream: S,
}

/// Bytes that were read, some of which may have been taken.
#[derive(Debug)]
struct Unread {
    bytes: Vec<u8>,
    taken: usize,
}

impl<S: Stream> Connection<S> {
    /// A connection over a stream that was upgraded `now`; `early` are the bytes that arrived
    /// behind the request.
    #[must_use]
    pub fn new(stream: S, early: Vec<u8>, service: Service, peer: Peer, now: Instant) -> Self {
        Self {
            service,
            peer,
            phase: Phase::Open,
            ending: None,
            stopping: None,
            readable: true,
            hung_up: false,
            staged: false,
            recording: false,
            paused: false,
            unread: (!early.is_empty()).then_some(Unread { bytes: early, taken: 0 }),
            unfinished_since: None,
            protocol: None,
            deadlines: Deadlines::new(now),
            output: Output::default(),
            delayed: Delayed::default(),
            client: None,
            stream,
        }
    }
}

impl<S: Stream + ?Sized> Connection<S> {
    /// Does what has become possible.
    pub fn on_event(&mut self, readiness: Readiness, turn: &mut Turn<'_>) {
        self.readable |= readiness.readable | readiness.hung_up;
        self.hung_up |= readiness.hung_up;
        self.proceed(turn);
    }

    /// Does what can be done by now.
    pub fn proceed(&mut self, turn: &mut Turn<'_>) {
        let staged = turn.replies.len();
        if self.phase == Phase::Open
            && let Err(ending) = self.converse(turn)
        {
            self.part(ending);
        }
        self.staged |= turn.replies.len() > staged;
        self.say_goodbye(turn);
    }

    /// Ends the connection, as the server stops. What was read is answered before, as long as the
    /// peer takes it.
    pub fn stop(&mut self, turn: &mut Turn<'_>) {
        self.stopping = Some(turn.now + CLOSE_TIMEOUT);
        self.proceed(turn);
    }

    /// Takes back the replies that it gave to the turn, with what became of their pings: now
    /// they may leave.
    pub fn settle(&mut self, frames: &[u8], outcome: Result<(), &Unrecorded>, turn: &mut Turn<'_>) {
        self.staged = false;
        let recording = mem::take(&mut self.recording);
        // While it waited nothing was read, and the peer is not to blame.
        self.restart_unfinished(turn.now);
        let sent = match outcome {
            Err(cause) if recording => self.reply(&refused(frames, cause), turn),
            _ => self.reply(frames, turn),
        };
        if let Err(ending) = sent {
            self.part(ending);
        }
        self.say_goodbye(turn);
    }

    /// Does what is due by now.
    pub fn on_timer(&mut self, turn: &mut Turn<'_>) {
        if self.phase == Phase::Open
            && let Err(ending) = self.do_due(turn)
        {
            self.part(ending);
        }
        self.say_goodbye(turn);
    }

    /// When something will be due, if nothing happens before.
    #[must_use]
    pub fn next_timer(&self) -> Option<Instant> {
        match self.phase {
            Phase::Open => {
                let next = self.deadlines.next(self.pending());
                let others = [self.delayed.next(), self.stopping.filter(|_| !self.staged)];
                Some(others.into_iter().flatten().fold(next, Instant::min))
            }
            phase => phase.deadline(),
        }
    }

    /// Whether there is something to do of which no event will tell.
    #[must_use]
    pub fn wants_turn(&self) -> bool {
        let has_input = self.readable || self.unread.is_some();
        match self.phase {
            Phase::Open if self.staged => false,
            Phase::Open if self.stopping.is_some() => self.output.is_empty(),
            Phase::Open => has_input && !self.paused,
            Phase::Closing(_) => self.output.is_empty() && has_input,
            Phase::Draining(_) => self.readable,
            Phase::Answering | Phase::Over => false,
        }
    }

    /// Whether pings of it are with the recorder.
    #[must_use]
    pub fn is_recording(&self) -> bool {
        self.recording
    }

    /// Why it has ended, once it has.
    pub fn ended(&mut self) -> Option<Ending> {
        if self.phase == Phase::Over { self.ending.take() } else { None }
    }

    fn converse(&mut self, turn: &mut Turn<'_>) -> Result<(), Ending> {
        self.flush(turn)?;
        if self.staged {
            return Ok(());
        }
        if self.stopping.is_some() {
            return self.finish(turn);
        }
        match &self.unread {
            _ if self.paused => Ok(()),
            Some(_) => self.take_unread(turn),
            None if self.readable => self.read(turn),
            None => Ok(()),
        }
    }

    /// Reads no more from a peer that takes no replies, or has many to come, until that changes.
    fn pause_or_resume(&mut self, now: Instant) {
        let was_paused = self.paused;
        self.paused = !self.output.is_empty() || self.delayed.is_full(MAX_WAITING);
        if was_paused && !self.paused {
            self.restart_unfinished(now);
        }
    }

    /// Answers what was read; what was not is left.
    fn finish(&mut self, turn: &mut Turn<'_>) -> Result<(), Ending> {
        if !self.output.is_empty() {
            return Ok(());
        }
        let staged = turn.replies.len();
        self.take_unread(turn)?;
        let is_done = turn.replies.len() == staged && self.unread.is_none();
        if is_done { Err(Ending::Stopping) } else { Ok(()) }
    }

    fn read(&mut self, turn: &mut Turn<'_>) -> Result<(), Ending> {
        let buffer = mem::take(&mut turn.buffer);
        let read = self.read_into(buffer, turn);
        let result = match read {
            Ok(None) => Ok(()),
            Ok(Some(0)) => Err(Ending::Lost(None)),
            Ok(Some(len)) => {
                let (taken, result) = self.take(&mut buffer[..len], turn);
                if taken < len {
                    self.unread = Some(Unread { bytes: buffer[taken..len].to_vec(), taken: 0 });
                }
                result
            }
            Err(ending) => Err(ending),
        };
        turn.buffer = buffer;
        result
    }

    /// Takes what is left of an earlier turn.
    fn take_unread(&mut self, turn: &mut Turn<'_>) -> Result<(), Ending> {
        let Some(mut unread) = self.unread.take() else { return Ok(()) };
        let (taken, result) = self.take(&mut unread.bytes[unread.taken..], turn);
        unread.taken += taken;
        if unread.taken < unread.bytes.len() {
            self.unread = Some(unread);
        }
        result
    }

    /// Reads once. `None` if nothing is there, 0 at the end of the stream.
    fn read_into(
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

    /// Sends replies, or holds them back.
    fn reply(&mut self, frames: &[u8], turn: &mut Turn<'_>) -> Result<(), Ending> {
        let delay = turn.shared.reply_delay;
        if !delay.is_zero() {
            self.delayed.push(turn.now + delay, frames.to_vec());
            self.pause_or_resume(turn.now);
            return Ok(());
        }
        self.send(frames, turn)
    }

    fn send(&mut self, frames: &[u8], turn: &mut Turn<'_>) -> Result<(), Ending> {
        let sent = self.output.send(&mut self.stream, frames, turn.now)?;
        turn.shared.counts.sent_bytes.add(sent as u64);
        self.pause_or_resume(turn.now);
        Ok(())
    }

    /// Sends what waits.
    fn flush(&mut self, turn: &mut Turn<'_>) -> Result<(), Ending> {
        if !self.output.is_empty() {
            let sent = self.output.flush(&mut self.stream, turn.now)?;
            turn.shared.counts.sent_bytes.add(sent as u64);
        }
        self.pause_or_resume(turn.now);
        Ok(())
    }

    fn do_due(&mut self, turn: &mut Turn<'_>) -> Result<(), Ending> {
        self.delayed.take(Some(turn.now), self.output.queue());
        self.flush(turn)?;
        if self.stopping.is_some_and(|until| until <= turn.now) {
            return Err(Ending::Stopping);
        }
        match self.deadlines.due(turn.now, self.pending()) {
            Some(Due::Ping) => {
                self.deadlines.pinged(turn.now);
                self.send(&frame::PING, turn)
            }
            // What it says lies unread.
            Some(Due::Silent) if self.staged || self.paused => {
                self.deadlines.heard(turn.now);
                Ok(())
            }
            Some(Due::Silent) => Err(Ending::Refused(Refusal::Silent)),
            Some(Due::Unfinished) => Err(Ending::Refused(Refusal::Unfinished)),
            Some(Due::NotReading) => Err(Ending::NotReading),
            None => Ok(()),
        }
    }

    /// What the peer has begun and not ended. A message that is not read makes no progress, and
    /// its peer is not to blame.
    fn pending(&self) -> Pending {
        let is_read = !self.staged && !self.paused;
        Pending {
            unfinished_since: self.unfinished_since.filter(|_| is_read),
            stuck_since: self.output.stuck_since(),
        }
    }

    /// Gives a message that is unfinished its time anew.
    fn restart_unfinished(&mut self, now: Instant) {
        if let Some(since) = &mut self.unfinished_since {
            *since = now;
        }
    }
}

/// The protocol of a connection, from now on if it had none.
fn protocol<'a>(protocol: &'a mut Option<Box<Protocol>>, shared: &Shared) -> &'a mut Protocol {
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

/// The replies of a turn whose pings were not recorded.
fn refused(frames: &[u8], cause: &Unrecorded) -> Vec<u8> {
    let error = Reply::text(format!("{ERROR_PREFIX}{cause}; this ping was not recorded"));
    frame::replace(frames, &Reply::text(PONG), &error)
}
