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

/// The loop with the connections of its worker.
#[derive(Debug)]
pub(super) struct EventLoop {
    inbox: Arc<Inbox>,
    poller: Poller,
    connections: Connections,
    /// No more connections arrive.
    is_closed: bool,
}

impl EventLoop {
    /// # Errors
    /// When the system is out of descriptors.
    pub(super) fn new(inbox: Arc<Inbox>, connections: Connections) -> io::Result<Self> {
        let poller = Poller::new()?;
        poller.add_eventfd(&*inbox, INBOX)?;
        Ok(Self { inbox, poller, connections, is_closed: false })
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
        }
        Ok(())
    }

    /// How long to wait for events.
    fn timeout(&self, now: Instant) -> Option<Duration> {
        if self.connections.has_runnable() {
            return Some(Duration::ZERO);
        }
        self.connections.next_timer().map(|timer| timer.saturating_duration_since(now))
    }

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
        self.connections.on_timers(now);
        self.inbox.load.fetch_sub(self.connections.take_ended(), Ordering::Relaxed);
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
