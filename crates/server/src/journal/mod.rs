//! The log: the one place that owns its file.
//!
//! Connections hand their pings to the [`Recorder`] of their worker, which gathers the lines of
//! one turn of the event loop and appends them here in one write. Then their Pongs may leave.

mod claim;
mod clock;
mod file;
mod metrics;
mod recorder;
mod stdout;
mod sync;

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use proto::line;
use tokio::sync::watch;
use tracing::{info, warn};

use clock::Second;
use file::LogFile;
use stdout::Stdout;
use sync::{Progress, Syncer};

pub use file::Rotation;
pub use metrics::LogMetrics;
pub use recorder::{Committed, Recorder, Synced, Unrecorded};
pub use stdout::standard_output;
pub use sync::SyncPolicy;

/// Time that a slow reader of stdout is given when the server stops.
const STDOUT_PATIENCE: Duration = Duration::from_millis(200);

/// How a log is kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where (`LOG_FILE`).
    pub path: PathBuf,
    /// When the disk has to hold a line.
    pub sync: SyncPolicy,
    /// When a new file begins; never if `None`.
    pub rotation: Option<Rotation>,
}

/// The log of a server, shared by its threads.
#[derive(Clone, Debug)]
pub struct Journal(Arc<Shared>);

/// What ends a journal in good order.
#[derive(Debug)]
pub struct Closer {
    shared: Arc<Shared>,
    syncer: Option<Syncer>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Told when there is something to sync, or the syncer should end.
    written_more: Condvar,
    progress: watch::Sender<Progress>,
    policy: SyncPolicy,
    stdout: Stdout,
    metrics: LogMetrics,
}

#[derive(Debug)]
struct State {
    file: LogFile,
    /// The latest second on a line.
    newest: Second,
    /// Number of appends so far.
    written: u64,
    /// How many of them the syncer has taken on.
    taken: u64,
    /// The syncer waits for a write.
    syncer_idle: bool,
    /// Why the last append failed.
    trouble: Option<Arc<str>>,
    /// Why no append can succeed any more.
    failed: Option<Arc<str>>,
}

impl Journal {
    /// Opens the log and starts its threads. Every line is copied to `copy`, which may be slow: what
    /// it does not take is left out there.
    ///
    /// # Errors
    /// When the file cannot be opened, with the reason.
    pub fn open(
        options: &Options,
        copy: impl Write + Send + 'static,
    ) -> io::Result<(Self, Closer)> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                file: LogFile::open(&options.path, options.rotation)?,
                newest: Second::now(),
                written: 0,
                taken: 0,
                syncer_idle: false,
                trouble: None,
                failed: None,
            }),
            written_more: Condvar::new(),
            progress: watch::Sender::default(),
            policy: options.sync,
            stdout: Stdout::start(copy)?,
            metrics: LogMetrics::default(),
        });
        let syncer = match options.sync {
            SyncPolicy::No => None,
            policy => Some(Syncer::start(Arc::clone(&shared), policy == SyncPolicy::Everysec)?),
        };
        Ok((Self(Arc::clone(&shared)), Closer { shared, syncer }))
    }

    /// The path that is written to, which may be one beside the path that was asked for.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.0.state().file.path().to_path_buf()
    }

    /// A recorder for one worker.
    #[must_use]
    pub fn recorder(&self) -> Recorder {
        Recorder::new(Arc::clone(&self.0))
    }

    /// Opens the file anew after another program renamed it (SIGHUP).
    pub fn reopen(&self) {
        self.0.state().file.reopen();
    }

    /// Whether a ping could be recorded now.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self) -> Result<(), Arc<str>> {
        self.0.check()
    }

    /// What it counts.
    #[must_use]
    pub fn metrics(&self) -> &LogMetrics {
        &self.0.metrics
    }

    /// Lines that stdout was too slow for.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.0.stdout.left_out()
    }

    /// Waits until the log has failed for good, and says why.
    pub async fn failed(&self) -> Arc<str> {
        let mut progress = self.0.progress.subscribe();
        let failed = progress.wait_for(|progress| progress.failed.is_some()).await;
        // The sender lives as long as `self`.
        failed.ok().and_then(|progress| progress.failed.clone()).unwrap_or_default()
    }
}

