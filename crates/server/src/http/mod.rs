//! HTTP/1.1 on the port of the services: plain requests are answered, the others upgraded.

mod forwarded;
mod origin;
mod reply;

use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use proto::limits::HANDSHAKE_TIMEOUT;
use proto::path;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tracing::{debug, error};

use crate::health::Health;
use crate::healthcheck;
use crate::metrics::{Cause, Errors, Metrics};
use crate::service::Service;
use crate::throttle::{Throttle, warn_throttled};

use reply::Reply;

pub use forwarded::{NoProxies, Peer, Proxies};
pub use origin::{NoOrigins, Origins};

/// Largest head of a request, in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// What a handshake has to know of the server.
#[derive(Debug)]
pub struct Http {
    /// Whether the server can do its work.
    pub health: Health,
    /// What it counts.
    pub metrics: Arc<Metrics>,
    /// Which pages may connect; all if `None`.
    pub origins: Option<Origins>,
    /// Whose word on a client's address counts.
    pub proxies: Proxies,
    /// A permit for each connection that may be upgraded (`MAX_CONNECTIONS`).
    pub connections: Arc<Semaphore>,
    /// The address that the server listens at, from where it checks itself.
    pub own: IpAddr,
    /// Warnings about requests that were refused.
    pub refused_requests: Throttle,
    /// Warnings about pages that were refused.
    pub refused_origins: Throttle,
}

/// A stream that was upgraded to WebSocket.
#[derive(Debug)]
pub struct Upgrade<S> {
    /// The stream itself.
    pub stream: S,
    /// Bytes that arrived behind the request.
    pub early: Vec<u8>,
    /// What the client asked for.
    pub terms: Terms,
}

/// What an upgraded connection is there for.
#[derive(Debug)]
pub struct Terms {
    /// The service at the requested path.
    pub service: Service,
    /// Where the client is.
    pub peer: Peer,
    /// It counts as a connection as long as this lives.
    pub permit: OwnedSemaphorePermit,
    /// It is this program looking after itself, nothing to tell anyone about.
    pub is_healthcheck: bool,
}

