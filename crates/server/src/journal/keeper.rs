//! Looking after the log where no ping does: once a second, on SIGHUP, and when there are more
//! rotated files than are to be kept. A thread of its own does so, as each of these may hang.

use std::fs;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::Duration;

use super::Shared;
use super::log::Log;
use crate::throttle::{Throttle, warn_throttled};

/// Time between two looks.
const TICK: Duration = Duration::from_secs(1);

/// What the thread is to do.
#[derive(Debug, Default)]
pub(super) struct Requests {
    thread: OnceLock<Thread>,
    reopen: AtomicBool,
    closing: AtomicBool,
    removals: Throttle,
}

impl Requests {
    /// Has the log opened anew if its path leads elsewhere.
    pub(super) fn reopen(&self) {
        self.reopen.store(true, Ordering::SeqCst);
        self.look();
    }

    /// Has the thread end.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
        self.look();
    }

    /// Has the thread look now.
    pub(super) fn look(&self) {
        self.thread.get().into_iter().for_each(Thread::unpark);
    }
}

/// Starts the thread.
///
/// # Errors
/// When there can be no further thread.
pub(super) fn start(shared: Arc<Shared>) -> io::Result<()> {
    let run = move || {
        let requests = &shared.requests;
        let _ = requests.thread.set(thread::current());
        while !requests.closing.load(Ordering::SeqCst) {
            shared.look_after(requests.reopen.swap(false, Ordering::SeqCst));
            remove_excess(&shared);
            thread::park_timeout(TICK);
        }
    };
    thread::Builder::new().name("log-keeper".into()).spawn(run).map(drop)
}

/// Removes rotated files beyond those to keep, without the lock: a file system may take long to
/// free a large file.
fn remove_excess(shared: &Shared) {
    while let Some(path) = shared.with_log(Log::take_excess) {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let path = path.display();
                warn_throttled!(
                    shared.requests.removals,
                    "the rotated log file {path} stays, as it cannot be removed: {error}"
                );
            }
            _ => {}
        }
    }
}
