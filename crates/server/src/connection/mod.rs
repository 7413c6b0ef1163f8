//! One connection after its upgrade: what to do about the frames that come, whatever the stream
//! and the service. It never waits itself: the event loop says when there is something to do.

mod deadline;
mod ending;
mod frame;
mod messages;
mod output;
mod parting;
mod protocol;
mod stream;
mod tracker;

use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proto::PONG;
use proto::limits::CLOSE_TIMEOUT;
use proto::ping::ERROR_PREFIX;

use crate::http::Peer;
use crate::journal::{Recorder, Unrecorded};
use crate::metrics::{self, Metrics, WorkerMetrics};
use crate::service::{self, Reply, Service};
use crate::throttle::Throttle;

use deadline::{Deadlines, Due, Pending};
use messages::Unread;
use output::{Delayed, Output};
use parting::Phase;
use protocol::Protocol;

pub use ending::{Ending, Refusal};
pub use stream::{Socket, Stream};

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
            unread: (!early.is_empty()).then(|| Unread::new(early)),
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

/// The replies of a turn whose pings were not recorded.
fn refused(frames: &[u8], cause: &Unrecorded) -> Vec<u8> {
    let error = Reply::text(format!("{ERROR_PREFIX}{cause}"));
    frame::replace(frames, &Reply::text(PONG), &error)
}
