//! Appending a batch: one thread at a time, in the order of time, and only to the file that a
//! reader finds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use proto::line;
use tracing::{info, warn};

use super::clock::Second;
use super::health::HANG;
use super::log::{Fault, Log};
use super::recorder::{Commit, Unrecorded};
use super::{Shared, SyncPolicy};
use crate::throttle::Throttle;

/// How long a look at the path of the log holds. A ping may be acknowledged for so long after
/// another program has removed or moved the file. A look costs a system call.
const VERIFIED: Duration = Duration::from_millis(10);

/// What the threads that append take turns at.
#[derive(Debug)]
pub(super) struct State {
    log: Log,
    /// The latest second on a line.
    newest: Second,
    /// When to look at the path of the log again.
    verify_at: Instant,
    /// Why the last try to write failed.
    trouble: Option<Arc<str>>,
    /// The trouble stands on stderr, and its end has to, too.
    is_told: bool,
    told: Throttle,
}

impl Shared {
    /// Appends `count` whole lines, stamped with `second`; their time never lies before that of
    /// the lines in the file.
    pub(super) fn append(&self, batch: &mut [u8], count: usize, second: Second) -> Commit {
        let state = self.state.try_lock().or_else(|| self.wait_for_turn());
        let begun = Instant::now();
        let (Some(mut state), None) = (state, self.health.failed()) else {
            return self.refuse(count, begun);
        };
        let call = self.health.file.begin(begun);
        state.put_in_order(batch, second);
        let (written, result) = state.append(batch, begun);
        let recorded = if written == batch.len() { count } else { count_lines(&batch[..written]) };
        let number = self.note_written(&mut state, &batch[..written], recorded, begun);
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
        Commit { recorded, awaits: number, error }
    }

    /// Waits until other threads have appended; `None` if that takes too long, so that a system
    /// call that hangs holds up one thread alone.
    fn wait_for_turn(&self) -> Option<parking_lot::MutexGuard<'_, State>> {
        let is_hanging = self.health.file.longer_than(HANG, Instant::now()).is_some();
        if is_hanging { None } else { self.state.try_lock_for(HANG) }
    }

    /// Refuses a batch without touching the file.
    fn refuse(&self, count: usize, now: Instant) -> Commit {
        self.metrics.refused.add_among_threads(count as u64);
        let busy = || "the log cannot be written: other threads took too long".into();
        let cause = self.health.check(now).err().unwrap_or_else(busy);
        Commit { recorded: 0, awaits: None, error: Some(Unrecorded::NotWritten(cause)) }
    }

    /// Tells all who have to know of lines in the file. Returns the number of the change if their
    /// acknowledgement waits for the disk.
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
            self.requests.look();
        }
        if self.policy == SyncPolicy::No {
            return None;
        }
        if state.log.unsynced().are_many() {
            self.progress.hurry();
        }
        let number = self.progress.note_change();
        (self.policy == SyncPolicy::Always).then_some(number)
    }

    /// Does something with the log, however long others take with it.
    pub(super) fn with_log<T>(&self, act: impl FnOnce(&mut Log) -> T) -> T {
        act(&mut self.state.lock().log)
    }

    /// Looks whether the file is still the one at the path, and if it could not be written,
    /// whether it can. Says so where nothing had to be done and `is_asked`.
    pub(super) fn look_after(&self, is_asked: bool) {
        let mut state = self.state.lock();
        let now = Instant::now();
        let call = self.health.file.begin(now);
        let verified = state.verify(now);
        if is_asked && matches!(verified, Ok(false)) {
            let path = state.log.path().display();
            info!("the log file {path} is still the same, nothing to reopen");
        }
        match verified.and_then(|_| state.probe()) {
            Ok(()) => state.note_recovery(self),
            Err(fault) => drop(state.note_fault(self, fault)),
        }
        drop(call);
        if state.log.unsynced().is_waiting() {
            self.progress.note_change();
        }
    }
}

