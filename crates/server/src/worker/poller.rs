//! The epoll instance of a worker. Every descriptor is edge-triggered: an event reports a change
//! once, so a socket has to be read, or written, until EAGAIN.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;

use super::connection::Readiness;

/// Most events that one wait returns.
const EVENTS: usize = 1024;

/// An epoll instance.
#[derive(Debug)]
pub(super) struct Poller(OwnedFd);

/// The events of one wait, in a buffer that is used again.
pub(super) struct Events(Vec<epoll::Event>);

impl Poller {
    /// # Errors
    /// When the system is out of descriptors.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(epoll::create(CreateFlags::CLOEXEC)?))
    }

    /// Watches a socket until it is closed; its events carry `token`. The first event reports the
    /// present state.
    ///
    /// # Errors
    /// If the kernel has no memory or no watch left (`ENOMEM`, `ENOSPC`).
    pub(super) fn add_socket(&self, socket: impl AsFd, token: u64) -> io::Result<()> {
        self.add(socket, token, EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP)
    }

    /// Watches an eventfd, which need never be read: each write to it is an event.
    /// # Errors
    /// If the kernel has no memory or no watch left (`ENOMEM`, `ENOSPC`).
    /// When the system is out of memory for it.
    pub(super) fn add_eventfd(&self, eventfd: impl AsFd, token: u64) -> io::Result<()> {
        self.add(eventfd, token, EventFlags::IN)
    }

    fn add(&self, source: impl AsFd, token: u64, flags: EventFlags) -> io::Result<()> {
        Ok(epoll::add(&self.0, source, EventData::new_u64(token), flags | EventFlags::ET)?)
    }

    /// Waits for events, or until `timeout` is over. A signal may end the wait early.
    ///
    /// # Errors
    /// When epoll fails.
    pub(super) fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        events.0.clear();
        match epoll::wait(&self.0, spare_capacity(&mut events.0), timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl Events {
    /// An empty buffer.
    pub(super) fn new() -> Self {
        Self(Vec::with_capacity(EVENTS))
    }

    /// Whether the wait brought no event.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The token and the readiness of each event.
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
