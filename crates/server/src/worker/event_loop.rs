//! The loop of a worker. In each turn every connection with an event reads and serves its messages;
//! then the pings of all are written to the log in one write, and the replies are sent.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tracing::error;

use super::connections::Connections;
use super::inbox::{Arrival, Contents, Inbox};
use super::poller::{Events, Poller};

/// The token of the inbox; no connection has this one.
const INBOX: u64 = u64::MAX;

/// Most turns that go before expired timers. A turn reads 16 KiB of a connection at most, so a message
/// of 64 KiB is read in five.
const TURNS_BEFORE_TIMERS: usize = 5;

/// How late the first timer is, at least, after a pause of the server. One turn of a busy server takes
/// less.
const PAUSE: Duration = Duration::from_secs(1);

/// The loop with the connections of its worker.
#[derive(Debug)]
pub(super) struct EventLoop {
    inbox: Arc<Inbox>,
    poller: Poller,
    connections: Connections,
    /// When expired timers were last run. Turns before that make timers late without a pause.
    timers_ran: Instant,
    /// No more connections arrive.
    is_closed: bool,
}

impl EventLoop {
    /// # Errors
    /// When the system is out of descriptors.
    pub(super) fn new(inbox: Arc<Inbox>, connections: Connections) -> io::Result<Self> {
        let poller = Poller::new()?;
        poller.add_eventfd(&*inbox, INBOX)?;
        Ok(Self { inbox, poller, connections, timers_ran: Instant::now(), is_closed: false })
    }

    /// Serves until the inbox is closed and the last connection gone.
    ///
    /// # Errors
    /// When epoll fails.
    pub(super) fn run(mut self) -> io::Result<()> {
        let mut events = Events::new();
        let mut now = Instant::now();
        while !(self.is_closed && self.connections.is_empty()) {
            self.poller.wait(&mut events, self.timeout(now))?;
            now = Instant::now();
            self.turn(&events, now);
            if self.connections.has_expired_timer(now) {
                self.run_timers(&mut events, now)?;
                now = self.timers_ran;
            }
            self.inbox.load.fetch_sub(self.connections.take_ended(), Ordering::Relaxed);
        }
        Ok(())
    }

    /// Runs the timers that have expired by `now`, after what has arrived until then. The process, or
    /// its machine, may have paused: then events are still to come, and a peer was not late.
    #[cold]
    fn run_timers(&mut self, events: &mut Events, now: Instant) -> io::Result<()> {
        let is_late = |timer: Instant| timer.max(self.timers_ran) + PAUSE <= now;
        let has_paused = self.connections.next_timer().is_some_and(is_late);
        for _ in 0..TURNS_BEFORE_TIMERS {
            self.poller.wait(events, Some(Duration::ZERO))?;
            if events.is_empty() && !self.connections.has_runnable() {
                break;
            }
            self.turn(events, Instant::now());
        }
        if has_paused {
            self.connections.restart_deadlines(now);
        }
        self.connections.on_timers(now);
        self.timers_ran = Instant::now();
        Ok(())
    }

    /// How long to wait for events.
    fn timeout(&self, now: Instant) -> Option<Duration> {
        if self.connections.has_runnable() {
            return Some(Duration::ZERO);
        }
        self.connections.next_timer().map(|timer| timer.saturating_duration_since(now))
    }

    #[inline]
    fn turn(&mut self, events: &Events, now: Instant) {
        self.connections.begin_turn(now);
        for (token, readiness) in events.iter() {
            if token == INBOX {
                self.on_wake(now);
            } else {
                self.connections.on_ready(token.into(), readiness, now);
            }
        }
        self.connections.commit(now);
    }

    /// Takes the contents of the inbox, and sends the replies that waited for a sync of the log.
    fn on_wake(&mut self, now: Instant) {
        let Contents { arrivals, is_stopping, is_closed } = self.inbox.take();
        for arrival in arrivals {
            self.add_connection(arrival, now);
        }
        if is_stopping {
            self.connections.stop(now);
        }
        self.is_closed = is_closed;
        self.connections.send_synced(now);
    }

    fn add_connection(&mut self, arrival: Arrival, now: Instant) {
        let poller = &self.poller;
        let watch = |socket: BorrowedFd<'_>, token| poller.add_socket(socket, token);
        if let Err(error) = self.connections.add(arrival, watch, now) {
            self.inbox.load.fetch_sub(1, Ordering::Relaxed);
            error!("cannot serve a connection: {error}");
        }
    }
}
