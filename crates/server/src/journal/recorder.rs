//! Group commit: the lines of one turn of a worker's event loop are appended in one write.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};

use proto::{Ping, line};
use tokio::sync::watch;
use tokio::task::unconstrained;

use super::clock::Second;
use super::sync::Progress;
use super::{Shared, SyncPolicy};

/// Size at which a batch is written before the turn is over, in bytes.
const FULL: usize = 256 * 1024;

/// Why a ping was not recorded.
pub type Unrecorded = Arc<str>;

/// Someone who has pings in a batch, and is told what became of them in two steps: all of a
/// batch first prepare their replies, so that these can then leave one right after the other.
pub trait Recorded {
    /// The pings are recorded, or not.
    fn settle(&self, outcome: &Result<(), Unrecorded>);

    /// The replies may leave.
    fn send(&self);
}

/// Those who have pings in one batch.
type Waiting = Vec<Rc<dyn Recorded>>;

/// Records the pings of one worker.
pub struct Recorder {
    shared: Arc<Shared>,
    batch: RefCell<Batch>,
    /// Batches that are written and wait for the disk, with the number of their append.
    unsynced: RefCell<VecDeque<(u64, Waiting)>>,
}

/// The batch that takes lines.
struct Batch {
    lines: Vec<u8>,
    count: usize,
    waiting: Waiting,
    /// The second on these lines.
    second: Second,
    committer: Waker,
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").finish_non_exhaustive()
    }
}

impl Recorder {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let batch = Batch {
            lines: Vec::new(),
            count: 0,
            waiting: Vec::new(),
            second: Second::now(),
            committer: Waker::noop().clone(),
        };
        Self { shared, batch: RefCell::new(batch), unsynced: RefCell::default() }
    }

    /// Adds the line of a ping to the batch. Its sender has to be named by [`Self::tell`] in the
    /// same turn.
    pub fn record(&self, ping: &Ping<'_>) {
        let mut batch = self.batch.borrow_mut();
        if batch.lines.is_empty() {
            batch.second.advance();
            // The committer goes behind the tasks that are ready by now: their pings join.
            batch.committer.wake_by_ref();
        }
        let Batch { lines, count, second, .. } = &mut *batch;
        line::append(lines, &second.stamp, ping);
        *count += 1;
    }

    /// Whether the batch should take no further line.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.batch.borrow().lines.len() >= FULL
    }

    /// Names someone to tell what becomes of the batch.
    pub fn tell(&self, who: Rc<dyn Recorded>) {
        self.batch.borrow_mut().waiting.push(who);
        if self.is_full() {
            self.commit();
        }
    }

    /// Commits a batch a turn. Never ends; belongs into a task of its own.
    pub async fn run(&self) {
        let mut progress = self.shared.progress.subscribe();
        // The replies of a turn count as the work of their connections, not of this task.
        let committing = unconstrained(poll_fn(|cx| {
            self.commit();
            self.batch.borrow_mut().committer.clone_from(cx.waker());
            Poll::<()>::Pending
        }));
        if self.shared.policy == SyncPolicy::Always {
            tokio::join!(committing, unconstrained(self.follow(&mut progress)));
        } else {
            committing.await;
        }
    }

    /// Settles what the disk holds by now.
    async fn follow(&self, progress: &mut watch::Receiver<Progress>) {
        while progress.changed().await.is_ok() {
            self.settle_synced();
        }
    }

    /// Appends the lines of the batch to the log, in one write, and settles them.
    pub fn commit(&self) {
        let mut batch = self.batch.borrow_mut();
        if batch.lines.is_empty() {
            return;
        }
        let second = batch.second;
        let count = mem::take(&mut batch.count);
        let outcome = self.shared.append(&mut batch.lines, count, second);
        batch.lines.clear();
        batch.lines.shrink_to(FULL);
        let mut waiting = mem::take(&mut batch.waiting);
        drop(batch);
        match outcome {
            Ok(number) if self.shared.policy == SyncPolicy::Always => {
                self.unsynced.borrow_mut().push_back((number, waiting));
                self.settle_synced();
            }
            outcome => {
                settle(&mut waiting, &outcome.map(|_| ()));
                self.batch.borrow_mut().waiting = waiting;
            }
        }
    }

    fn settle_synced(&self) {
        let Progress { synced, failed } = self.shared.progress.borrow().clone();
        let mut unsynced = self.unsynced.borrow_mut();
        while let Some((_, mut waiting)) = unsynced.pop_front_if(|(number, _)| *number <= synced) {
            settle(&mut waiting, &Ok(()));
        }
        if let Some(cause) = failed {
            let outcome = Err(cause);
            unsynced.drain(..).for_each(|(_, mut waiting)| settle(&mut waiting, &outcome));
        }
    }
}

fn settle(waiting: &mut Waiting, outcome: &Result<(), Unrecorded>) {
    waiting.iter().for_each(|one| one.settle(outcome));
    waiting.drain(..).for_each(|one| one.send());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Closer, Journal, Options};
    use tokio::sync::Notify;

    /// Notes what it is told.
    #[derive(Default)]
    struct Told {
        outcome: RefCell<Option<Result<(), Unrecorded>>>,
        sent: Notify,
    }

    impl Recorded for Told {
        fn settle(&self, outcome: &Result<(), Unrecorded>) {
            self.outcome.replace(Some(outcome.clone()));
        }

        fn send(&self) {
            self.sent.notify_one();
        }
    }

    fn journal(dir: &tempfile::TempDir, sync: SyncPolicy) -> (Journal, Closer) {
        let path = dir.path().join("server_logs.txt");
        Journal::open(&Options { path, sync, rotation: None }, std::io::sink()).unwrap()
    }

    fn ping(name: &str) -> Ping<'_> {
        Ping { client_name: name.into(), message: "Ping!".into() }
    }

    async fn records(sync: SyncPolicy) {
        let dir = tempfile::tempdir().unwrap();
        let (journal, _closer) = journal(&dir, sync);
        let recorder = journal.recorder();
        let pings = async {
            let both = ["a", "b"].map(|name| {
                let told = Rc::new(Told::default());
                recorder.record(&ping(name));
                recorder.tell(Rc::clone(&told) as _);
                told
            });
            assert_eq!(std::fs::read_to_string(journal.path()).unwrap(), "");
            for told in both {
                told.sent.notified().await;
                assert_eq!(told.outcome.take(), Some(Ok(())));
            }
            let text = std::fs::read_to_string(journal.path()).unwrap();
            assert_eq!(text.lines().count(), 2);
            assert!(text.contains("(\"a\")") && text.contains("(\"b\")"), "{text}");
        };
        tokio::select! { () = recorder.run() => unreachable!(), () = pings => {} }
    }

    #[tokio::test]
    async fn a_reply_may_leave_when_the_line_is_in_the_file() {
        for sync in [SyncPolicy::No, SyncPolicy::Everysec, SyncPolicy::Always] {
            records(sync).await;
        }
    }

    #[test]
    fn a_full_batch_is_written_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let (journal, _closer) = journal(&dir, SyncPolicy::No);
        let recorder = journal.recorder();
        let told = Rc::new(Told::default());
        let name = "x".repeat(FULL);
        recorder.record(&ping(&name));
        assert!(recorder.is_full());
        recorder.tell(Rc::clone(&told) as _);
        assert_eq!(told.outcome.take(), Some(Ok(())));
        assert!(!recorder.is_full());
    }
}
