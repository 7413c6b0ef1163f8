//! What the task of a connection and the recorder share: the socket, and the replies that wait
//! for their pings to be recorded.
//!
//! The recorder itself sends them, right after the log was written. So a turn costs a connection
//! one poll of its task, and the replies of all connections leave in one go.

use std::cell::{RefCell, RefMut};
use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use proto::ping::ERROR_PREFIX;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::protocol::Message;

use super::Stream;
use super::socket::Socket;
use super::wire::Pending;
use crate::journal::{Recorded, Unrecorded};
use crate::service::Reply;

/// Messages that are answered together.
const MAX_BURST: usize = 128;

/// Replies that may wait for their `REPLY_DELAY` before the connection is read on.
const MAX_DELAYED: usize = 1024;

/// What the replies that wait may take before no further message is read, in bytes.
pub(super) const MAX_WAITING: usize = 64 * 1024;

/// Replies that an idle session keeps room for.
const ROOM: usize = 16;

/// A session that the recorder can answer.
#[derive(Debug)]
pub(super) struct Session<S>(RefCell<State<S>>);

#[derive(Debug)]
pub(super) struct State<S> {
    pub(super) socket: Socket<S>,
    /// Replies to the messages that were taken, in their order.
    replies: Vec<Taken>,
    /// What `replies` and `delayed` take, in bytes.
    waiting: usize,
    /// Pings among these messages are with the recorder.
    recording: bool,
    /// There may be something to read that no event will tell of.
    readable: bool,
    /// The task waits for the recorder, not for the peer.
    awaits_answer: bool,
    /// The peer is not read at present.
    paused: bool,
    /// Why a reply could not be sent.
    failed: Option<Error>,
    /// Replies that are held back, and until when.
    delayed: VecDeque<(Instant, Reply)>,
    reply_delay: Duration,
    task: Waker,
}

/// A message that was taken.
#[derive(Debug)]
struct Taken {
    reply: Reply,
    /// The reply says that a ping is recorded.
    acknowledges: bool,
}

impl<S> Session<S> {
    pub(super) fn new(socket: Socket<S>, reply_delay: Duration) -> Self {
        Self(RefCell::new(State {
            socket,
            replies: Vec::new(),
            waiting: 0,
            recording: false,
            readable: false,
            awaits_answer: false,
            paused: false,
            failed: None,
            delayed: VecDeque::new(),
            reply_delay,
            task: Waker::noop().clone(),
        }))
    }

    /// The state, for the task of the connection; never to be held while others may run.
    pub(super) fn state(&self) -> RefMut<'_, State<S>> {
        self.0.borrow_mut()
    }
}

impl<S: Stream> State<S> {
    /// The next message, once the ones before it are answered.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Message, Error>> {
        self.task.clone_from(cx.waker());
        let was_paused = std::mem::replace(&mut self.paused, true);
        if self.recording {
            self.readable |= self.socket.wire().poll_readable(cx).is_ready();
            return Poll::Pending;
        }
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Err(error));
        }
        let is_full = self.delayed.len() >= MAX_DELAYED || self.waiting >= MAX_WAITING;
        if is_full || !self.socket.poll_flush(cx)? {
            return Poll::Pending;
        }
        self.paused = false;
        if was_paused {
            self.socket.wire_mut().restart_unfinished();
        }
        self.socket.poll_next(cx)
    }

    /// Waits until no ping is with the recorder any more.
    pub(super) fn poll_answered(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.task.clone_from(cx.waker());
        self.awaits_answer = self.recording;
        if self.recording { Poll::Pending } else { Poll::Ready(()) }
    }

    /// What the peer has begun and not ended. A message that is not read makes no progress, and
    /// its peer is not to blame.
    pub(super) fn pending(&self) -> Pending {
        let pending = self.socket.wire().pending();
        let unfinished_since = pending.unfinished_since.filter(|_| !self.paused);
        Pending { unfinished_since, ..pending }
    }

    /// Whether further messages can be answered together with those at hand.
    pub(super) fn has_room(&self) -> bool {
        self.replies.len() < MAX_BURST && self.waiting < MAX_WAITING
    }

    /// Whether no message is to be answered.
    pub(super) fn is_answered(&self) -> bool {
        self.replies.is_empty()
    }

    /// Adds a reply; one that acknowledges a ping waits until that is recorded.
    pub(super) fn reply(&mut self, reply: Reply, acknowledges: bool) {
        self.recording |= acknowledges;
        self.waiting += reply.bytes.len();
        self.replies.push(Taken { reply, acknowledges });
    }

    /// Whether the peer is not read at present.
    pub(super) fn is_paused(&self) -> bool {
        self.paused
    }

    /// Whether pings are with the recorder.
    pub(super) fn is_recording(&self) -> bool {
        self.recording
    }

    /// When the first reply that is held back is due.
    pub(super) fn next_delayed(&self) -> Option<Instant> {
        self.delayed.front().map(|&(due, _)| due)
    }

    /// Sends the replies that are due at `now`, all that are held back if that is `None`.
    pub(super) fn send_delayed(&mut self, now: Option<Instant>) -> Result<(), Error> {
        let is_due = |&(due, _): &(Instant, Reply)| now.is_none_or(|now| due <= now);
        while let Some((_, reply)) = self.delayed.pop_front_if(|reply| is_due(reply)) {
            self.waiting -= reply.bytes.len();
            self.socket.queue_reply(&reply)?;
        }
        self.socket.flush().map(drop)
    }

    /// Sends a message now.
    pub(super) fn send(&mut self, message: Message) -> Result<(), Error> {
        self.socket.queue(message)?;
        self.socket.flush().map(drop)
    }

    /// Queues the replies, or holds them back.
    pub(super) fn queue_replies(&mut self) {
        let due = (!self.reply_delay.is_zero()).then(|| Instant::now() + self.reply_delay);
        for Taken { reply, .. } in self.replies.drain(..) {
            match due {
                Some(due) => self.delayed.push_back((due, reply)),
                None if self.failed.is_some() => {}
                None => self.failed = self.socket.queue_reply(&reply).err(),
            }
        }
        if due.is_none() {
            self.waiting = 0;
        }
        self.replies.shrink_to(ROOM);
    }

    /// Writes what is queued, and wakes the task if there is something left for it to do.
    pub(super) fn flush_replies(&mut self) {
        let flushed = match &self.failed {
            Some(_) => Ok(false),
            None => self.socket.flush(),
        };
        let is_done = flushed.unwrap_or_else(|error| {
            self.failed = Some(error);
            false
        });
        let has_input = std::mem::take(&mut self.readable) || self.socket.wire().has_unread();
        let is_awaited = std::mem::take(&mut self.awaits_answer);
        if !is_done || has_input || is_awaited || !self.delayed.is_empty() {
            self.task.wake_by_ref();
        }
    }

    fn refuse(&mut self, cause: &Unrecorded) {
        let error = Reply::text(format!("{ERROR_PREFIX}{cause}; this ping was not recorded"));
        for taken in self.replies.iter_mut().filter(|taken| taken.acknowledges) {
            self.waiting += error.bytes.len();
            self.waiting -= std::mem::replace(&mut taken.reply, error.clone()).bytes.len();
        }
    }
}

impl<S: Stream> Recorded for Session<S> {
    fn settle(&self, outcome: &Result<(), Unrecorded>) {
        let mut state = self.state();
        state.recording = false;
        if let Err(cause) = outcome {
            state.refuse(cause);
        }
        state.queue_replies();
    }

    fn send(&self) {
        self.state().flush_replies();
    }
}
