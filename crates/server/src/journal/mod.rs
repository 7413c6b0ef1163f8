//! The log of pings. No other module accesses its file.
//!
//! Connections hand their pings to the [`Recorder`] of their worker, which gathers the lines of
//! one turn of the event loop and appends them to the file in one write. Then the Pongs may be sent.
//!
//! Workers take turns at a lock that is held across system calls on the file ([`append`]), and on a
//! frozen or remote file system such a call may never return. So every other query but
//! [`Journal::path`], which is for the start, is answered without this lock, and all other work is
//! done by threads of the log: one waits for the disk ([`sync`]), one checks the file ([`keeper`]),
//! one copies lines to stdout ([`PacedWriter`]).

mod append;
mod check_path;
mod clock;
mod file;
mod health;
mod keeper;
mod log;
mod metrics;
mod open;
mod recorder;
mod rotated;
mod sync;
mod unsynced;

use std::convert::Infallible;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use program::paced::{PacedWriter, Trouble};
use tracing::warn;

use append::State;
use health::LogHealth;
use keeper::KeeperRequests;
use log::Log;
use sync::SyncProgress;
use unsynced::UnsyncedFiles;

pub use check_path::check_path;
pub use metrics::LogMetrics;
pub use recorder::{Commit, Recorder, Synced, Unrecorded};
pub use rotated::Rotation;
pub use sync::SyncPolicy;

/// Age of a system call at which the end of the server waits for it no longer.
const STUCK_AFTER: Duration = Duration::from_millis(100);

/// The settings of a log.
#[derive(Clone, Debug)]
pub struct Options {
    /// The file (`LOG_FILE`).
    pub path: PathBuf,
    /// When the disk has to hold a line (`LOG_SYNC`).
    pub sync: SyncPolicy,
    /// When the file is rotated; never if `None`.
    pub rotation: Option<Rotation>,
}

/// Why a log cannot be opened.
#[derive(Debug)]
pub enum OpenError {
    /// The file cannot be opened, locked or repaired.
    File(io::Error),
    /// The system refuses to start a thread.
    Thread(io::Error),
}

/// The log of a server, shared by its threads.
#[derive(Clone, Debug)]
pub struct Journal(Arc<Shared>);

/// Ends a log in good order.
#[derive(Debug)]
pub struct Closer {
    shared: Arc<Shared>,
    /// Disconnects at the end of the thread that syncs; `None` without this thread.
    synced: Option<Receiver<()>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    health: LogHealth,
    progress: SyncProgress,
    requests: KeeperRequests,
    policy: SyncPolicy,
    stdout: PacedWriter,
    metrics: LogMetrics,
}

impl Shared {
    /// Opens the file, and starts no thread but that of stdout.
    fn open(options: &Options, copy: impl Write + Send + 'static) -> Result<Self, OpenError> {
        let is_synced = options.sync != SyncPolicy::No;
        let log = Log::open(&options.path, options.rotation, UnsyncedFiles::new(is_synced))
            .map_err(OpenError::File)?;
        Ok(Self {
            state: Mutex::new(State::new(log)),
            health: LogHealth::new(),
            progress: SyncProgress::default(),
            requests: KeeperRequests::default(),
            policy: options.sync,
            stdout: PacedWriter::start("stdout", copy, warn_stdout).map_err(OpenError::Thread)?,
            metrics: LogMetrics::default(),
        })
    }
}

impl Journal {
    /// Opens the log and starts its threads. Every line is copied to `copy`, which may be slow:
    /// lines that it does not take in time are left out there.
    ///
    /// # Errors
    /// When the file cannot be opened, or a thread cannot be started.
    pub fn open(
        options: &Options,
        copy: impl Write + Send + 'static,
    ) -> Result<(Self, Closer), OpenError> {
        let shared = Arc::new(Shared::open(options, copy)?);
        let is_synced = options.sync != SyncPolicy::No;
        let synced = is_synced
            .then(|| sync::start(Arc::clone(&shared)))
            .transpose()
            .map_err(OpenError::Thread)?;
        let closer = Closer { shared: Arc::clone(&shared), synced };
        keeper::start(Arc::clone(&shared)).map_err(OpenError::Thread)?;
        Ok((Self(shared), closer))
    }

    /// The path of the file, which may be one beside `LOG_FILE`. For the start alone: this call blocks
    /// as long as a system call on the file does.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.0.with_log(|log| log.path().to_path_buf())
    }

    /// A recorder for one worker. With `LOG_SYNC=always`, another thread calls `wake` whenever
    /// [`Recorder::synced`] has changed; `wake` must not block.
    #[must_use]
    pub fn recorder(&self, wake: impl Fn() + Send + Sync + 'static) -> Recorder {
        if self.0.policy == SyncPolicy::Always {
            self.0.progress.add_wake(wake);
        }
        Recorder::new(Arc::clone(&self.0))
    }

    /// Makes the keeper open the file anew if another program has renamed it (SIGHUP). Never blocks.
    pub fn reopen(&self) {
        self.0.requests.reopen();
    }

    /// Whether pings can be recorded. Never blocks.
    ///
    /// # Errors
    /// If pings cannot be recorded; the error says why.
    pub fn check(&self) -> Result<(), Arc<str>> {
        self.0.health.check(Instant::now())
    }

    /// The counts of the log.
    #[must_use]
    pub fn metrics(&self) -> &LogMetrics {
        &self.0.metrics
    }

    /// The number of lines that were left out on stdout.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.0.stdout.left_out()
    }

    /// Warns of each system call on the log that hangs, as on a frozen or remote file system.
    pub async fn watch_calls(&self) -> Infallible {
        self.0.health.watch_calls().await
    }

    /// Waits until the log has failed for good, and returns the cause.
    pub async fn failed(&self) -> Arc<str> {
        self.0.health.wait_for_failure().await
    }
}

/// Warns of trouble with the copy on stdout.
fn warn_stdout(trouble: Trouble) {
    match trouble {
        Trouble::LeftOut(lines) => {
            warn!("left {lines} lines out on stdout; the log file has them all");
        }
        Trouble::Failed(error) => {
            warn!("stdout cannot be written: {error}; the log file has all lines");
        }
    }
}

impl Closer {
    /// Brings the last lines to the disk and to stdout; returns at `deadline`, whatever hangs. The
    /// process may exit then, but Linux keeps a thread that is in a system call on a frozen local
    /// file system, and the process with it, until the thaw.
    ///
    /// # Errors
    /// When the disk may not hold all lines.
    pub fn close(self, deadline: Instant) -> Result<(), Arc<str>> {
        self.shared.progress.close();
        self.shared.stdout.close();
        let left = || deadline.saturating_duration_since(Instant::now());
        let synced = self.synced.as_ref().map(|synced| synced.recv_timeout(left()));
        let left_out = self.shared.stdout.wait(deadline);
        if left_out > 0 {
            warn!("left {left_out} lines out on stdout at the end; the log file has them all");
        }
        if let Some(cause) = self.shared.health.failed() {
            return Err(Arc::clone(cause));
        }
        if synced == Some(Err(RecvTimeoutError::Timeout)) {
            return Err("the last lines were not brought to the disk in time, and may be lost if the machine stops now".into());
        }
        self.shared.health.check_calls(Instant::now(), STUCK_AFTER)
    }
}

impl Drop for Closer {
    fn drop(&mut self) {
        self.shared.progress.close();
        self.shared.requests.close();
    }
}
