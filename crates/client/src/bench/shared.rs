//! State shared by the connections of one thread.

use std::cell::{Cell, RefCell, RefMut};
use std::future::poll_fn;
use std::ops::Range;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use hdrhistogram::CreationError;
use tokio::sync::Notify;

use super::figures::Figures;
use super::progress::Counters;
use super::schedule::Schedule;
use crate::net::route::Route;
use crate::net::source::Sources;

/// Largest read, in bytes.
const INPUT: usize = 64 * 1024;

/// The plan of the load, the same for all threads.
pub(crate) struct Plan {
    pub(crate) route: Route,
    /// The text of each ping.
    pub(crate) text: Vec<u8>,
    pub(crate) connections: u64,
    pub(crate) in_flight: u32,
    pub(crate) schedule: Option<Schedule>,
    /// Time that a reply may take.
    pub(crate) patience: Duration,
    pub(crate) sources: Sources,
    /// Reopens lost connections.
    pub(crate) reconnects: bool,
}

/// The phase of the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Connections are being opened.
    Opening,
    /// Pings are sent.
    Running,
    /// No more pings are sent; outstanding replies are received.
    Draining,
    /// Connections do the closing handshake.
    Closing,
    /// Remaining connections are dropped.
    Over,
}

/// The phase, and the start time of the pings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunState {
    pub(crate) phase: Phase,
    pub(crate) start: Option<Instant>,
}

/// State shared by the connections of a thread.
pub(crate) struct Shared {
    pub(crate) plan: Arc<Plan>,
    state: Cell<RunState>,
    live: Cell<u64>,
    /// Notifies that a connection ended.
    pub(crate) gone: Notify,
    work: RefCell<Work>,
}

/// Buffers and counters that one connection at a time borrows.
pub(crate) struct Work {
    pub(crate) input: Box<[u8]>,
    pub(crate) output: Vec<u8>,
    pub(crate) figures: Figures,
    pub(crate) counters: Arc<Counters>,
    /// Index of the first connection of this thread.
    first: u64,
    wakers: Vec<Option<Waker>>,
}

impl Work {
    /// Stores the waker of a connection.
    pub(crate) fn register(&mut self, number: u64, waker: &Waker) {
        if let Some(known) = self.wakers.get_mut((number - self.first) as usize)
            && !known.as_ref().is_some_and(|known| known.will_wake(waker))
        {
            *known = Some(waker.clone());
        }
    }

    /// Wakes a connection if it belongs to this thread.
    pub(crate) fn wake(&self, number: u64) {
        let waker = number.checked_sub(self.first).and_then(|slot| self.wakers.get(slot as usize));
        if let Some(Some(waker)) = waker {
            waker.wake_by_ref();
        }
    }
}

impl Shared {
    /// State for the connections with these indexes.
    ///
    /// # Errors
    /// If the histogram cannot be created. Its fixed bounds rule that out.
    pub(crate) fn new(
        plan: Arc<Plan>,
        numbers: &Range<u64>,
        counters: Arc<Counters>,
    ) -> Result<Self, CreationError> {
        let work = Work {
            input: vec![0; INPUT].into(),
            output: Vec::new(),
            figures: Figures::new()?,
            counters,
            first: numbers.start,
            wakers: numbers.clone().map(|_| None).collect(),
        };
        Ok(Self {
            plan,
            state: Cell::new(RunState { phase: Phase::Opening, start: None }),
            live: Cell::new(0),
            gone: Notify::new(),
            work: RefCell::new(work),
        })
    }

    pub(crate) fn work(&self) -> RefMut<'_, Work> {
        self.work.borrow_mut()
    }

    pub(crate) fn phase(&self) -> Phase {
        self.state.get().phase
    }

    /// Waits until the phase sends no more pings. [`Self::enter`] wakes the waiting task.
    pub(crate) async fn no_more_pings(&self) {
        poll_fn(|_| match self.phase() {
            Phase::Opening | Phase::Running => Poll::Pending,
            Phase::Draining | Phase::Closing | Phase::Over => Poll::Ready(()),
        })
        .await;
    }

    /// Nanoseconds since the pings began.
    pub(crate) fn now(&self) -> u64 {
        self.state.get().start.map_or(0, |start| nanos(start.elapsed()))
    }

    /// Nanoseconds that a reply may take.
    pub(crate) fn patience(&self) -> u64 {
        nanos(self.plan.patience)
    }

    /// Begins a phase.
    pub(crate) fn enter(&self, state: RunState) {
        self.state.set(state);
        self.work().wakers.iter().flatten().for_each(Waker::wake_by_ref);
    }

    pub(crate) fn joined(&self) {
        self.live.set(self.live.get() + 1);
    }

    pub(crate) fn left(&self) {
        self.live.set(self.live.get() - 1);
        self.gone.notify_one();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.live.get() == 0
    }
}

pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
