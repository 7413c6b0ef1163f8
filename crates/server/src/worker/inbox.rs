//! Messages from other threads to a worker: new connections, the stop, a sync of the log
//! (`LOG_SYNC=always`). An eventfd wakes the loop of the worker.

use std::io;
use std::mem;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use proto::deflate::Params;
use rustix::event::{EventfdFlags, eventfd};

use crate::occupancy::Place;
use crate::peer::Peer;
use crate::service::Service;
use crate::service::probe::Opened;
use crate::stream::PolledStream;

/// A connection that was upgraded, on its way to a worker.
#[derive(Debug)]
pub struct Arrival {
    /// The stream, with the handshakes of TLS and HTTP done.
    pub stream: Box<dyn PolledStream>,
    /// Bytes that arrived after the request, in the same reads.
    pub read_buf: Vec<u8>,
    /// The service at the requested path.
    pub service: Service,
    /// The agreed parameters of permessage-deflate; `None` without compression.
    pub deflate: Option<Params>,
    /// The address of the client.
    pub peer: Peer,
    /// The place of the connection under `MAX_CONNECTIONS`.
    pub place: Place,
    /// Whether the client is `server healthcheck`, whose events have the level debug.
    pub is_healthcheck: bool,
    /// The first message and the record of a connection of `/probe`; `None` at other paths.
    pub probe: Option<Box<Opened>>,
}

/// The inbox of a worker.
#[derive(Debug)]
pub struct Inbox {
    contents: Mutex<Contents>,
    eventfd: OwnedFd,
    pub(super) load: AtomicUsize,
}

/// The contents of an inbox.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) arrivals: Vec<Arrival>,
    /// The server stops: the worker closes its connections.
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

    /// Number of connections that the worker has, those in the inbox included.
    #[must_use]
    pub fn load(&self) -> usize {
        self.load.load(Ordering::Relaxed)
    }

    /// Hands a connection over; drops it after [`Self::close`].
    pub fn push(&self, arrival: Arrival) {
        let mut contents = self.contents.lock();
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

    /// Makes the worker close its connections.
    pub fn stop(&self) {
        self.contents.lock().is_stopping = true;
        self.wake();
    }

    /// Takes no more connections: the worker ends with its last one.
    pub fn close(&self) {
        self.contents.lock().is_closed = true;
        self.wake();
    }

    /// Makes the worker look at its inbox and at the syncs of the log.
    pub(super) fn wake(&self) {
        // A write fails if the counter is full; then an event is pending already.
        let _ = rustix::io::write(&self.eventfd, &1_u64.to_ne_bytes());
    }

    /// Takes the arrivals out, and copies the other contents.
    pub(super) fn take(&self) -> Contents {
        let mut contents = self.contents.lock();
        let arrivals = mem::take(&mut contents.arrivals);
        Contents { arrivals, ..*contents }
    }
}

impl AsFd for Inbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.eventfd.as_fd()
    }
}
