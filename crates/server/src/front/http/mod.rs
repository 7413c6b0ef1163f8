//! HTTP/1.1 on the port of the services: plain requests are answered, WebSocket upgrades accepted.

mod capture;
mod forwarded;
mod headers;
mod origin;
mod reply;
mod route;
mod upgrade;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::{OnUpgrade, Parts};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use proto::deflate::Params;
use proto::limits::HANDSHAKE_TIMEOUT;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};
use tracing::debug;

use crate::observe::{Cause, Errors, Health, Metrics};
use crate::occupancy::Place;
use crate::peer::Peer;
use crate::service::probe::{Opened, Opening};
use crate::service::{self, Service};
use crate::stream::PolledStream;
use crate::throttle::{Throttle, warn_throttled};
use crate::worker::Arrival;

use capture::Captured;
use reply::Reply;
use upgrade::Agreed;

pub use forwarded::Proxies;
pub use origin::Origins;

/// Largest head of a request, in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// Answers HTTP requests.
#[derive(Debug)]
pub struct Http {
    /// The state behind `/healthz`.
    pub health: Health,
    /// The metrics of the server.
    pub metrics: Arc<Metrics>,
    /// The state of the services.
    pub services: Arc<service::State>,
    /// The service at `/` (`DEFAULT_SERVICE`).
    pub default_service: Service,
    /// Whether messages are compressed for clients that offer it (`COMPRESSION`).
    pub compression: bool,
    /// Which pages may connect (`ALLOWED_ORIGINS`); all if `None`.
    pub origins: Option<Origins>,
    /// The proxies whose `X-Forwarded-For` is trusted (`TRUSTED_PROXIES`).
    pub proxies: Proxies,
    /// The address that the server listens at, which is also where its health check comes from.
    pub own: IpAddr,
    /// Warnings about requests that were refused.
    pub refused_requests: Throttle,
    /// Warnings about pages that were refused.
    pub refused_origins: Throttle,
}

/// A stream that was upgraded to WebSocket.
#[derive(Debug)]
pub struct Upgrade<S> {
    /// The stream; its next bytes follow `read_buf`.
    pub stream: S,
    /// Bytes that arrived after the request, in the same reads.
    pub read_buf: Vec<u8>,
    /// The accepted request.
    pub request: UpgradeRequest,
}

/// A request to upgrade that was accepted.
#[derive(Debug)]
pub struct UpgradeRequest {
    service: Service,
    deflate: Option<Params>,
    peer: Peer,
    place: Place,
    is_healthcheck: bool,
    /// The agreed subprotocol and extensions, if the service shows them.
    agreed: Option<Agreed>,
    /// The record of a connection of `/probe`; set after the reply, when the head of the request is
    /// taken out of the stream.
    probe: Option<Box<Opened>>,
}

impl UpgradeRequest {
    /// The connection, as a worker takes it.
    pub(super) fn arrival(self, stream: Box<dyn PolledStream>, read_buf: Vec<u8>) -> Arrival {
        let Self { service, deflate, peer, place, is_healthcheck, probe, .. } = self;
        Arrival { stream, read_buf, service, deflate, peer, place, is_healthcheck, probe }
    }
}

impl Http {
    /// Answers the one request that a stream may carry, until `deadline`; `is_secure` tells whether
    /// it speaks TLS. Returns the stream if it was upgraded.
    pub async fn serve<S>(
        &self,
        stream: S,
        peer: SocketAddr,
        is_secure: bool,
        deadline: Instant,
    ) -> Option<Upgrade<S>>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let accepted = Mutex::new(None);
        let stream = Captured::new(stream, self.captured_path());
        let exchange = exchange(stream, |mut request| match self.answer(&request, peer) {
            Ok((reply, upgrade)) => {
                let accept = (hyper::upgrade::on(&mut request), upgrade);
                *accepted.lock() = Some(accept);
                reply
            }
            Err(reply) => *reply,
        });
        match timeout_at(deadline, exchange).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                if error.is_parse() {
                    self.errors().count(Cause::BadRequest);
                }
                debug!(%peer, "request failed: {error}");
            }
            Err(_) => self.warn_late(peer),
        }
        let (upgrade, mut request): (OnUpgrade, UpgradeRequest) = accepted.into_inner()?;
        let upgraded = upgrade.await.ok()?;
        let parts: Parts<TokioIo<Captured<S>>> = upgraded.downcast().ok()?;
        // A copy: hyper's buffer keeps the memory of the whole head.
        let read_buf = parts.read_buf.to_vec();
        let (stream, head) = parts.io.into_inner().into_parts();
        request.probe = self.open_probe(&request, &head, peer, is_secure);
        Some(Upgrade { stream, read_buf, request })
    }

    /// The beginning of the paths of requests that are kept as they arrived.
    fn captured_path(&self) -> Option<&'static str> {
        self.services.probes.as_ref().map(|_| capture::wanted(self.default_service.is_probe()))
    }

    /// Records a connection of `/probe` and makes its first message.
    fn open_probe(
        &self,
        request: &UpgradeRequest,
        head: &[u8],
        peer: SocketAddr,
        is_secure: bool,
    ) -> Option<Box<Opened>> {
        let (agreed, probes) = request.agreed.as_ref().zip(self.services.probes.as_ref())?;
        let Agreed { subprotocol, extensions } = agreed;
        let (subprotocol, extensions) = (subprotocol.as_deref(), extensions.as_deref());
        let opening = Opening { head, peer, is_secure, subprotocol, extensions };
        Some(Box::new(probes.open(&opening)))
    }

    /// The error counters.
    pub(super) fn errors(&self) -> &Errors {
        &self.metrics.errors
    }

    /// Warns of a handshake that was not finished in time.
    pub(super) fn warn_late(&self, peer: SocketAddr) {
        self.errors().count(Cause::HandshakeTimeout);
        warn_throttled!(self.refused_requests, %peer, "handshake not finished within {HANDSHAKE_TIMEOUT:?}");
    }
}

/// Reads one request, and sends the reply that `answer` makes.
async fn exchange<S>(
    stream: S,
    answer: impl Fn(Request<Incoming>) -> Reply,
) -> Result<(), hyper::Error>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let answer = service_fn(|request| {
        std::future::ready(Ok::<_, std::convert::Infallible>(reply::body(answer(request))))
    });
    http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .half_close(true)
        .serve_connection(TokioIo::new(stream), answer)
        .with_upgrades()
        .await
}
