//! The thread that waits for the disk, for all workers at once.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use parking_lot::Mutex;
use tracing::error;

use super::Shared;
use super::file::LogFile;

/// When the disk has to hold a line (`LOG_SYNC`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SyncPolicy {
    /// Before its Pong is sent.
    Always,
    /// About a second later.
    Everysec,
    /// Never by the server: the operating system decides.
    No,
}

/// Time between a write and its sync under [`SyncPolicy::Everysec`].
const SYNC_DELAY: Duration = Duration::from_secs(1);

/// How far the disk is behind the files. Changes to the files are numbered.
#[derive(Default)]
pub(super) struct SyncProgress {
    /// Number of the last change to the files.
    changed: AtomicU64,
    /// Number of the last change that the disk holds.
    synced: AtomicU64,
    /// Called after each sync, and when one fails.
    wakes: Mutex<Vec<Wake>>,
    thread: OnceLock<Thread>,
    /// Whether the thread waits for a change.
    idle: AtomicBool,
    /// Whether the next sync has to begin without its delay.
    is_urgent: AtomicBool,
    closing: AtomicBool,
}

type Wake = Arc<dyn Fn() + Send + Sync>;

impl fmt::Debug for SyncProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncProgress")
            .field("changed", &self.changed)
            .field("synced", &self.synced)
            .finish_non_exhaustive()
    }
}

impl SyncProgress {
    /// Counts a change to the files, and returns its number. Only one thread may call this at a time.
    pub(super) fn note_change(&self) -> u64 {
        let number = self.changed.load(Ordering::Relaxed) + 1;
        // Sequentially consistent with `idle`: either the thread sees the change, or this call sees
        // that the thread waits.
        self.changed.store(number, Ordering::SeqCst);
        if self.idle.load(Ordering::SeqCst) {
            self.idle.store(false, Ordering::SeqCst);
            self.unpark();
        }
        number
    }

    /// Makes the next sync begin now.
    pub(super) fn request_sync(&self) {
        if !self.is_urgent.swap(true, Ordering::Relaxed) {
            self.unpark();
        }
    }

    /// Makes the thread end once the disk holds every change.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
        self.unpark();
    }

    /// Number of the last change that the disk holds.
    pub(super) fn synced(&self) -> u64 {
        self.synced.load(Ordering::Acquire)
    }

    /// Adds a function that is called after each sync, and when one fails.
    pub(super) fn add_wake(&self, wake: impl Fn() + Send + Sync + 'static) {
        self.wakes.lock().push(Arc::new(wake));
    }

    pub(super) fn wake_all(&self) {
        self.wakes.lock().iter().for_each(|wake| wake());
    }

    fn unpark(&self) {
        self.thread.get().into_iter().for_each(Thread::unpark);
    }

    fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    /// Waits for a change after `number`; returns `false` after [`Self::close`].
    fn wait_for_change(&self, number: u64) -> bool {
        loop {
            self.idle.store(true, Ordering::SeqCst);
            if self.changed.load(Ordering::SeqCst) != number {
                self.idle.store(false, Ordering::SeqCst);
                return true;
            }
            if self.is_closing() {
                return false;
            }
            thread::park();
        }
    }

    /// Waits until `deadline`, or until there is a reason to sync earlier.
    fn pause(&self, deadline: Instant) {
        while !self.is_urgent.load(Ordering::Relaxed) && !self.is_closing() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            thread::park_timeout(left);
        }
    }
}

/// Starts the thread. The returned channel disconnects when the thread ends.
///
/// # Errors
/// When the system is out of threads.
pub(super) fn start(shared: Arc<Shared>) -> io::Result<Receiver<()>> {
    let (end, ended) = channel();
    thread::Builder::new().name("log-sync".into()).spawn(move || {
        let _ = shared.progress.thread.set(thread::current());
        run(&shared);
        drop(end);
    })?;
    Ok(ended)
}

fn run(shared: &Shared) {
    let progress = &shared.progress;
    let mut taken = 0;
    while progress.wait_for_change(taken) {
        if shared.policy == SyncPolicy::Everysec {
            progress.pause(Instant::now() + SYNC_DELAY);
        }
        let files = shared.with_log(|log| {
            progress.is_urgent.store(false, Ordering::Relaxed);
            taken = progress.changed.load(Ordering::Relaxed);
            let current = log.current().map(LogFile::file);
            log.unsynced_files().take(current)
        });
        let call = shared.health.sync.begin(Instant::now());
        let result = files.sync();
        drop(call);
        if let Err(error) = result {
            shared.sync_failed(&error);
            return;
        }
        progress.synced.store(taken, Ordering::Release);
        progress.wake_all();
        files.drop_page_cache();
    }
}

impl Shared {
    /// Notes that a sync failed, which ends the server. Returns the cause.
    pub(super) fn sync_failed(&self, error: &io::Error) -> Arc<str> {
        let cause: Arc<str> = format!("the log could not be brought to the disk: {error}").into();
        if self.health.fail(Arc::clone(&cause)) {
            error!("{cause}; what the disk holds is unknown, so the server ends");
        }
        self.progress.wake_all();
        cause
    }
}