impl Http {
    /// Answers the one request that a stream may carry, until `deadline`. Returns the stream if it
    /// was upgraded.
    pub async fn serve<S>(
        &self,
        stream: S,
        peer: SocketAddr,
        deadline: Instant,
    ) -> Option<Upgrade<S>>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let upgrade = Cell::new(None);
        let exchange = exchange(stream, |mut request| {
            let reply = self.answer(&request, peer).map(|(reply, terms)| {
                upgrade.set(Some((hyper::upgrade::on(&mut request), terms)));
                reply
            });
            reply.unwrap_or_else(|refusal| *refusal)
        });
        match timeout_at(deadline, exchange).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                if error.is_parse() {
                    self.errors().count(Cause::BadRequest);
                }
                debug!(%peer, "request failed: {error}");
            }
            Err(_) => self.tell_late(peer),
        }
        let (upgrade, terms): (OnUpgrade, Terms) = upgrade.into_inner()?;
        let parts = upgrade.await.ok().and_then(parts::<S>)?;
        Some(Upgrade { stream: parts.io.into_inner(), early: parts.read_buf.to_vec(), terms })
    }

    /// What went wrong so far.
    #[must_use]
    pub fn errors(&self) -> &Errors {
        &self.metrics.errors
    }

    /// Warns of a handshake that was not finished in time.
    pub fn tell_late(&self, peer: SocketAddr) {
        self.errors().count(Cause::HandshakeTimeout);
        warn_throttled!(self.refused_requests, %peer, "handshake not finished within {HANDSHAKE_TIMEOUT:?}");
    }

    /// The reply that upgrades the connection, or the one that does not.
    fn answer(
        &self,
        request: &Request<Incoming>,
        peer: SocketAddr,
    ) -> Result<(Reply, Terms), Box<Reply>> {
        let is_own = peer.ip().is_loopback() || peer.ip() == self.own;
        let is_healthcheck = is_own && healthcheck::sent(request.headers());
        let peer = self.proxies.client(peer, request.headers());
        let path = request.uri().path();
        match Service::at(path) {
            Some(service) if wants_websocket(request.headers()) => {
                let (reply, permit) = self.upgrade(request).map_err(|(cause, reply)| {
                    self.tell_refused(cause, &reply, peer);
                    reply
                })?;
                Ok((reply, Terms { service, peer, permit, is_healthcheck }))
            }
            service => Err(self.plain(request.method(), path, service).into()),
        }
    }

    /// The reply that upgrades the connection, or the one that refuses it and why.
    fn upgrade(
        &self,
        request: &Request<Incoming>,
    ) -> Result<(Reply, OwnedSemaphorePermit), (Cause, Box<Reply>)> {
        let headers = request.headers();
        if request.method() != Method::GET {
            return Err((Cause::BadRequest, reply::wrong_method(request.method()).into()));
        }
        let mut reply = create_response_with_body(request, || "".into()).map_err(|error| {
            (Cause::BadRequest, reply::bad_upgrade(headers, &error.to_string()).into())
        })?;
        if let Some(allowed) = &self.origins
            && let Some(origin) = allowed.refused(headers)
        {
            return Err((Cause::Origin, reply::wrong_origin(origin, allowed).into()));
        }
        if let Some(protocol) = first_protocol(headers) {
            reply.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
        }
        let permit = Arc::clone(&self.connections)
            .try_acquire_owned()
            .map_err(|_| (Cause::TooMany, reply::too_many(self.metrics.max_connections).into()))?;
        Ok((reply, permit))
    }

    fn tell_refused(&self, cause: Cause, reply: &Reply, peer: Peer) {
        self.errors().count(cause);
        let throttle =
            if cause == Cause::Origin { &self.refused_origins } else { &self.refused_requests };
        let status = reply.status().as_u16();
        warn_throttled!(throttle, %peer, status, "refused: {}", reply.body().trim_end());
    }

    /// The reply to a request that asks for no upgrade, at the path of `service` if it is one.
    fn plain(&self, method: &Method, path: &str, service: Option<Service>) -> Reply {
        if service.is_none() && !OWN_PATHS.contains(&path) {
            self.errors().count(Cause::NotFound);
            return reply::not_found(path);
        }
        if method != Method::GET && method != Method::HEAD {
            self.errors().count(Cause::BadRequest);
            return reply::wrong_method(method);
        }
        match path {
            path::HEALTH => self.report_health(),
            path::METRICS => self.report_metrics(),
            path::PING => reply::page(),
            _ => reply::not_an_upgrade(),
        }
    }

    fn report_health(&self) -> Reply {
        match self.health.check() {
            Ok(()) => reply::text(StatusCode::OK, "ok\n"),
            Err(reason) => reply::text(StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
        }
    }

    fn report_metrics(&self) -> Reply {
        self.metrics.text().map_or_else(
            |error| {
                error!("cannot tell the metrics: {error}");
                reply::text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n"))
            },
            reply::metrics,
        )
    }
}

/// Paths that are no services.
const OWN_PATHS: [&str; 2] = [path::HEALTH, path::METRICS];

/// Reads one request, and sends the reply that `answer` has to it.
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

fn parts<S>(upgraded: Upgraded) -> Option<hyper::upgrade::Parts<TokioIo<S>>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    upgraded.downcast().ok()
}

/// Whether a request asks for WebSocket; another upgrade that it offers is ignored (RFC 9110,
/// section 7.8).
fn wants_websocket(headers: &HeaderMap) -> bool {
    elements(headers, &header::UPGRADE).any(|protocol| protocol.eq_ignore_ascii_case("websocket"))
}

/// The subprotocol that the client likes best: a browser that offers one and gets none hangs up.
fn first_protocol(headers: &HeaderMap) -> Option<HeaderValue> {
    let first = elements(headers, &header::SEC_WEBSOCKET_PROTOCOL).next()?;
    let is_token = first
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(&byte));
    HeaderValue::from_str(first).ok().filter(|_| is_token)
}

/// The elements of a list in all headers of a name (RFC 9110, section 5.6.1).
fn elements<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lists = headers.get_all(name).into_iter().filter_map(|list| list.to_str().ok());
    lists.flat_map(|list| list.split(',')).map(str::trim).filter(|element| !element.is_empty())
}
