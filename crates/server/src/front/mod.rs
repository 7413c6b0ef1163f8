//! The front: connections are accepted, bounded, and taken through TLS and HTTP to their upgrade;
//! plain requests are answered. All of it is asynchronous and runs in one thread, so that it takes
//! nothing from the workers. An upgraded connection is handed over to a worker, once.

mod core_yield;
pub mod handshaker;
mod handshakes;
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
use handshaker::Handshaker;
use handshakes::Handshakes;

/// Time between two checks, at the stop, whether all handshakes have ended.
const DRAIN_POLL: Duration = Duration::from_millis(5);

/// Accepts connections and takes each to its upgrade, for the workers.
#[derive(Clone, Debug)]
pub struct Front {
    handshaker: Arc<Handshaker>,
    handshakes: Handshakes,
    workers: Arc<[Worker]>,
    metrics: Arc<Metrics>,
    /// The most connections with their handshakes, before these have to make room.
    max_sockets: usize,
}

impl Front {
    /// A front for these workers.
    #[must_use]
    pub fn new(
        handshaker: Handshaker,
        workers: Vec<Worker>,
        metrics: Arc<Metrics>,
        max_sockets: usize,
    ) -> Self {
        Self {
            handshaker: Arc::new(handshaker),
            handshakes: Handshakes::default(),
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
        let serve =
            async |stream, peer| self.start_handshake(stream, acceptor.cloned(), peer).await;
        listener::accept(listener, &self.metrics.errors, serve).await;
    }

    /// Gives the handshakes under way the time `grace` to end, then ends them.
    pub async fn drain(&self, grace: Duration) {
        let deadline = Instant::now() + grace;
        while self.handshakes.open() > 0 && Instant::now() < deadline {
            sleep(DRAIN_POLL).await;
        }
        self.handshakes.abort_all();
    }

    /// Starts a handshake. If there are too many sockets, evicts others first.
    async fn start_handshake(
        &self,
        stream: TcpStream,
        acceptor: Option<TlsAcceptor>,
        peer: SocketAddr,
    ) {
        while self.handshakes.open() + self.metrics.occupancy.taken() >= self.max_sockets
            && self.handshakes.evict().await
        {
            self.metrics.errors.count(Cause::Evicted);
        }
        let at = Instant::now();
        self.handshakes.spawn(peer.ip(), |ticket| {
            let handshaker = Arc::clone(&self.handshaker);
            let workers = Arc::clone(&self.workers);
            let task = tokio::spawn(async move {
                let Some(first_byte) = handshaker.first_byte(&stream, peer, at).await else {
                    return;
                };
                ticket.note_first_byte();
                // Boxed, so that a silent client takes little memory.
                let upgrade = Box::pin(handshaker.perform(stream, first_byte, acceptor, peer, at));
                let Some(arrival) = upgrade.await else { return };
                if let Some(worker) = workers.iter().min_by_key(|worker| worker.load()) {
                    worker.push(arrival);
                }
            });
            task.abort_handle()
        });
    }
}
