//! The observations of all connections, which the tasks of these share.

use std::cell::{Ref, RefCell};
use std::time::Duration;

use tokio::time::Instant;

use super::observed::Observed;

/// The observations of all connections.
#[derive(Debug)]
pub(super) struct Observations {
    start: Instant,
    connections: RefCell<Vec<Observed>>,
    /// Why connections could not be opened.
    failures: RefCell<Vec<String>>,
}

impl Observations {
    /// No observations yet, of a probe that starts now.
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
            connections: RefCell::default(),
            failures: RefCell::default(),
        }
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
    pub(super) fn connections(&self) -> Ref<'_, Vec<Observed>> {
        self.connections.borrow()
    }

    /// Records a new connection; returns its index.
    pub(super) fn add(&self, observed: Observed) -> usize {
        let mut connections = self.connections.borrow_mut();
        connections.push(observed);
        connections.len() - 1
    }

    /// Changes the observations of a connection.
    pub(super) fn update(&self, index: usize, change: impl FnOnce(&mut Observed)) {
        if let Some(observed) = self.connections.borrow_mut().get_mut(index) {
            change(observed);
        }
    }

    /// Records that a connection could not be opened.
    pub(super) fn failed(&self, cause: String) {
        self.failures.borrow_mut().push(cause);
    }

    /// Number of attempts to open a connection.
    pub(super) fn tried(&self) -> usize {
        self.connections().len() + self.failures.borrow().len()
    }

    /// Number of connections that could not be opened, and the cause of the last failure.
    pub(super) fn failures(&self) -> (usize, Option<String>) {
        let failures = self.failures.borrow();
        (failures.len(), failures.last().cloned())
    }
}
