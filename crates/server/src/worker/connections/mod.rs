//! The connections of a worker, driven by events, timers and the commit of each turn. Nothing here
//! waits; time is an argument.

mod batch;
mod commit;

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::os::fd::BorrowedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use slotmap::SlotMap;
use tracing::{debug, error, info};

use super::compression::Compression;
use super::connection::{Connection, Readiness};
use super::inbox::Arrival;
use super::key::Key;
use super::timers::Timers;
use super::turn::{Context, Shared};
use super::unfinished::UnfinishedMessages;
use crate::journal::Recorder;
use crate::observe::OpenConnection;
use crate::occupancy::Place;
use crate::stream::Stream;
use batch::{Batch, Group, UnsyncedBatch};

/// Most bytes that are read from a connection in one turn.
const READ_BUFFER: usize = 16 * 1024;

/// Size of the replies at which a turn is committed early, and most memory that is kept for
/// replies, in bytes.
const MAX_REPLIES: usize = 256 * 1024;

/// The connections of a worker.
#[derive(Debug)]
pub struct Connections {
    shared: Shared,
    entries: SlotMap<Key, Entry>,
    timers: Timers<Key>,
    /// Connections that have to act in the next turn without an event.
    runnable: Vec<Key>,
    unfinished: UnfinishedMessages<Key>,
    buffer: Box<[u8]>,
    compression: Compression,
    recorder: Recorder,
    batch: Batch,
    /// Batches that wait for a sync of the log, the oldest first.
    unsynced: VecDeque<UnsyncedBatch>,
    /// Encoded replies of one connection.
    frames: Vec<u8>,
    is_stopping: bool,
    /// Connections that have ended since the last [`Self::take_ended`].
    ended: usize,
}

/// A connection, and its scheduling state.
#[derive(Debug)]
struct Entry {
    connection: Box<Connection>,
    /// When its timer in `timers` expires.
    timer: Option<Instant>,
    /// Whether the connection is in `runnable`.
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
            timers: Timers::default(),
            runnable: Vec::new(),
            buffer: vec![0; READ_BUFFER].into(),
            compression: Compression::default(),
            recorder,
            batch: Batch::default(),
            unsynced: VecDeque::new(),
            frames: Vec::new(),
            is_stopping: false,
            ended: 0,
        }
    }

    /// Whether there is no connection.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many connections have ended since the last call.
    pub fn take_ended(&mut self) -> usize {
        mem::take(&mut self.ended)
    }

    /// Whether a connection has to act without an event.
    #[must_use]
    pub fn has_runnable(&self) -> bool {
        !self.runnable.is_empty()
    }

    /// When the first timer expires.
    #[must_use]
    pub fn next_timer(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Adds a connection; `watch` makes epoll watch its socket with a token.
    ///
    /// # Errors
    /// When the socket cannot be watched.
    pub fn add(
        &mut self,
        arrival: Arrival,
        watch: impl FnOnce(BorrowedFd<'_>, u64) -> io::Result<()>,
        now: Instant,
    ) -> io::Result<()> {
        let Arrival { stream, read_buf, service, deflate, peer, place, is_healthcheck, probe } =
            arrival;
        self.shared.counts.received_bytes.add(read_buf.len() as u64);
        self.shared.counts.deflated_connections.add(deflate.is_some().into());
        let open = OpenConnection::new(service.index(), is_healthcheck, &self.shared.counts);
        let max_message = self.shared.limits.max_message;
        let key = self.entries.try_insert_with_key(|key| {
            watch(stream.as_fd(), key.into())?;
            let stream: Box<dyn Stream> = stream;
            let connection =
                Connection::new(stream, read_buf, service, deflate, peer, max_message, now);
            let connection = Box::new(connection.with_probe(probe));
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

    /// Begins a turn: the connections that have to act without an event do.
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

    /// Passes an event to a connection.
    pub fn on_ready(&mut self, key: Key, readiness: Readiness, now: Instant) {
        self.with_connection(key, now, |connection, cx| {
            connection.on_ready(readiness, cx);
        });
    }

    /// Whether a timer has expired by now.
    #[must_use]
    pub fn has_expired_timer(&self, now: Instant) -> bool {
        self.timers.next().is_some_and(|at| at <= now)
    }

    /// Makes all deadlines of the peers count from now, after a pause of the server: bytes that were
    /// sent meanwhile may still be on their way.
    pub fn restart_deadlines(&mut self, now: Instant) {
        for entry in self.entries.values_mut() {
            entry.connection.restart_deadlines(now);
        }
    }

    /// Makes the connections act whose timers have expired.
    pub fn on_timers(&mut self, now: Instant) {
        while let Some(key) = self.timers.pop_due(now) {
            if let Some(entry) = self.entries.get_mut(key) {
                entry.timer = None;
            }
            self.with_connection(key, now, Connection::on_timer);
        }
    }

    /// Begins to close all connections, and those that arrive later.
    pub fn stop(&mut self, now: Instant) {
        if mem::replace(&mut self.is_stopping, true) {
            return;
        }
        let all: Vec<_> = self.entries.keys().collect();
        for key in all {
            self.with_connection(key, now, Connection::stop);
        }
    }

    /// Makes a connection act, then schedules its next call. A panic ends this connection alone.
    /// Commits the turn early if its lines or replies have become large.
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
            compression: &mut self.compression,
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

    /// Removes a connection that has ended; otherwise schedules its next call, and notes the size of
    /// its unfinished message.
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
        // A timer is only ever set earlier: one that expires too early is set again then, which
        // costs less than a change with each message.
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

    /// Ends connections with the oldest unfinished messages until the others keep to the bound.
    fn evict_unfinished(&mut self, now: Instant) {
        while let Some(key) = self.unfinished.pop_excess() {
            self.with_connection(key, now, Connection::evict);
        }
    }
}
