//! Group commit: the lines of one turn of a worker's event loop are written together.

use std::fmt;
use std::mem;
use std::sync::Arc;

use proto::{Ping, Stamp, line};

use super::Shared;
use super::clock::Second;

/// Size at which a batch is committed before the turn is over, in bytes.
const FULL_BATCH: usize = 256 * 1024;

/// Why a ping was not recorded. Its `Display` is for the sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unrecorded {
    /// The line is not in the file.
    NotWritten(Arc<str>),
    /// The line is in the file, but the disk may not hold it (`LOG_SYNC=always`).
    NotSynced(Arc<str>),
}

impl fmt::Display for Unrecorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotWritten(cause) => write!(f, "{cause}; this ping was not recorded"),
            Self::NotSynced(cause) => write!(f, "{cause}; this ping may not be recorded"),
        }
    }
}

/// The result of a commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    /// How many pings of the batch, from its first on, are in the file.
    pub recorded: usize,
    /// The recorded pings may be acknowledged once [`Synced::number`] has come to this number; at once
    /// if `None`.
    pub sync_number: Option<u64>,
    /// Why the other pings are not in the file; `None` if all pings are.
    pub error: Option<Unrecorded>,
}

/// How far the disk has come (`LOG_SYNC=always`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synced {
    /// The disk holds every batch up to this number.
    pub number: u64,
    /// Why the disk will hold no further batch.
    pub failed: Option<Unrecorded>,
}

/// Records the pings of one worker.
pub struct Recorder {
    shared: Arc<Shared>,
    lines: Vec<u8>,
    /// The number of `lines`.
    count: usize,
    /// The second in the stamps of `lines`.
    second: Second,
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("count", &self.count).finish_non_exhaustive()
    }
}

impl Recorder {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, lines: Vec::new(), count: 0, second: Second::now() }
    }

    /// Adds the line of a ping to the batch. Returns the line without its stamp.
    pub fn record(&mut self, ping: &Ping<'_>) -> &[u8] {
        self.begin_line();
        let start = self.lines.len() + Stamp::LEN;
        line::append(&mut self.lines, &self.second.stamp, ping);
        &self.lines[start..]
    }

    /// Adds a ping again: `line` is what [`Self::record`] has returned.
    #[inline]
    pub fn record_again(&mut self, line: &[u8]) {
        self.begin_line();
        self.lines.reserve(Stamp::LEN + line.len());
        self.lines.extend_from_slice(self.second.stamp.as_bytes());
        self.lines.extend_from_slice(line);
    }

    fn begin_line(&mut self) {
        if self.lines.is_empty() {
            self.second.advance();
        }
        self.count += 1;
    }

    /// The number of pings in the batch.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Whether the batch should take no further line.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.lines.len() >= FULL_BATCH
    }

    /// Hands the batch to the operating system, as a rule in one write, and begins a new batch.
    #[must_use]
    pub fn commit(&mut self) -> Commit {
        if self.lines.is_empty() {
            return Commit::default();
        }
        let count = mem::take(&mut self.count);
        let commit = self.shared.append(&mut self.lines, count, self.second);
        self.lines.clear();
        self.lines.shrink_to(FULL_BATCH);
        commit
    }

    /// How far the disk has come. Costs two atomic loads.
    #[must_use]
    pub fn synced(&self) -> Synced {
        // Nothing is synced after a failure, so the number that is read after the failure is final.
        let failed = self.shared.health.failed().cloned().map(Unrecorded::NotSynced);
        Synced { number: self.shared.progress.synced(), failed }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;
    use crate::journal::{Closer, Journal, Options, SyncPolicy};

    fn journal(dir: &tempfile::TempDir, sync: SyncPolicy) -> (Journal, Closer) {
        let path = dir.path().join("server_logs.txt");
        Journal::open(&Options { path, sync, rotation: None }, std::io::sink()).unwrap()
    }

    fn ping(name: &str) -> Ping<'_> {
        Ping { client_name: name.into(), message: "Ping!".into() }
    }

    #[test]
    fn a_commit_puts_the_lines_of_a_batch_into_the_file() {
        for sync in [SyncPolicy::No, SyncPolicy::Everysec, SyncPolicy::Always] {
            let dir = tempfile::tempdir().unwrap();
            let (journal, _closer) = journal(&dir, sync);
            let (wake, woken) = channel();
            let mut recorder = journal.recorder(move || wake.send(()).unwrap_or_default());
            recorder.record(&ping("a"));
            recorder.record(&ping("b"));
            assert_eq!(recorder.count(), 2);
            assert_eq!(std::fs::read_to_string(journal.path()).unwrap(), "");
            let Commit { recorded, sync_number, error } = recorder.commit();
            assert_eq!((recorded, error), (2, None));
            assert_eq!(sync_number.is_some(), sync == SyncPolicy::Always);
            if let Some(number) = sync_number {
                while recorder.synced() != (Synced { number, failed: None }) {
                    woken.recv().unwrap();
                }
            }
            let text = std::fs::read_to_string(journal.path()).unwrap();
            assert_eq!(text.lines().count(), 2);
            assert!(text.contains("(\"a\")") && text.contains("(\"b\")"), "{text}");
            assert_eq!(recorder.commit(), Commit::default());
        }
    }

    #[test]
    fn a_batch_is_full_until_it_is_committed() {
        let dir = tempfile::tempdir().unwrap();
        let (journal, _closer) = journal(&dir, SyncPolicy::No);
        let mut recorder = journal.recorder(|| ());
        recorder.record(&ping(&"x".repeat(FULL_BATCH)));
        assert!(recorder.is_full());
        assert_eq!(recorder.commit().recorded, 1);
        assert!(!recorder.is_full());
    }
}
