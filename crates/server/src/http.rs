//! HTTP/1.1 on the port of the services: plain requests are answered, the others upgraded.

use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use proto::limits::HANDSHAKE_TIMEOUT;
use proto::path;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tracing::debug;

use crate::health::Health;
use crate::healthcheck;
use crate::service::Service;
use crate::throttle::{Throttle, warn_throttled};

/// Largest head of a request, in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// What a handshake has to know of the server.
#[derive(Debug)]
pub struct Http {
    /// Whether the server can do its work.
    pub health: Health,
    /// A permit for each connection that may be upgraded (`MAX_CONNECTIONS`).
    pub connections: Arc<Semaphore>,
    /// Their number.
    pub max_connections: usize,
    /// Warnings about requests that were refused.
    pub refused: Throttle,
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
    /// It counts as a connection as long as this lives.
    pub permit: OwnedSemaphorePermit,
    /// It is this program looking after itself, nothing to tell anyone about.
    pub is_healthcheck: bool,
}

type Reply = Response<String>;

impl Http {
    /// Answers the one request that a stream may carry, until [`HANDSHAKE_TIMEOUT`] after
    /// `accepted`. Returns the stream if it was upgraded.
    pub async fn serve<S>(
        &self,
        stream: S,
        peer: SocketAddr,
        accepted: Instant,
    ) -> Option<Upgrade<S>>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let upgrade = Cell::new(None);
        let answer = service_fn(|mut request: Request<Incoming>| {
            let reply = self.answer(&request, peer).map(|(reply, terms)| {
                upgrade.set(Some((hyper::upgrade::on(&mut request), terms)));
                reply
            });
            std::future::ready(Ok::<_, std::convert::Infallible>(
                reply.unwrap_or_else(|refusal| *refusal),
            ))
        });
        let exchange = http1::Builder::new()
            .max_buf_size(MAX_HEAD)
            .half_close(true)
            .serve_connection(TokioIo::new(stream), answer)
            .with_upgrades();
        match timeout_at(accepted + HANDSHAKE_TIMEOUT, exchange).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(%peer, "request failed: {error}"),
            Err(_) => {
                warn_throttled!(self.refused, %peer, "handshake not finished within {HANDSHAKE_TIMEOUT:?}");
            }
        }
        let (upgrade, terms): (OnUpgrade, Terms) = upgrade.into_inner()?;
        let parts = upgrade.await.ok().and_then(parts::<S>)?;
        Some(Upgrade { stream: parts.io.into_inner(), early: parts.read_buf.to_vec(), terms })
    }

    /// The reply that upgrades the connection, or the one that does not.
    fn answer(
        &self,
        request: &Request<Incoming>,
        peer: SocketAddr,
    ) -> Result<(Reply, Terms), Box<Reply>> {
        let path = request.uri().path();
        if path == path::HEALTH {
            return Err(self.report_health(request.method()).into());
        }
        let Some(service) = Service::at(path) else { return Err(not_found(path).into()) };
        let refuse = |reply: Reply| -> Box<Reply> {
            let status = reply.status().as_u16();
            warn_throttled!(self.refused, %peer, status, "refused: {}", reply.body().trim_end());
            reply.into()
        };
        if !request.headers().contains_key(header::UPGRADE) {
            return Err(not_an_upgrade(request.method()).into());
        }
        let mut reply = create_response_with_body(request, String::new)
            .map_err(|error| refuse(bad_upgrade(request, &error.to_string())))?;
        if let Some(protocol) = first_protocol(request) {
            reply.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
        }
        let permit = Arc::clone(&self.connections)
            .try_acquire_owned()
            .map_err(|_| refuse(self.too_many()))?;
        Ok((reply, Terms { service, permit, is_healthcheck: healthcheck::sent(request.headers()) }))
    }

    fn report_health(&self, method: &Method) -> Reply {
        match (method, self.health.check()) {
            (&Method::GET | &Method::HEAD, Ok(())) => text(StatusCode::OK, "ok\n"),
            (&Method::GET | &Method::HEAD, Err(reason)) => {
                text(StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n"))
            }
            (method, _) => wrong_method(method),
        }
    }

    fn too_many(&self) -> Reply {
        let max = self.max_connections;
        let mut reply = text(
            StatusCode::SERVICE_UNAVAILABLE,
            format!(
                "All {max} connections of this server (MAX_CONNECTIONS) are taken; try again later.\n"
            ),
        );
        reply.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        reply
    }
}

fn parts<S>(upgraded: Upgraded) -> Option<hyper::upgrade::Parts<TokioIo<S>>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    upgraded.downcast().ok()
}

fn text(status: StatusCode, body: impl Into<String>) -> Reply {
    let mut reply = Response::new(body.into());
    *reply.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    reply.headers_mut().insert(header::CONTENT_TYPE, plain);
    reply.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    reply.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    reply
}

fn not_found(path: &str) -> Reply {
    let mut body = format!("There is no {path} here. The paths of this server:\n");
    for service in Service::all() {
        let (path, about) = (service.path(), service.about());
        body.push_str(&format!("  {path:<10} WebSocket: {about}\n"));
    }
    body.push_str(&format!("  {:<10} whether the server can do its work\n", path::HEALTH));
    text(StatusCode::NOT_FOUND, body)
}

fn not_an_upgrade(method: &Method) -> Reply {
    if method != Method::GET && method != Method::HEAD {
        return wrong_method(method);
    }
    upgrade_required("This path speaks WebSocket: connect with ws:// in place of http://.")
}

fn wrong_method(method: &Method) -> Reply {
    let mut reply =
        text(StatusCode::METHOD_NOT_ALLOWED, format!("{method} is not allowed here, GET is.\n"));
    reply.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    reply
}

fn upgrade_required(why: &str) -> Reply {
    let mut reply = text(StatusCode::UPGRADE_REQUIRED, format!("{why}\n"));
    reply.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    reply.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    reply
}

/// RFC 6455, section 4.4: a version that is not spoken is answered with the one that is.
fn bad_upgrade(request: &Request<Incoming>, why: &str) -> Reply {
    if request.method() != Method::GET {
        return wrong_method(request.method());
    }
    match request.headers().get(header::SEC_WEBSOCKET_VERSION) {
        Some(version) if version != "13" => {
            upgrade_required("This server speaks version 13 of WebSocket (RFC 6455).")
        }
        _ => text(StatusCode::BAD_REQUEST, format!("This is no valid WebSocket upgrade: {why}\n")),
    }
}

/// The subprotocol that the client likes best: a browser that offers one and gets none hangs up.
fn first_protocol(request: &Request<Incoming>) -> Option<HeaderValue> {
    let offered = request.headers().get(header::SEC_WEBSOCKET_PROTOCOL)?.to_str().ok()?;
    HeaderValue::from_str(offered.split(',').next()?.trim()).ok()
}
