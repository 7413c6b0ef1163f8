//! The keeper, a thread that checks the file of the log once a second and on SIGHUP, also when no
//! ping comes, and removes rotated files beyond `LOG_KEEP`. Any of these system calls may hang.

use std::fs;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::Duration;

use super::Shared;
use super::log::Log;
use crate::throttle::{Throttle, warn_throttled};

/// Time between two checks of the file.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The requests to the keeper.
#[derive(Debug, Default)]
pub(super) struct KeeperRequests {
    thread: OnceLock<Thread>,
    reopen: AtomicBool,
    closing: AtomicBool,
    removals: Throttle,
}

impl KeeperRequests {
    /// Makes the keeper open the log anew if its path leads to another file.
    pub(super) fn reopen(&self) {
        self.reopen.store(true, Ordering::SeqCst);
        self.wake();
    }

    /// Makes the keeper end.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
        self.wake();
    }

    /// Makes the keeper check the file now.
    pub(super) fn wake(&self) {
        self.thread.get().into_iter().for_each(Thread::unpark);
    }
}

/// Starts the keeper.
///
/// # Errors
/// When the system is out of threads.
pub(super) fn start(shared: Arc<Shared>) -> io::Result<()> {
    let run = move || {
        let requests = &shared.requests;
        let _ = requests.thread.set(thread::current());
        while !requests.closing.load(Ordering::SeqCst) {
            shared.check_file(requests.reopen.swap(false, Ordering::SeqCst));
            remove_excess(&shared);
            thread::park_timeout(CHECK_INTERVAL);
        }
    };
    thread::Builder::new().name("log-keeper".into()).spawn(run).map(drop)
}

/// Removes rotated files beyond those to keep, without the lock of the log: a file system may take
/// long to free a large file.
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
