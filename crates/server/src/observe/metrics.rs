//! The counts of the server. Each worker counts for itself, so that counting costs a ping next to
//! nothing; sums are made on request.

use std::sync::Arc;
use std::time::Instant;

use super::{ClientCounts, Clients, Errors, clients};
use crate::journal::Journal;
use crate::occupancy::Occupancy;
use crate::tally::Tally;

/// The counts of a server.
#[derive(Debug)]
pub struct Metrics {
    /// When the server started.
    pub started: Instant,
    /// How full the server is.
    pub occupancy: Arc<Occupancy>,
    /// Errors by cause.
    pub errors: Errors,
    /// The paths of the services, by their numbers.
    pub(super) services: Vec<&'static str>,
    workers: Vec<Arc<WorkerMetrics>>,
    pub(super) journal: Journal,
}

/// The counts of a worker.
#[derive(Debug)]
pub struct WorkerMetrics {
    /// Indexed by the numbers of the services.
    services: Box<[ServiceMetrics]>,
    /// Bytes from clients, without those of the handshake.
    pub received_bytes: Tally,
    /// Bytes to clients, without those of the handshake.
    pub sent_bytes: Tally,
    /// Connections so far that agreed on compression.
    pub deflated_connections: Tally,
    /// Compressed messages from clients.
    pub received_deflated: Deflated,
    /// Compressed messages to clients.
    pub sent_deflated: Deflated,
    /// The clients that ping, by name.
    pub clients: Clients,
}

/// Bytes of compressed messages, in one direction.
#[derive(Debug, Default)]
pub struct Deflated {
    /// Bytes as they were sent.
    pub compressed: Tally,
    /// Bytes before compression, or after decompression.
    pub plain: Tally,
}

/// A connection that counts as open.
#[derive(Debug)]
pub struct OpenConnection {
    /// The number of its service.
    service: usize,
    counts: Arc<WorkerMetrics>,
}

/// The counts of a service.
#[derive(Debug, Default)]
pub struct ServiceMetrics {
    /// Connections at present.
    pub open: Tally,
    /// Connections so far, without health checks.
    pub opened: Tally,
    /// Messages from clients.
    pub messages: Tally,
}

impl Metrics {
    /// Counts of zero for this number of `workers`. `services` are the paths of the services, by their
    /// numbers.
    #[must_use]
    pub fn new(
        workers: usize,
        services: Vec<&'static str>,
        occupancy: Arc<Occupancy>,
        journal: Journal,
    ) -> Self {
        let started = Instant::now();
        let worker = || Arc::new(WorkerMetrics::new(started, services.len()));
        let workers = (0..workers).map(|_| worker()).collect();
        Self { started, occupancy, errors: Errors::default(), services, workers, journal }
    }

    /// The counts of each worker.
    #[must_use]
    pub fn workers(&self) -> &[Arc<WorkerMetrics>] {
        &self.workers
    }

    /// The sum of one count over all workers.
    pub fn sum(&self, tally: impl Fn(&WorkerMetrics) -> &Tally) -> u64 {
        self.workers.iter().map(|worker| tally(worker).get()).sum()
    }

    /// Pings in the log.
    #[must_use]
    pub fn pings(&self) -> u64 {
        self.journal.metrics().pings.get()
    }

    /// The clients of all workers by name, the one with the latest ping first.
    #[must_use]
    pub fn clients(&self) -> Vec<ClientCounts> {
        clients::merged(self.workers.iter().map(|worker| &worker.clients))
    }
}

impl WorkerMetrics {
    /// Counts of zero for this number of `services`; times count from `started`.
    #[must_use]
    pub fn new(started: Instant, services: usize) -> Self {
        Self {
            services: (0..services).map(|_| ServiceMetrics::default()).collect(),
            received_bytes: Tally::default(),
            sent_bytes: Tally::default(),
            deflated_connections: Tally::default(),
            received_deflated: Deflated::default(),
            sent_deflated: Deflated::default(),
            clients: Clients::new(started),
        }
    }

    /// The counts of the service with this number.
    #[must_use]
    pub fn service(&self, number: usize) -> &ServiceMetrics {
        &self.services[number]
    }
}

impl Deflated {
    /// Adds a message.
    pub fn add(&self, compressed: usize, plain: usize) {
        self.compressed.add(compressed as u64);
        self.plain.add(plain as u64);
    }
}

impl OpenConnection {
    /// Counts a connection to the service with this number, open until the result is dropped. A
    /// health check does not count among the connections so far, which alerts compare with the
    /// connections that were cut.
    #[must_use]
    pub fn new(service: usize, is_healthcheck: bool, counts: &Arc<WorkerMetrics>) -> Self {
        counts.service(service).open.add(1);
        counts.service(service).opened.add((!is_healthcheck).into());
        Self { service, counts: Arc::clone(counts) }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.counts.service(self.service).open.sub(1);
    }
}