impl State {
    pub(super) fn new(log: Log) -> Self {
        Self {
            log,
            newest: Second::now(),
            verify_at: Instant::now() + VERIFIED,
            trouble: None,
            is_told: false,
            told: Throttle::default(),
        }
    }

    /// Stamps the batch anew if later lines are in the file already.
    fn put_in_order(&mut self, batch: &mut [u8], mut second: Second) {
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
        self.verify_at = now + VERIFIED;
        self.log.verify()
    }

    /// # Errors
    /// When the log could not be written, and still cannot be.
    fn probe(&self) -> Result<(), Fault> {
        match self.log.current() {
            Some(file) if self.trouble.is_some() => file.probe().map_err(Fault::Write),
            _ => Ok(()),
        }
    }

    /// Notes why the log could not be written, and returns what those are told whose pings are
    /// not in the file.
    fn note_fault(&mut self, shared: &Shared, fault: Fault) -> Unrecorded {
        let error = match fault {
            Fault::Write(error) => error,
            Fault::Sync(error) => return Unrecorded::NotWritten(shared.sync_failed(&error)),
        };
        let cause: Arc<str> = format!("the log cannot be written: {error}").into();
        if !self.is_told && self.told.admit(Instant::now()).is_some() {
            let path = self.log.path().display();
            warn!("{cause} ({path}); pings are answered with an error until it can");
            self.is_told = true;
        }
        if self.trouble.as_ref() != Some(&cause) {
            self.trouble = Some(Arc::clone(&cause));
            shared.health.set_trouble(Some(Arc::clone(&cause)));
        }
        Unrecorded::NotWritten(cause)
    }

    fn note_recovery(&mut self, shared: &Shared) {
        if self.trouble.take().is_some() {
            shared.health.set_trouble(None);
            if std::mem::take(&mut self.is_told) {
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
    fn of_a_batch_that_a_rotation_splits_the_first_part_counts_where_the_second_fails() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("folder");
        std::fs::create_dir(&folder).unwrap();
        let path = folder.join("log");
        let rotation = Some(Rotation { max_bytes: 150, keep: None });
        let options = Options { path, sync: SyncPolicy::Always, rotation };
        // No thread looks after the log, so the next look at the path is that of the rotation.
        let journal = Journal(Arc::new(Shared::open(&options, io::sink()).unwrap()));
        journal.0.state.lock().verify_at += Duration::from_secs(3600);
        let moved = dir.path().join("moved");
        std::fs::rename(&folder, &moved).unwrap();

        let commit = append(&journal, Second::now(), &["a", "b", "c", "d"]);
        assert_eq!(commit.recorded, 2, "{commit:?}");
        assert!(commit.awaits.is_some());
        let told = commit.error.unwrap().to_string();
        assert!(told.ends_with("this ping was not recorded"), "{told}");
        let text = std::fs::read_to_string(moved.join("log")).unwrap();
        assert_eq!(text.lines().count(), 2);
        let counts = journal.metrics();
        assert_eq!((counts.pings.get(), counts.refused.get()), (2, 2));
    }

    #[test]
    fn a_call_that_hangs_holds_up_nobody_for_long() {
        let dir = tempfile::tempdir().unwrap();
        let (journal, closer) = open(&dir, None);
        let hanging = journal.0.state.lock();
        let begun = Instant::now();
        let _call = journal.0.health.file.begin(begun);
        assert_eq!(journal.check(), Ok(()));
        let commit = append(&journal, Second::now(), &["a", "b"]);
        assert!(begun.elapsed() < 2 * HANG, "{:?}", begun.elapsed());
        let told = commit.error.unwrap().to_string();
        assert!(commit.recorded == 0 && told.contains("has not returned"), "{told}");
        assert!(journal.check().unwrap_err().contains("has not returned"));
        assert_eq!(journal.metrics().refused.get(), 2);

        // What comes now is not held up at all.
        let later = Instant::now();
        assert_eq!(append(&journal, Second::now(), &["c"]).recorded, 0);
        journal.reopen();
        assert!(closer.close(later).is_err());
        assert!(later.elapsed() < HANG, "{:?}", later.elapsed());
        drop(hanging);
    }
}
