//! The observations of all connections, which the tasks of these share.

use std::cell::{Ref, RefCell};
use std::time::Duration;

use tokio::time::Instant;

use super::observed::Observed;

/// The observations of all connections.
#[derive(Debug)]
pub(super) struct Observations {
    start: Instant,
    lanes: RefCell<Vec<Observed>>,
    /// Why connections could not be opened.
    failures: RefCell<Vec<String>>,
}

impl Observations {
    /// No observations yet, of a probe that starts now.
    pub(super) fn new() -> Self {
        Self { start: Instant::now(), lanes: RefCell::default(), failures: RefCell::default() }
    }

    /// The time from the start of the probe.
    pub(super) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// The instant at this time from the start of the probe.
    pub(super) fn at(&self, time: Duration) -> Instant {
        self.start + time
    }

    /// The connections that were opened.
    pub(super) fn lanes(&self) -> Ref<'_, Vec<Observed>> {
        self.lanes.borrow()
    }

    /// Records a new connection; returns its number.
    pub(super) fn add(&self, lane: Observed) -> usize {
        let mut lanes = self.lanes.borrow_mut();
        lanes.push(lane);
        lanes.len() - 1
    }

    /// Changes the observations of a connection.
    pub(super) fn update(&self, lane: usize, change: impl FnOnce(&mut Observed)) {
        if let Some(lane) = self.lanes.borrow_mut().get_mut(lane) {
            change(lane);
        }
    }

    /// Records that a connection could not be opened.
    pub(super) fn failed(&self, cause: String) {
        self.failures.borrow_mut().push(cause);
    }

    /// Number of connections that were opened or could not be.
    pub(super) fn tried(&self) -> usize {
        self.lanes().len() + self.failures.borrow().len()
    }

    /// Number of connections that could not be opened, and why not the last one.
    pub(super) fn failures(&self) -> (usize, Option<String>) {
        let failures = self.failures.borrow();
        (failures.len(), failures.last().cloned())
    }
}
