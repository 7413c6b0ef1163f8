//! Group commit: the lines of one turn of a worker's event loop are appended in one write.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::mem;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use proto::{Ping, line};
use tokio::sync::watch;

use super::clock::Second;
use super::sync::Progress;
use super::{Shared, SyncPolicy};

/// Size at which a batch is written before the turn is over, in bytes.
const FULL: usize = 256 * 1024;

/// Why a ping was not recorded.
pub type Unrecorded = Arc<str>;

/// Records the pings of one worker.
#[derive(Debug)]
pub struct Recorder {
    shared: Arc<Shared>,
    open: RefCell<Open>,
    /// Batches that are written and wait for the disk, with the number of their append.
    unsynced: RefCell<VecDeque<(u64, Rc<Batch>)>>,
}

/// The batch that takes lines.
#[derive(Debug)]
struct Open {
    lines: Vec<u8>,
    batch: Rc<Batch>,
    /// The second on these lines.
    second: Second,
    committer: Option<Waker>,
}

/// What the connections know of their batch.
#[derive(Debug, Default)]
struct Batch {
    outcome: OnceCell<Result<(), Unrecorded>>,
    waiting: RefCell<Vec<Waker>>,
    closed: Cell<bool>,
}

impl Batch {
    fn settle(&self, outcome: Result<(), Unrecorded>) {
        // A batch is settled once, by whoever takes it out of its place.
        let _ = self.outcome.set(outcome);
        self.waiting.take().into_iter().for_each(Waker::wake);
    }
}

impl Recorder {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let open = Open {
            lines: Vec::new(),
            batch: Rc::default(),
            second: Second::now(),
            committer: None,
        };
        Self { shared, open: RefCell::new(open), unsynced: RefCell::default() }
    }

    /// Adds the line of a ping to the batch. The ticket tells when it is recorded.
    pub fn record(&self, ping: &Ping<'_>) -> Ticket {
        let mut open = self.open.borrow_mut();
        if open.lines.is_empty() {
            open.second.advance();
            // The committer goes behind the tasks that are ready by now: their pings join.
            if let Some(committer) = &open.committer {
                committer.wake_by_ref();
            }
        }
        let Open { lines, second, .. } = &mut *open;
        line::append(lines, &second.stamp, ping);
        let ticket = Ticket { batch: Rc::clone(&open.batch), registered: None };
        if open.lines.len() >= FULL {
            drop(open);
            self.commit();
        }
        ticket
    }

    /// Commits a batch a turn. Never ends; belongs into a task of its own.
    pub async fn run(&self) {
        let mut progress = self.shared.progress.subscribe();
        let committing = poll_fn(|cx| {
            self.commit();
            self.open.borrow_mut().committer = Some(cx.waker().clone());
            Poll::<()>::Pending
        });
        if self.shared.policy == SyncPolicy::Always {
            tokio::join!(committing, self.follow(&mut progress));
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

    fn commit(&self) {
        let mut open = self.open.borrow_mut();
        if open.lines.is_empty() {
            return;
        }
        let batch = mem::take(&mut open.batch);
        batch.closed.set(true);
        let second = open.second;
        let outcome = self.shared.append(&mut open.lines, second);
        open.lines.clear();
        open.lines.shrink_to(FULL);
        drop(open);
        match outcome {
            Ok(number) if self.shared.policy == SyncPolicy::Always => {
                self.unsynced.borrow_mut().push_back((number, batch));
                self.settle_synced();
            }
            outcome => batch.settle(outcome.map(|_| ())),
        }
    }

    fn settle_synced(&self) {
        let Progress { synced, failed } = self.shared.progress.borrow().clone();
        let mut unsynced = self.unsynced.borrow_mut();
        while let Some((_, batch)) = unsynced.pop_front_if(|(number, _)| *number <= synced) {
            batch.settle(Ok(()));
        }
        if let Some(cause) = failed {
            unsynced.drain(..).for_each(|(_, batch)| batch.settle(Err(Arc::clone(&cause))));
        }
    }
}

/// Resolves when the batch that holds a ping's line is recorded, or could not be.
#[derive(Debug)]
pub struct Ticket {
    batch: Rc<Batch>,
    registered: Option<Waker>,
}

impl Ticket {
    /// Whether the batch takes no further line.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.batch.closed.get()
    }
}

impl Future for Ticket {
    type Output = Result<(), Unrecorded>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(outcome) = self.batch.outcome.get() {
            return Poll::Ready(outcome.clone());
        }
        if !self.registered.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.batch.waiting.borrow_mut().push(cx.waker().clone());
            self.registered = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Closer, Journal, Options};

    fn journal(dir: &tempfile::TempDir, sync: SyncPolicy) -> (Journal, Closer) {
        let path = dir.path().join("server_logs.txt");
        Journal::open(&Options { path, sync, rotation: None }).unwrap()
    }

    fn ping(name: &str) -> Ping<'_> {
        Ping { client_name: name.into(), message: "Ping!".into() }
    }

    async fn records(sync: SyncPolicy) {
        let dir = tempfile::tempdir().unwrap();
        let (journal, _closer) = journal(&dir, sync);
        let recorder = journal.recorder();
        let pings = async {
            let tickets = ["a", "b"].map(|name| recorder.record(&ping(name)));
            assert_eq!(std::fs::read_to_string(journal.path()).unwrap(), "");
            for ticket in tickets {
                ticket.await.unwrap();
            }
            let text = std::fs::read_to_string(journal.path()).unwrap();
            assert_eq!(text.lines().count(), 2);
            assert!(text.contains("(\"a\")") && text.contains("(\"b\")"), "{text}");
        };
        tokio::select! { () = recorder.run() => unreachable!(), () = pings => {} }
    }

    #[tokio::test]
    async fn a_ticket_resolves_when_its_line_is_in_the_file() {
        for sync in [SyncPolicy::No, SyncPolicy::Everysec, SyncPolicy::Always] {
            records(sync).await;
        }
    }

    #[tokio::test]
    async fn a_full_batch_is_written_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let (journal, _closer) = journal(&dir, SyncPolicy::No);
        let recorder = journal.recorder();
        let name = "x".repeat(FULL / 2);
        assert!(!recorder.record(&ping(&name)).is_closed());
        let ticket = recorder.record(&ping(&name));
        assert!(ticket.is_closed());
        ticket.await.unwrap();
        assert!(recorder.open.borrow().lines.is_empty());
    }
}
