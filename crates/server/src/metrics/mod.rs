//! What the server counts: each worker for itself, so that a ping pays next to nothing; summed
//! when someone asks.

mod clients;
mod errors;
mod text;

use std::sync::Arc;
use std::time::Instant;

use crate::journal::Journal;
use crate::service::Service;
use crate::tally::Tally;

pub use clients::{Client, Clients, Known};
pub use errors::{Cause, Errors};
pub use text::CONTENT_TYPE;

/// The counts of a server.
#[derive(Debug)]
pub struct Metrics {
    /// When it started.
    pub started: Instant,
    /// Most connections at a time (`MAX_CONNECTIONS`).
    pub max_connections: usize,
    /// What went wrong.
    pub errors: Errors,
    workers: Vec<Arc<WorkerMetrics>>,
    journal: Journal,
}

/// The counts of a worker.
#[derive(Debug)]
pub struct WorkerMetrics {
    /// By the number of the service.
    services: [ServiceMetrics; Service::COUNT],
    /// Bytes from clients, without those of the handshake.
    pub received_bytes: Tally,
    /// Bytes to clients, without those of the handshake.
    pub sent_bytes: Tally,
    /// Who pings.
    pub clients: Clients,
}

/// A connection that counts as open.
#[derive(Debug)]
pub struct OpenConnection {
    service: Service,
    counts: Arc<WorkerMetrics>,
}

/// The counts of a service.
#[derive(Debug, Default)]
pub struct ServiceMetrics {
    /// Connections at present.
    pub open: Tally,
    /// Connections so far.
    pub opened: Tally,
    /// Messages from clients.
    pub messages: Tally,
}

impl Metrics {
    /// Nothing counted yet, with `workers` to count.
    #[must_use]
    pub fn new(workers: usize, max_connections: usize, journal: Journal) -> Self {
        let started = Instant::now();
        let workers = (0..workers).map(|_| Arc::new(WorkerMetrics::new(started))).collect();
        Self { started, max_connections, errors: Errors::default(), workers, journal }
    }

    /// The counts of each worker.
    #[must_use]
    pub fn workers(&self) -> &[Arc<WorkerMetrics>] {
        &self.workers
    }

    /// The sum of something over all workers.
    pub fn sum(&self, tally: impl Fn(&WorkerMetrics) -> &Tally) -> u64 {
        self.workers.iter().map(|worker| tally(worker).get()).sum()
    }

    /// Pings in the log.
    #[must_use]
    pub fn pings(&self) -> u64 {
        self.journal.metrics().pings.get()
    }

    /// Who pings, over all workers, the one with the latest ping first.
    #[must_use]
    pub fn clients(&self) -> Vec<Known> {
        clients::merged(self.workers.iter().map(|worker| &worker.clients))
    }
}

impl WorkerMetrics {
    /// Nothing counted yet; times count from `started`.
    #[must_use]
    pub fn new(started: Instant) -> Self {
        Self {
            services: Default::default(),
            received_bytes: Tally::default(),
            sent_bytes: Tally::default(),
            clients: Clients::new(started),
        }
    }

    /// The counts of a service.
    #[must_use]
    pub fn of(&self, service: Service) -> &ServiceMetrics {
        &self.services[service.index()]
    }
}

impl OpenConnection {
    /// Counts a connection to a service, open as long as the result lives.
    #[must_use]
    pub fn of(service: Service, counts: &Arc<WorkerMetrics>) -> Self {
        counts.of(service).open.add(1);
        counts.of(service).opened.add(1);
        Self { service, counts: Arc::clone(counts) }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.counts.of(self.service).open.sub(1);
    }
}
