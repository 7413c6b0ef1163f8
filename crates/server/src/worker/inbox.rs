//! Messages from other threads to a worker: connections that arrive, the stop, progress of the
//! disk (`LOG_SYNC=always`). An eventfd wakes the loop of the worker.

use std::io;
use std::mem;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::event::{EventfdFlags, eventfd};

use super::connection::PolledStream;
use crate::observe::{Peer, Place};
use crate::service::Service;
use crate::service::probe::Opened;

/// A connection that was upgraded, on its way to a worker.
#[derive(Debug)]
pub struct Arrival {
    /// Its stream.
    pub stream: Box<dyn PolledStream>,
    /// Bytes that arrived with the request.
    pub early: Vec<u8>,
    /// The service at the requested path.
    pub service: Service,
    /// Where the client is.
    pub peer: Peer,
    /// Its place among all connections.
    pub place: Place,
    /// Whether it is the health check of this program, whose events have the level debug.
    pub is_healthcheck: bool,
    /// What the service at `/probe` begins with.
    pub probe: Option<Box<Opened>>,
}

/// The inbox of a worker.
#[derive(Debug)]
pub(super) struct Inbox {
    contents: Mutex<Contents>,
    eventfd: OwnedFd,
    /// Connections that the worker has, those in the inbox among them.
    pub(super) load: AtomicUsize,
}

/// What the inbox holds.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) arrivals: Vec<Arrival>,
    /// The server stops: connections are closed.
    pub(super) is_stopping: bool,
    /// No more connections arrive: the worker ends with its last one.
    pub(super) is_closed: bool,
}

impl Inbox {
    /// # Errors
    /// When the system is out of descriptors.
    pub(super) fn new() -> io::Result<Self> {
        let eventfd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { contents: Mutex::default(), eventfd, load: AtomicUsize::new(0) })
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a connection. One that comes after the end is dropped.
    pub(super) fn push(&self, arrival: Arrival) {
        let mut contents = self.contents();
        if contents.is_closed {
            return;
        }
        self.load.fetch_add(1, Ordering::Relaxed);
        let was_empty = contents.arrivals.is_empty();
        contents.arrivals.push(arrival);
        if was_empty {
            self.wake();
        }
    }

    /// Tells of the stop.
    pub(super) fn stop(&self) {
        self.contents().is_stopping = true;
        self.wake();
    }

    /// Tells that no more connections arrive.
    pub(super) fn close(&self) {
        self.contents().is_closed = true;
        self.wake();
    }

    /// Has the worker look at its inbox, and at what the disk holds.
    pub(super) fn wake(&self) {
        // A counter that cannot take more has an event waiting already.
        let _ = rustix::io::write(&self.eventfd, &1_u64.to_ne_bytes());
    }

    /// Takes the arrivals, and copies the rest.
    pub(super) fn take(&self) -> Contents {
        let mut contents = self.contents();
        let arrivals = mem::take(&mut contents.arrivals);
        Contents { arrivals, ..*contents }
    }
}

impl AsFd for Inbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.eventfd.as_fd()
    }
}
