//! A worker: a thread with a plain loop over epoll. A connection stays with its worker, so a ping
//! needs no lock but that of the log, and no wake across cores.
//!
//! The loop ([`event_loop`]) waits; [`connections`] drives each [`connection`]. Nothing here is
//! asynchronous, and nothing knows of HTTP or of TLS handshakes.

mod batch;
pub mod compression;
pub mod connection;
pub mod connections;
mod event_loop;
mod inbox;
pub mod key;
mod poller;
pub mod replies;
mod timers;
pub mod turn;
mod unfinished;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

use tokio::sync::{mpsc, oneshot};

use crate::journal::Journal;
use connections::Connections;
use event_loop::EventLoop;
use inbox::Inbox;
use turn::Shared;

pub use inbox::Arrival;

/// The handle to a worker.
#[derive(Clone, Debug)]
pub struct Worker {
    inbox: Arc<Inbox>,
}

/// Resolves when a worker has ended, whatever the reason.
pub type Ended = oneshot::Receiver<()>;

impl Worker {
    /// Starts the thread. If its loop fails, the cause goes to `failures`.
    ///
    /// # Errors
    /// When the system is out of threads or descriptors.
    pub fn start(
        number: usize,
        shared: Shared,
        journal: &Journal,
        failures: mpsc::Sender<String>,
    ) -> io::Result<(Self, Ended)> {
        let inbox = Arc::new(Inbox::new()?);
        let woken = Arc::clone(&inbox);
        let recorder = journal.recorder(move || woken.wake());
        let event_loop = EventLoop::new(Arc::clone(&inbox), Connections::new(shared, recorder))?;
        let (end, ended) = oneshot::channel();
        thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
            let cause = match catch_unwind(AssertUnwindSafe(|| event_loop.run())) {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some("a defect of this server".into()),
            };
            if let Some(cause) = cause {
                // One failure is enough to end the server.
                let _ = failures.try_send(format!("worker {number} failed: {cause}"));
            }
            let _ = end.send(());
        })?;
        Ok((Self { inbox }, ended))
    }

    /// How many connections the worker has.
    #[must_use]
    pub fn load(&self) -> usize {
        self.inbox.load.load(Ordering::Relaxed)
    }

    /// Hands a connection over.
    pub fn push(&self, arrival: Arrival) {
        self.inbox.push(arrival);
    }

    /// Has the worker close its connections.
    pub fn stop(&self) {
        self.inbox.stop();
    }

    /// Ends the supply of connections: the worker ends with its last one.
    pub fn close(&self) {
        self.inbox.close();
    }
}
