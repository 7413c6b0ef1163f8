//! The connections of a worker, and what drives them: events, timers, the commit of each turn. It
//! does no waiting; time is an argument.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::os::fd::BorrowedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use proto::ping::ERROR_PREFIX;
use slotmap::SlotMap;
use tracing::{debug, error, info};

use super::batch::{Batch, Group, Unsynced};
use super::connection::{Connection, Readiness, Stream};
use super::inbox::Arrival;
use super::key::{Key, Token};
use super::timers::Timers;
use super::turn::{Context, Shared};
use super::unfinished::UnfinishedMessages;
use crate::journal::{Commit, Recorder, Synced, Unrecorded};
use crate::observe::{OpenConnection, Place};

/// Bytes that are read from a connection in one turn.
const READ_BUFFER: usize = 16 * 1024;

/// Size of the replies at which a turn commits, and memory for them that is kept, in bytes.
const MAX_REPLIES: usize = 256 * 1024;

/// The connections of a worker.
#[derive(Debug)]
pub struct Connections {
    shared: Shared,
    entries: SlotMap<Key, Entry>,
    timers: Timers<Key>,
    /// Connections with something to do that no event will report.
    runnable: Vec<Key>,
    unfinished: UnfinishedMessages<Key>,
    buffer: Box<[u8]>,
    recorder: Recorder,
    batch: Batch,
    /// Batches that are written and await the disk (`LOG_SYNC=always`).
    unsynced: VecDeque<Unsynced>,
    /// Encoded replies of one connection.
    frames: Vec<u8>,
    is_stopping: bool,
    ended: usize,
}

/// A connection and what goes with it.
#[derive(Debug)]
struct Entry {
    connection: Box<Connection>,
    /// Its time in `timers`.
    timer: Option<Instant>,
    /// Whether it is in `runnable`.
    is_runnable: bool,
    is_healthcheck: bool,
    _open: OpenConnection,
    _place: Place,
}

