//! Reaches a server: URL, name, addresses, proxy, TCP, TLS, upgrade to WebSocket.
//!
//! [`Endpoint`] says where the server is, whom to trust, and how to get there ([`options`]).
//! [`connect`] looks names up ([`lookup`]), makes a [`stream`] to one of the addresses (`route`),
//! through a [`proxy`] and with [`tls`] where they are needed, and does the handshake of RFC 6455
//! over it ([`upgrade`], `http`); it may be redirected (`redirects`), and messages may be
//! compressed (`deflate`). [`open`] does the same for
//! probes, with a `socket` that shows single frames. How a connection ends is
//! an [`ending`]; `closing` does the closing handshake.

pub(crate) mod closing;
pub mod credentials;
mod deflate;
pub mod ending;
mod error;
pub(crate) mod fault;
mod http;
pub mod lookup;
pub(crate) mod notice;
pub mod options;
mod phases;
pub mod proxy;
mod redirects;
pub(crate) mod route;
pub mod socket;
pub(crate) mod source;
pub mod stream;
pub mod tls;
pub mod upgrade;
pub mod url;

use std::net::IpAddr;

use proto::limits::{CONNECT_TIMEOUT, MAX_MESSAGE, MAX_REPLY};
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tracing::warn;

use ending::Ending;
pub use error::ConnectError;
use fault::Refusal;
use http::Exchange;
use options::ConnectOptions;
pub use phases::{Address, Phases};
use route::{Reached, Route};
use socket::Socket;
use stream::Stream;
use tls::{Session, Trust};
use upgrade::{Agreed, Upgraded};
use url::ServerUrl;

/// Longest message over one of hundreds of connections, in bytes: what all of them keep has to fit
/// into the memory of a small machine.
const MAX_REPLY_OF_MANY: usize = 256 * 1024;

/// Largest read, in bytes.
const READ_BUFFER: usize = 16 * 1024;

/// How much is written at once, in bytes, unless it is flushed sooner.
const WRITE_BUFFER: usize = 1024;

/// How much may wait to be written, in bytes: a message of any length, behind a full buffer and
/// some control frames.
const MAX_WRITE_BUFFER: usize = 2 * MAX_MESSAGE;

/// A connection that was made, and how that went.
#[derive(Debug)]
pub struct Connected<S = Stream> {
    /// The connection.
    pub socket: WebSocketStream<S>,
    /// What it took to make.
    pub phases: Phases,
    /// Where it leads.
    pub address: Address,
}

/// A connection that was made for a probe, and how that went.
#[derive(Debug)]
pub struct Opened {
    /// The connection.
    pub socket: Socket,
    /// What it took to make.
    pub phases: Phases,
    /// Where it leads.
    pub address: Address,
    /// TLS with the server.
    pub(crate) session: Option<Session>,
    /// What the server agreed to.
    pub(crate) agreed: Agreed,
}

/// A server, and how to reach it.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Where the server is.
    pub url: ServerUrl,
    /// Whose certificates are accepted.
    pub trust: Trust,
    /// How it is reached.
    pub options: ConnectOptions,
}

impl Endpoint {
    /// A server that is reached directly, and that is trusted if the system does.
    #[must_use]
    pub fn new(url: ServerUrl) -> Self {
        Self { url, trust: Trust::Known(None), options: ConnectOptions::default() }
    }

    /// Whether the certificate of the server goes unchecked (`--insecure`).
    #[must_use]
    pub fn is_unchecked(&self) -> bool {
        self.url.tls_name().is_some() && matches!(self.trust, Trust::Everyone)
    }

    /// Whether a proxy leads to the server.
    pub(crate) fn is_proxied(&self) -> bool {
        let (host, is_secure) = (self.url.host(), self.url.tls_name().is_some());
        self.options.proxies.proxy_for(host, is_secure).is_some()
    }

    /// Warns if the certificate of the server goes unchecked.
    pub(crate) fn warn_if_unchecked(&self) {
        if self.is_unchecked() {
            warn!(
                "--insecure: the certificate of {} is not checked, so anyone on the way to it can read and change what is sent",
                self.url
            );
        }
    }
}

