//! A worker: a thread with a plain loop over epoll. A connection stays with its worker, so a ping
//! takes no lock but that of the log, and wakes no other thread.
//!
//! The loop ([`event_loop`]) waits; [`connections`] drives each [`connection`]. Nothing here is
//! asynchronous, or knows of HTTP or TLS handshakes.

mod compression;
pub mod connection;
pub mod connections;
mod event_loop;
mod inbox;
pub mod key;
mod poller;
mod replies;
mod timers;
pub mod turn;
mod unfinished;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use tokio::sync::{mpsc, oneshot};

use crate::journal::Journal;
use connections::Connections;
use event_loop::EventLoop;
use turn::Shared;

pub use inbox::{Arrival, Inbox};

/// A handle to a worker: the inbox that the worker reads.
pub type Worker = Arc<Inbox>;

/// Resolves when a worker has ended, for whatever reason.
pub type Ended = oneshot::Receiver<()>;

/// Starts the thread of a worker. If its loop fails, the cause goes to `failures`.
///
/// # Errors
/// When the system is out of threads or descriptors.
pub fn start(
    number: usize,
    shared: Shared,
    journal: &Journal,
    failures: mpsc::Sender<String>,
) -> io::Result<(Worker, Ended)> {
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
            // A full channel holds a failure already, and one is enough to end the server.
            let _ = failures.try_send(format!("worker {number} failed: {cause}"));
        }
        let _ = end.send(());
    })?;
    Ok((inbox, ended))
}
