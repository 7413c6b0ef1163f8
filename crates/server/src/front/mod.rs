//! The front: connections are accepted, bounded, and taken through TLS and HTTP to their upgrade;
//! plain requests are answered. All of it is asynchronous and runs in one thread, so that it takes
//! nothing from the workers. An upgraded connection is handed over to a worker, once.

mod admission;
pub mod handshake;
pub mod http;
pub mod listener;
mod maybe_tls;
pub mod page;
pub mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};
use tokio_rustls::TlsAcceptor;

use crate::observe::{Cause, Metrics};
use crate::worker::Worker;
use admission::Admission;
use handshake::Handshake;

/// Time between two checks, at the stop, whether all handshakes have ended.
const DRAIN_POLL: Duration = Duration::from_millis(5);

/// Accepts connections and takes each to its upgrade, for the workers.
#[derive(Clone, Debug)]
pub struct Front {
    handshake: Arc<Handshake>,
    admission: Admission,
    workers: Arc<[Worker]>,
    metrics: Arc<Metrics>,
    /// The most connections with their handshakes, before these have to make room.
    max_sockets: usize,
}

impl Front {
    /// A front for these workers.
    #[must_use]
    pub fn new(
        handshake: Handshake,
        workers: Vec<Worker>,
        metrics: Arc<Metrics>,
        max_sockets: usize,
    ) -> Self {
        Self {
            handshake: Arc::new(handshake),
            admission: Admission::default(),
            workers: workers.into(),
            metrics,
            max_sockets,
        }
    }

    /// The workers.
    #[must_use]
    pub fn workers(&self) -> &[Worker] {
        &self.workers
    }

    /// Accepts connections, for ever. With an `acceptor`, clients have to speak TLS.
    pub async fn serve(&self, listener: &TcpListener, acceptor: Option<&TlsAcceptor>) {
        let serve = async |stream, peer| self.admit(stream, acceptor.cloned(), peer).await;
        listener::accept(listener, &self.metrics.errors, serve).await;
    }

    /// Gives the handshakes under way the time `grace` to end, then ends them.
    pub async fn drain(&self, grace: Duration) {
        let deadline = Instant::now() + grace;
        while self.admission.open() > 0 && Instant::now() < deadline {
            sleep(DRAIN_POLL).await;
        }
        self.admission.abort_all();
    }

    /// Starts a handshake.
    async fn admit(&self, stream: TcpStream, acceptor: Option<TlsAcceptor>, peer: SocketAddr) {
        while self.admission.open() + self.metrics.occupancy.taken() >= self.max_sockets
            && self.admission.evict().await
        {
            self.metrics.errors.count(Cause::Evicted);
        }
        let at = Instant::now();
        self.admission.admit(peer.ip().to_canonical(), |ticket| {
            let handshake = Arc::clone(&self.handshake);
            let workers = Arc::clone(&self.workers);
            let task = tokio::spawn(async move {
                let Some(greeting) = handshake.greeting(&stream, peer, at).await else { return };
                ticket.speak();
                // Boxed, so that a client that says nothing takes little memory.
                let upgrade = Box::pin(handshake.perform(stream, greeting, acceptor, peer, at));
                let Some(arrival) = upgrade.await else { return };
                if let Some(worker) = workers.iter().min_by_key(|worker| worker.load()) {
                    worker.push(arrival);
                }
            });
            task.abort_handle()
        });
    }
}