impl Closer {
    /// Brings the last lines to the disk and to stdout; returns at `deadline` regardless.
    ///
    /// # Errors
    /// When the disk does not hold them.
    pub fn close(self, deadline: Instant) -> Result<(), Arc<str>> {
        let left = || deadline.saturating_duration_since(Instant::now());
        if let Some(syncer) = self.syncer {
            syncer.close(&self.shared, left());
        }
        self.shared.stdout.close(STDOUT_PATIENCE.min(left()));
        let failed = self.shared.state().failed.clone();
        failed.map_or(Ok(()), Err)
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends `count` whole lines, stamped with `second`; their time never lies before that of
    /// the lines in the file. Returns the number of this append.
    fn append(&self, lines: &mut [u8], count: usize, mut second: Second) -> Result<u64, Arc<str>> {
        let mut state = self.state();
        if let Some(cause) = &state.failed {
            return Err(Arc::clone(cause));
        }
        if second.unix < state.newest.unix {
            second = Second::now();
            line::restamp(lines, &second.stamp);
        }
        if second.unix != state.newest.unix {
            state.newest = second;
            state.file.restore_if_deleted();
        }
        let begun = Instant::now();
        let (written, result) = state.file.append(lines);
        if let Err(error) = result {
            // Of a batch that went into two files, the first may hold its part.
            let lines = &lines[..written];
            self.stdout.push(lines, lines.iter().filter(|&&byte| byte == b'\n').count());
            self.metrics.refused.add(count as u64);
            return Err(state.note_trouble(&error));
        }
        self.metrics.written(count, begun.elapsed());
        state.note_recovery();
        state.written += 1;
        self.stdout.push(lines, count);
        match self.policy {
            SyncPolicy::No => drop(state.file.take_unsynced()),
            _ if state.syncer_idle => {
                state.syncer_idle = false;
                self.written_more.notify_one();
            }
            _ => {}
        }
        Ok(state.written)
    }

    fn check(&self) -> Result<(), Arc<str>> {
        let mut state = self.state();
        if let Some(cause) = &state.failed {
            return Err(Arc::clone(cause));
        }
        let Some(trouble) = &state.trouble else { return Ok(()) };
        match state.file.probe() {
            Ok(true) => {
                state.note_recovery();
                Ok(())
            }
            Ok(false) => Err(Arc::clone(trouble)),
            Err(error) => Err(state.note_trouble(&error)),
        }
    }

    /// Waits for writes that are not on the disk, and takes them on: the files to sync and the
    /// number of the last append. `None` when there are none and `stopping` is true.
    fn wait_for_writes(&self, stopping: impl Fn() -> bool) -> Option<(Vec<Arc<File>>, u64)> {
        let mut state = self.state();
        while state.taken == state.written {
            if stopping() {
                return None;
            }
            state.syncer_idle = true;
            state = self.written_more.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        Some(state.take())
    }

    /// The writes since the last call, as [`Self::wait_for_writes`] tells them.
    fn take_writes(&self) -> (Vec<Arc<File>>, u64) {
        self.state().take()
    }

    fn wake_syncer(&self) {
        // Under the lock, so that it cannot fall between the syncer's look and its wait.
        let _state = self.state();
        self.written_more.notify_one();
    }

    fn synced(&self, written: u64) {
        self.progress.send_modify(|progress| progress.synced = written);
    }

    fn sync_failed(&self, cause: &Arc<str>) {
        self.state().failed = Some(Arc::clone(cause));
        self.progress.send_modify(|progress| progress.failed = Some(Arc::clone(cause)));
    }
}

impl State {
    fn take(&mut self) -> (Vec<Arc<File>>, u64) {
        self.taken = self.written;
        (self.file.take_unsynced(), self.written)
    }

    fn note_trouble(&mut self, error: &io::Error) -> Arc<str> {
        let cause: Arc<str> = format!("the log cannot be written: {error}").into();
        if self.trouble.is_none() {
            warn!("{cause} ({}); pings are answered with an error until it can", self.shown_path());
        }
        self.trouble = Some(Arc::clone(&cause));
        cause
    }

    fn note_recovery(&mut self) {
        if self.trouble.take().is_some() {
            info!("the log can be written again ({})", self.shown_path());
        }
    }

    fn shown_path(&self) -> std::path::Display<'_> {
        Path::display(self.file.path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::Ping;

    fn open(dir: &tempfile::TempDir) -> (Journal, Closer) {
        let path = dir.path().join("server_logs.txt");
        let options = Options { path, sync: SyncPolicy::No, rotation: None };
        Journal::open(&options, io::sink()).unwrap()
    }

    #[test]
    fn time_never_runs_backwards_in_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let (journal, _closer) = open(&dir);
        let late = Second::now();
        let early = Second { unix: late.unix - 5, stamp: proto::Stamp::new(&Default::default()) };
        for second in [late, early] {
            let mut lines = Vec::new();
            line::append(
                &mut lines,
                &second.stamp,
                &Ping { client_name: "a".into(), message: "b".into() },
            );
            journal.0.append(&mut lines, 1, second).unwrap();
        }
        let text = std::fs::read_to_string(journal.path()).unwrap();
        let years: Vec<_> = text.lines().map(|line| &line[7..11]).collect();
        assert_eq!(years.len(), 2);
        assert!(years.iter().all(|year| *year != "1970"), "{text}");
    }
}