/// Connects within [`CONNECT_TIMEOUT`], redirects included. The name is looked up anew at each
/// call.
///
/// # Errors
/// Why there is no connection; with several addresses, why not to the last one.
pub async fn connect(endpoint: &Endpoint) -> Result<Connected, ConnectError> {
    let deadline = Instant::now() + CONNECT_TIMEOUT;
    let (_, reached) = redirects::reach(endpoint, deadline).await?;
    let Reached { upgraded: Upgraded { stream, early }, phases, address, agreed, .. } = reached;
    tell_subprotocol(&endpoint.options, agreed.subprotocol.as_deref());
    let socket = WebSocketStream::from_partially_read(stream, early, Role::Client, Some(config()));
    Ok(Connected { socket: socket.await, phases, address })
}

/// The same, with a socket that shows single frames.
///
/// # Errors
/// As [`connect`].
pub async fn open(endpoint: &Endpoint) -> Result<Opened, ConnectError> {
    let deadline = Instant::now() + CONNECT_TIMEOUT;
    let (_, reached) = redirects::reach(endpoint, deadline).await?;
    Ok(opened(reached, MAX_REPLY))
}

/// The same by a way that is known already, from the local address that `source` names for the
/// other one, if any. For one of many connections, which keep [`MAX_REPLY_OF_MANY`] bytes each.
///
/// # Errors
/// As [`connect`].
pub(crate) async fn open_by(
    route: &Route,
    source: impl Fn(IpAddr) -> Option<IpAddr>,
) -> Result<Opened, ConnectError> {
    let reached = route.connect(Instant::now() + CONNECT_TIMEOUT, source).await?;
    Ok(opened(reached, MAX_REPLY_OF_MANY))
}

fn opened(reached: Reached, max_message: usize) -> Opened {
    let Reached { upgraded: Upgraded { stream, early }, phases, address, session, agreed } =
        reached;
    let socket = Socket::new(stream, early, max_message);
    Opened { socket, phases, address, session, agreed }
}

/// The answer of a server to the same request without the upgrade. Redirects are not followed.
///
/// # Errors
/// Why there is no answer.
pub(crate) async fn get(endpoint: &Endpoint) -> Result<Box<Refusal>, ConnectError> {
    let deadline = Instant::now() + CONNECT_TIMEOUT;
    let route = Route::find(endpoint, deadline).await?;
    let mut request = route.request()?;
    for name in upgrade::OWN_HEADERS {
        request.headers_mut().remove(name);
    }
    let stream = route.stream(deadline).await?;
    let ask = async {
        let asked = Exchange::ask(stream, request).await;
        let (mut exchange, answer) = asked.map_err(|error| error.to_string())?;
        Ok::<_, String>(exchange.run(upgrade::refusal(answer)).await)
    };
    let answer = timeout_at(deadline, ask).await;
    Ok(answer.map_err(|_| format!("no answer within {CONNECT_TIMEOUT:?}"))??)
}

/// Finds the way to the server, or to the one that it redirects to, for many connections. That is
/// known after a first one, which is closed again.
///
/// # Errors
/// Why there is no way.
pub(crate) async fn find_route(endpoint: &Endpoint) -> Result<Route, ConnectError> {
    let deadline = Instant::now() + CONNECT_TIMEOUT;
    if !endpoint.options.follows_redirects {
        return Route::find(endpoint, deadline).await;
    }
    let (route, Reached { upgraded: Upgraded { stream, early }, .. }) =
        redirects::reach(endpoint, deadline).await?;
    let socket = WebSocketStream::from_partially_read(stream, early, Role::Client, Some(config()));
    closing::close(socket.await, &Ending::Stopped, async |_| {}).await;
    Ok(route)
}

/// Tells which of the offered subprotocols is spoken.
fn tell_subprotocol(options: &ConnectOptions, chosen: Option<&str>) {
    if options.request.subprotocols.is_empty() {
        return;
    }
    let offered = options.request.subprotocols.join(", ");
    options.notices.subprotocol.tell(&match chosen {
        Some(chosen) => format!("the server chose the subprotocol {chosen}"),
        None => format!("the server chose none of the subprotocols that were offered ({offered})"),
    });
}

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(MAX_WRITE_BUFFER)
        .max_message_size(Some(MAX_REPLY))
        .max_frame_size(Some(MAX_REPLY))
}

#[cfg(test)]
mod tests;
