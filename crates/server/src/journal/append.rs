//! Appending a batch: one thread at a time, in the order of time, to the file that a reader finds at
//! the path.

use std::sync::Arc;
use std::time::{Duration, Instant};

use proto::line;
use tracing::{info, warn};

use super::clock::Second;
use super::health::HANG_AFTER;
use super::log::{Fault, Log};
use super::recorder::{Commit, Unrecorded};
use super::{Shared, SyncPolicy};
use crate::throttle::Throttle;

/// Time between two checks that the path still leads to the file, which cost a system call. A ping
/// may be acknowledged for so long after another program has removed or moved the file.
const VERIFY_INTERVAL: Duration = Duration::from_millis(10);

/// The log behind its lock.
#[derive(Debug)]
pub(super) struct State {
    log: Log,
    /// The latest second on a line.
    newest: Second,
    /// When to check the path of the file again.
    verify_at: Instant,
    /// Why the last write failed; `None` if it succeeded.
    error: Option<Arc<str>>,
    /// Whether the error was logged, so that its end has to be logged too.
    is_warned: bool,
    warnings: Throttle,
}

impl Shared {
    /// Appends a batch of `count` whole lines, stamped with `second`. If later lines are in the
    /// file already, the batch is stamped anew.
    pub(super) fn append(&self, batch: &mut [u8], count: usize, second: Second) -> Commit {
        let state = self.state.try_lock().or_else(|| self.wait_for_lock());
        let begun = Instant::now();
        let (Some(mut state), None) = (state, self.health.failed()) else {
            return self.refuse(count, begun);
        };
        let call = self.health.file.begin(begun);
        state.restamp_if_older(batch, second);
        let (written, result) = state.append(batch, begun);
        let recorded = if written == batch.len() { count } else { count_lines(&batch[..written]) };
        let sync_number = self.note_written(&mut state, &batch[..written], recorded, begun);
        let error = match result {
            Ok(()) => {
                state.note_recovery(self);
                None
            }
            Err(fault) => Some(state.note_fault(self, fault)),
        };
        drop(call);
        if recorded < count {
            self.metrics.refused.add_among_threads((count - recorded) as u64);
        }
        Commit { recorded, sync_number, error }
    }

    /// Waits until other threads have appended; `None` if that takes too long, so that a system
    /// call that hangs holds up one thread alone.
    fn wait_for_lock(&self) -> Option<parking_lot::MutexGuard<'_, State>> {
        let is_hanging = self.health.file.longer_than(HANG_AFTER, Instant::now()).is_some();
        if is_hanging { None } else { self.state.try_lock_for(HANG_AFTER) }
    }

    /// Refuses a batch without touching the file.
    fn refuse(&self, count: usize, now: Instant) -> Commit {
        self.metrics.refused.add_among_threads(count as u64);
        let busy = || "the log cannot be written: other threads took too long".into();
        let cause = self.health.check(now).err().unwrap_or_else(busy);
        Commit { recorded: 0, sync_number: None, error: Some(Unrecorded::NotWritten(cause)) }
    }

    /// Counts lines that are in the file, and passes them to stdout and to the thread that syncs.
    /// Returns the number of the change if the acknowledgement of the lines waits for the disk.
    fn note_written(
        &self,
        state: &mut State,
        lines: &[u8],
        count: usize,
        begun: Instant,
    ) -> Option<u64> {
        if lines.is_empty() {
            return None;
        }
        self.metrics.written(count, begun.elapsed());
        self.stdout.push(lines, count);
        if state.log.has_excess() {
            self.requests.wake();
        }
        if self.policy == SyncPolicy::No {
            return None;
        }
        if state.log.unsynced_files().are_many() {
            self.progress.request_sync();
        }
        let number = self.progress.note_change();
        (self.policy == SyncPolicy::Always).then_some(number)
    }

    /// Calls `act` with the log, however long other threads hold the lock.
    pub(super) fn with_log<T>(&self, act: impl FnOnce(&mut Log) -> T) -> T {
        act(&mut self.state.lock().log)
    }

    /// Checks that the path still leads to the file, and opens the path anew otherwise. Checks
    /// whether the file can be written again, if it could not. With `is_asked`, also logs if the
    /// file is still the same.
    pub(super) fn check_file(&self, is_asked: bool) {
        let mut state = self.state.lock();
        let now = Instant::now();
        let call = self.health.file.begin(now);
        let verified = state.verify(now);
        if is_asked && matches!(verified, Ok(false)) {
            let path = state.log.path().display();
            info!("the log file {path} is still the same, nothing to reopen");
        }
        match verified.and_then(|_| state.check_writable()) {
            Ok(()) => state.note_recovery(self),
            Err(fault) => drop(state.note_fault(self, fault)),
        }
        drop(call);
        if state.log.unsynced_files().is_waiting() {
            self.progress.note_change();
        }
    }
}

impl State {
    pub(super) fn new(log: Log) -> Self {
        Self {
            log,
            newest: Second::now(),
            verify_at: Instant::now() + VERIFY_INTERVAL,
            error: None,
            is_warned: false,
            warnings: Throttle::default(),
        }
    }

    /// Stamps the batch anew if later lines are in the file already.
    fn restamp_if_older(&mut self, batch: &mut [u8], mut second: Second) {
        if second.unix < self.newest.unix {
            second = Second::now();
            line::restamp(batch, &second.stamp);
        }
        self.newest = second;
    }

    fn append(&mut self, batch: &[u8], now: Instant) -> (usize, Result<(), Fault>) {
        let is_due = now >= self.verify_at || self.log.current().is_none();
        if is_due && let Err(fault) = self.verify(now) {
            return (0, Err(fault));
        }
        self.log.append(batch)
    }