impl Connections {
    /// No connections yet.
    #[must_use]
    pub fn new(shared: Shared, recorder: Recorder) -> Self {
        Self {
            unfinished: UnfinishedMessages::new(shared.limits.max_unfinished),
            shared,
            entries: SlotMap::with_key(),
            timers: Timers::new(),
            runnable: Vec::new(),
            buffer: vec![0; READ_BUFFER].into(),
            recorder,
            batch: Batch::default(),
            unsynced: VecDeque::new(),
            frames: Vec::new(),
            is_stopping: false,
            ended: 0,
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many have ended since the last call.
    pub fn take_ended(&mut self) -> usize {
        mem::take(&mut self.ended)
    }

    /// Whether anyone has something to do that no event will report.
    #[must_use]
    pub fn has_runnable(&self) -> bool {
        !self.runnable.is_empty()
    }

    /// When the first timer goes off.
    #[must_use]
    pub fn next_timer(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Takes a connection in; `watch` has epoll watch its socket under a token.
    ///
    /// # Errors
    /// When the socket cannot be watched.
    pub fn admit(
        &mut self,
        arrival: Arrival,
        watch: impl FnOnce(BorrowedFd<'_>, u64) -> io::Result<()>,
        now: Instant,
    ) -> io::Result<()> {
        let Arrival { stream, early, service, peer, place, is_healthcheck, probe } = arrival;
        self.shared.counts.received_bytes.add(early.len() as u64);
        let open = OpenConnection::new(service.index(), &self.shared.counts);
        let max_message = self.shared.limits.max_message;
        let key = self.entries.try_insert_with_key(|key| {
            watch(stream.as_fd(), Token::from(key).0)?;
            let stream: Box<dyn Stream> = stream;
            let connection = Connection::new(stream, early, service, peer, max_message, now);
            let connection = Box::new(connection.probing(probe));
            Ok::<_, io::Error>(Entry {
                connection,
                timer: None,
                is_runnable: false,
                is_healthcheck,
                _open: open,
                _place: place,
            })
        })?;
        if is_healthcheck {
            debug!(%peer, path = service.path(), "connected");
        } else {
            info!(%peer, path = service.path(), "connected");
        }
        self.with_connection(key, now, Connection::open);
        if self.is_stopping {
            self.with_connection(key, now, Connection::stop);
        }
        Ok(())
    }

    /// Begins a turn with the connections that are runnable without an event.
    pub fn begin_turn(&mut self, now: Instant) {
        self.shared.counts.clients.set_now(now);
        let mut runnable = mem::take(&mut self.runnable);
        for key in runnable.drain(..) {
            if let Some(entry) = self.entries.get_mut(key) {
                entry.is_runnable = false;
            }
            self.with_connection(key, now, Connection::advance);
        }
        if self.runnable.is_empty() {
            self.runnable = runnable;
        }
    }

    /// Tells a connection of an event.
    pub fn on_ready(&mut self, token: Token, readiness: Readiness, now: Instant) {
        self.with_connection(token.into(), now, |connection, cx| {
            connection.on_ready(readiness, cx);
        });
    }

    /// Tells the connections whose timers have gone off.
    pub fn on_timers(&mut self, now: Instant) {
        while let Some(key) = self.timers.pop_due(now) {
            if let Some(entry) = self.entries.get_mut(key) {
                entry.timer = None;
            }
            self.with_connection(key, now, Connection::on_timer);
        }
    }

    /// Closes all connections, also those that still arrive.
    pub fn stop(&mut self, now: Instant) {
        if mem::replace(&mut self.is_stopping, true) {
            return;
        }
        let all: Vec<_> = self.entries.keys().collect();
        for key in all {
            self.with_connection(key, now, Connection::stop);
        }
    }

    /// Writes the pings of the turn to the log, and lets the replies leave.
    pub fn commit(&mut self, now: Instant) {
        if self.batch.groups.is_empty() {
            return;
        }
        let mut batch = mem::take(&mut self.batch);
        let Commit { recorded, awaits, error } = self.recorder.commit();
        if let Some(number) = awaits {
            let (dependent, others) = batch.split();
            self.complete(&others, 0, None, now);
            self.unsynced.push_back(Unsynced { number, batch: dependent, recorded, error });
        } else {
            self.complete(&batch, recorded, error.as_ref(), now);
        }
        batch.clear(MAX_REPLIES);
        self.batch = batch;
    }

    /// Lets the replies leave whose pings the disk holds by now.
    pub fn complete_synced(&mut self, now: Instant) {
        if self.unsynced.is_empty() {
            return;
        }
        let Synced { number, failed } = self.recorder.synced();
        let is_over = |unsynced: &mut Unsynced| unsynced.number <= number || failed.is_some();
        while let Some(unsynced) = self.unsynced.pop_front_if(is_over) {
            let Unsynced { batch, recorded, error, .. } = &unsynced;
            if unsynced.number <= number {
                self.complete(batch, *recorded, error.as_ref(), now);
            } else {
                self.complete(batch, 0, failed.as_ref(), now);
            }
        }
    }

    /// Encodes the replies of a batch, whose first `recorded` pings are recorded, and has each
    /// connection send its own.
    fn complete(
        &mut self,
        batch: &Batch,
        mut recorded: usize,
        cause: Option<&Unrecorded>,
        now: Instant,
    ) {
        let error = cause.map_or(String::new(), |cause| format!("{ERROR_PREFIX}{cause}"));
        let mut frames = mem::take(&mut self.frames);
        for Group { key, replies } in &batch.groups {
            frames.clear();
            batch.replies.encode(replies.clone(), &mut recorded, &error, &mut frames);
            self.with_connection(*key, now, |connection, cx| connection.complete(&frames, cx));
        }
        frames.clear();
        frames.shrink_to(MAX_REPLIES);
        self.frames = frames;
    }

    /// Has a connection act, then schedules what it needs. A panic ends that connection alone.
    fn with_connection(
        &mut self,
        key: Key,
        now: Instant,
        act: impl FnOnce(&mut Connection, &mut Context<'_>),
    ) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        let start = self.batch.replies.len();
        let mut cx = Context {
            now,
            shared: &self.shared,
            buffer: &mut self.buffer,
            recorder: &mut self.recorder,
            replies: &mut self.batch.replies,
        };
        let acted = catch_unwind(AssertUnwindSafe(|| act(&mut entry.connection, &mut cx)));
        let is_at_rest = self.unfinished.is_empty()
            && entry.timer.is_some_and(|timer| entry.connection.is_at_rest(timer));
        let replies = start..self.batch.replies.len();
        let has_replies = !replies.is_empty();
        if has_replies {
            self.batch.groups.push(Group { key, replies });
        }
        match acted {
            Ok(()) if is_at_rest => {}
            Ok(()) => self.follow_up(key),
            Err(_) => self.remove_defective(key),
        }
        if has_replies && (self.recorder.is_full() || self.batch.replies.size() >= MAX_REPLIES) {
            self.commit(now);
        }
        if self.unfinished.is_excessive() {
            self.evict_unfinished(now);
        }
    }

    /// Removes, schedules or times a connection after it has acted.
    fn follow_up(&mut self, key: Key) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        if let Some(ending) = entry.connection.ended() {
            let peer = entry.connection.peer();
            ending.cause().inspect(|&cause| self.shared.metrics.errors.count(cause));
            if entry.is_healthcheck {
                debug!(%peer, "{ending}");
            } else {
                info!(%peer, "{ending}");
            }
            return self.remove(key);
        }
        if entry.connection.is_runnable() && !mem::replace(&mut entry.is_runnable, true) {
            self.runnable.push(key);
        }
        // A timer that goes off early is set anew then, which is cheaper than with each message.
        if let Some(next) = entry.connection.next_timer()
            && entry.timer.is_none_or(|timer| next < timer)
        {
            self.timers.set(key, entry.timer.replace(next), next);
        }
        self.unfinished.set(key, entry.connection.buffered());
    }

    #[cold]
    fn remove_defective(&mut self, key: Key) {
        if let Some(entry) = self.entries.get(key) {
            let peer = entry.connection.peer();
            error!(%peer, "a defect of this server ended the connection");
        }
        self.remove(key);
    }

    fn remove(&mut self, key: Key) {
        if let Some(entry) = self.entries.remove(key) {
            if let Some(timer) = entry.timer {
                self.timers.remove(key, timer);
            }
            self.unfinished.set(key, 0);
            self.ended += 1;
        }
    }

    /// Gives up the oldest unfinished messages while there is no room for all.
    fn evict_unfinished(&mut self, now: Instant) {
        while let Some(key) = self.unfinished.pop_excess() {
            self.with_connection(key, now, Connection::evict);
        }
    }
}
