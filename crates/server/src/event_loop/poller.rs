//! Readiness of sockets. All sockets of a worker stand in one epoll instance, and the runtime
//! watches that alone: a ping costs none of what the runtime does for each socket of its own.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};

use crate::connection::Readiness;

/// Events that are taken at a time.
const EVENTS: usize = 1024;

/// Tells which sockets are ready.
#[derive(Debug)]
pub(super) struct Poller(AsyncFd<OwnedFd>);

/// Events, and room for more.
#[derive(Default)]
pub(super) struct Events(Vec<epoll::Event>);

impl Poller {
    /// # Errors
    /// When the system is out of descriptors.
    // What replaces it is unsafe; an OwnedFd is what it asks for: it keeps its descriptor.
    #[expect(deprecated)]
    pub(super) fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        AsyncFd::with_interest(epoll, Interest::READABLE).map(Self)
    }

    /// Watches a socket until it is closed; its events carry `key`. Each tells of a change: what
    /// was not read or written to the end then is not told again.
    ///
    /// # Errors
    /// When the system is out of memory for it.
    pub(super) fn add(&self, socket: impl AsFd, key: u64) -> io::Result<()> {
        let events = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        Ok(epoll::add(&self.0, socket, EventData::new_u64(key), events)?)
    }

    /// Waits for events.
    ///
    /// # Errors
    /// When the runtime ends.
    pub(super) async fn ready(&self) -> io::Result<Ready<'_>> {
        self.0.readable().await.map(Ready)
    }

    /// Takes the events that are there.
    ///
    /// # Errors
    /// When the system does not tell.
    pub(super) fn take(&self, events: &mut Events) -> io::Result<()> {
        const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
        events.0.clear();
        match epoll::wait(&self.0, spare_capacity(&mut events.0), Some(&NOW)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// There are events.
pub(super) struct Ready<'a>(AsyncFdReadyGuard<'a, OwnedFd>);

impl Ready<'_> {
    /// All events were taken; to be called before anything waits.
    pub(super) fn clear(&mut self) {
        self.0.clear_ready();
    }
}

impl Events {
    /// Room for as many as are taken at a time.
    pub(super) fn new() -> Self {
        Self(Vec::with_capacity(EVENTS))
    }

    /// Whether there were no more than these.
    pub(super) fn are_all(&self) -> bool {
        self.0.len() < EVENTS
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Each event: the key of its socket, and what has become possible.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, Readiness)> {
        const ENDS: EventFlags = EventFlags::RDHUP.union(EventFlags::HUP).union(EventFlags::ERR);
        self.0.iter().map(|event| {
            let flags = event.flags;
            let readable = flags.contains(EventFlags::IN);
            let hung_up = flags.intersects(ENDS);
            (event.data.u64(), Readiness { readable, hung_up })
        })
    }
}