    fn verify(&mut self, now: Instant) -> Result<bool, Fault> {
        self.verify_at = now + VERIFY_INTERVAL;
        self.log.verify()
    }

    /// # Errors
    /// When the log could not be written, and still cannot be.
    fn check_writable(&self) -> Result<(), Fault> {
        match self.log.current() {
            Some(file) if self.error.is_some() => file.check_writable().map_err(Fault::Write),
            _ => Ok(()),
        }
    }

    /// Notes why the log could not be written, and returns the reason for the senders of the pings
    /// that are not in the file.
    fn note_fault(&mut self, shared: &Shared, fault: Fault) -> Unrecorded {
        let error = match fault {
            Fault::Write(error) => error,
            Fault::Sync(error) => return Unrecorded::NotWritten(shared.sync_failed(&error)),
        };
        let cause: Arc<str> = format!("the log cannot be written: {error}").into();
        if !self.is_warned && self.warnings.admit(Instant::now()).is_some() {
            let path = self.log.path().display();
            warn!("{cause} ({path}); pings are answered with an error until it can");
            self.is_warned = true;
        }
        if self.error.as_ref() != Some(&cause) {
            self.error = Some(Arc::clone(&cause));
            shared.health.set_write_error(Some(Arc::clone(&cause)));
        }
        Unrecorded::NotWritten(cause)
    }

    fn note_recovery(&mut self, shared: &Shared) {
        if self.error.take().is_some() {
            shared.health.set_write_error(None);
            if std::mem::take(&mut self.is_warned) {
                info!("the log can be written again ({})", self.log.path().display());
            }
        }
    }
}

/// The number of lines in whole `lines`.
fn count_lines(lines: &[u8]) -> usize {
    lines.iter().filter(|&&byte| byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::journal::{Closer, Journal, Options, Rotation};
    use proto::{Ping, Stamp};

    fn open(dir: &tempfile::TempDir, rotation: Option<Rotation>) -> (Journal, Closer) {
        let path = dir.path().join("server_logs.txt");
        let options = Options { path, sync: SyncPolicy::No, rotation };
        Journal::open(&options, io::sink()).unwrap()
    }

    fn append(journal: &Journal, second: Second, names: &[&str]) -> Commit {
        let mut batch = Vec::new();
        for &name in names {
            let ping = Ping { client_name: name.into(), message: "Ping!".into() };
            line::append(&mut batch, &second.stamp, &ping);
        }
        journal.0.append(&mut batch, names.len(), second)
    }

    #[test]
    fn time_never_runs_backwards_in_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let (journal, _closer) = open(&dir, None);
        let late = Second::now();
        let early = Second { unix: late.unix - 5, stamp: Stamp::new(&Default::default()) };
        for second in [late, early] {
            assert_eq!(append(&journal, second, &["a"]).recorded, 1);
        }
        let text = std::fs::read_to_string(journal.path()).unwrap();
        let years: Vec<_> = text.lines().map(|line| &line[7..11]).collect();
        assert_eq!(years.len(), 2);
        assert!(years.iter().all(|year| *year != "1970"), "{text}");
    }

    #[test]
    fn when_a_rotation_splits_a_batch_and_the_second_part_fails_the_first_part_counts() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("folder");
        std::fs::create_dir(&folder).unwrap();
        let path = folder.join("log");
        let rotation = Some(Rotation { max_bytes: 150, keep: None });
        let options = Options { path, sync: SyncPolicy::Always, rotation };
        // There is no keeper thread, so that the rotation is the next to check the path.
        let journal = Journal(Arc::new(Shared::open(&options, io::sink()).unwrap()));
        journal.0.state.lock().verify_at += Duration::from_secs(3600);
        let moved = dir.path().join("moved");
        std::fs::rename(&folder, &moved).unwrap();

        let commit = append(&journal, Second::now(), &["a", "b", "c", "d"]);
        assert_eq!(commit.recorded, 2, "{commit:?}");
        assert!(commit.sync_number.is_some());
        let told = commit.error.unwrap().to_string();
        assert!(told.ends_with("this ping was not recorded"), "{told}");
        let text = std::fs::read_to_string(moved.join("log")).unwrap();
        assert_eq!(text.lines().count(), 2);
        let counts = journal.metrics();
        assert_eq!((counts.pings.get(), counts.refused.get()), (2, 2));
    }

    #[test]
    fn a_call_that_hangs_blocks_no_other_thread_for_long() {
        let dir = tempfile::tempdir().unwrap();
        let (journal, closer) = open(&dir, None);
        let hanging = journal.0.state.lock();
        let begun = Instant::now();
        let _call = journal.0.health.file.begin(begun);
        assert_eq!(journal.check(), Ok(()));
        let commit = append(&journal, Second::now(), &["a", "b"]);
        assert!(begun.elapsed() < 2 * HANG_AFTER, "{:?}", begun.elapsed());
        let told = commit.error.unwrap().to_string();
        assert!(commit.recorded == 0 && told.contains("has not returned"), "{told}");
        assert!(journal.check().unwrap_err().contains("has not returned"));
        assert_eq!(journal.metrics().refused.get(), 2);

        // A later batch does not wait at all.
        let later = Instant::now();
        assert_eq!(append(&journal, Second::now(), &["c"]).recorded, 0);
        journal.reopen();
        assert!(closer.close(later).is_err());
        assert!(later.elapsed() < HANG_AFTER, "{:?}", later.elapsed());
        drop(hanging);
    }
}
