//! Group commit: the lines of one turn of a worker's event loop are appended in one write.

use std::fmt;
use std::future::pending;
use std::mem;
use std::sync::Arc;

use proto::{Ping, line};
use tokio::sync::watch;

use super::clock::Second;
use super::sync::Progress;
use super::{Shared, SyncPolicy};

/// Size at which a batch should be committed before the turn is over, in bytes.
const FULL: usize = 256 * 1024;

/// Why a ping was not recorded.
pub type Unrecorded = Arc<str>;

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Committed {
    /// Its pings are recorded.
    Recorded,
    /// They will be when [`Synced::state`] has come to this number.
    Written(u64),
}

/// Records the pings of one worker.
pub struct Recorder {
    shared: Arc<Shared>,
    lines: Vec<u8>,
    /// How many lines these are.
    count: usize,
    /// The second on them.
    second: Second,
}

/// Knows how far the disk has come (`LOG_SYNC=always`).
#[derive(Clone, Debug)]
pub struct Synced(watch::Receiver<Progress>);

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("count", &self.count).finish_non_exhaustive()
    }
}

impl Recorder {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, lines: Vec::new(), count: 0, second: Second::now() }
    }

    /// Adds the line of a ping to the batch.
    pub fn record(&mut self, ping: &Ping<'_>) {
        if self.lines.is_empty() {
            self.second.advance();
        }
        line::append(&mut self.lines, &self.second.stamp, ping);
        self.count += 1;
    }

    /// Whether the batch should take no further line.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.lines.len() >= FULL
    }

    /// Hands the batch to the operating system, in one write as a rule, and begins a new one.
    ///
    /// # Errors
    /// When its pings are not recorded.
    pub fn commit(&mut self) -> Result<Committed, Unrecorded> {
        if self.lines.is_empty() {
            return Ok(Committed::Recorded);
        }
        let count = mem::take(&mut self.count);
        let appended = self.shared.append(&mut self.lines, count, self.second);
        self.lines.clear();
        self.lines.shrink_to(FULL);
        Ok(match appended? {
            number if self.shared.policy == SyncPolicy::Always => Committed::Written(number),
            _ => Committed::Recorded,
        })
    }

    /// The number up to which all batches are on the disk, and why no later one will be.
    #[must_use]
    pub fn synced(&self) -> (u64, Option<Unrecorded>) {
        let Progress { synced, failed } = self.shared.progress.borrow().clone();
        (synced, failed)
    }
}

impl Synced {
    /// Waits until the disk has come further, or failed.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            // The log is gone, and nothing more will come.
            pending::<()>().await;
        }
    }

    /// The number up to which all batches are on the disk, and why no later one will be.
    #[must_use]
    pub fn state(&self) -> (u64, Option<Unrecorded>) {
        let Progress { synced, failed } = self.0.borrow().clone();
        (synced, failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Closer, Journal, Options};

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
            let mut recorder = journal.recorder();
            recorder.record(&ping("a"));
            recorder.record(&ping("b"));
            assert_eq!(std::fs::read_to_string(journal.path()).unwrap(), "");
            match recorder.commit().unwrap() {
                Committed::Recorded => assert!(sync != SyncPolicy::Always),
                Committed::Written(number) => {
                    assert!(sync == SyncPolicy::Always);
                    while recorder.synced() != (number, None) {
                        std::thread::yield_now();
                    }
                }
            }
            let text = std::fs::read_to_string(journal.path()).unwrap();
            assert_eq!(text.lines().count(), 2);
            assert!(text.contains("(\"a\")") && text.contains("(\"b\")"), "{text}");
            assert_eq!(recorder.commit(), Ok(Committed::Recorded));
        }
    }

    #[test]
    fn a_batch_is_full_until_it_is_committed() {
        let dir = tempfile::tempdir().unwrap();
        let (journal, _closer) = journal(&dir, SyncPolicy::No);
        let mut recorder = journal.recorder();
        recorder.record(&ping(&"x".repeat(FULL)));
        assert!(recorder.is_full());
        recorder.commit().unwrap();
        assert!(!recorder.is_full());
    }
}
