//! Connects to a server: URL, name, addresses, proxy, TCP, TLS, upgrade to WebSocket.
//!
//! An [`Endpoint`] is the URL of a server, the trusted authorities and the [`options`] for how to
//! connect. [`connect`] looks names up ([`lookup`]), opens a [`stream`] to one of the addresses
//! (`route`), through a [`proxy`] and with [`tls`] where needed, and does the opening handshake of
//! RFC 6455 over the stream ([`upgrade`], `http`). A server may redirect the client (`redirects`),
//! and messages may be compressed (`deflate`). [`open`] returns a [`socket`] that shows single
//! frames, for probes. An [`ending`] is why a connection ended; `closing` does the closing
//! handshake.

mod close_code;
pub(crate) mod closing;
pub mod credentials;
mod deflate;
pub mod ending;
pub(crate) mod error;
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

use close_code::CloseCodeCheck;
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

/// Longest message over one of many connections, in bytes: the buffers of all of them must fit into
/// the memory of a small machine.
const MAX_REPLY_OF_MANY: usize = 256 * 1024;

/// Largest read, in bytes.
const READ_BUFFER: usize = 16 * 1024;

/// Buffered output that is written without a flush, in bytes.
const WRITE_BUFFER: usize = 1024;

/// Most buffered output, in bytes: the longest message, after a full buffer and some control
/// frames.
const MAX_WRITE_BUFFER: usize = 2 * MAX_MESSAGE;

/// A connection, and how it was made.
#[derive(Debug)]
pub struct Connected<S = Stream> {
    /// The connection.
    pub socket: WebSocketStream<S>,
    /// How long each phase took.
    pub phases: Phases,
    /// The remote address.
    pub address: Address,
}

/// A connection of a probe, and how it was made.
#[derive(Debug)]
pub struct Opened {
    /// The connection.
    pub socket: Socket,
    /// How long each phase took.
    pub phases: Phases,
    /// The remote address.
    pub address: Address,
    /// TLS with the server.
    pub(crate) session: Option<Session>,
    /// The result of the opening handshake.
    pub(crate) agreed: Agreed,
}

/// A server, and how to connect to it.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The URL of the server.
    pub url: ServerUrl,
    /// The accepted certificates.
    pub trust: Trust,
    /// How to connect.
    pub options: ConnectOptions,
}

impl Endpoint {
    /// A server with the default options: no proxy, and the authorities of the system.
    #[must_use]
    pub fn new(url: ServerUrl) -> Self {
        Self { url, trust: Trust::Known(None), options: ConnectOptions::default() }
    }

    /// Whether the certificate of the server is not checked (`--insecure`).
    #[must_use]
    pub fn is_unchecked(&self) -> bool {
        self.url.tls_name().is_some() && matches!(self.trust, Trust::Everyone)
    }

    /// Whether a proxy leads to the server.
    pub(crate) fn is_proxied(&self) -> bool {
        let (host, is_secure) = (self.url.host(), self.url.tls_name().is_some());
        self.options.proxies.proxy_for(host, is_secure).is_some()
    }

    /// Warns if the certificate of the server is not checked.
    pub(crate) fn warn_if_unchecked(&self) {
        if self.is_unchecked() {
            warn!(
                "--insecure: the certificate of {} is not checked, so anyone on the way to it can read and change what is sent",
                self.url
            );
        }
    }
}

/// Connects within [`CONNECT_TIMEOUT`], including redirects. Each call looks names up again.
///
/// # Errors
/// Why there is no connection; with several addresses, why not to the last one that accepted TCP.
pub async fn connect(endpoint: &Endpoint) -> Result<Connected, ConnectError> {
    let deadline = Instant::now() + CONNECT_TIMEOUT;
    let (_, reached) = redirects::reach(endpoint, deadline).await?;
    let Reached { upgraded, phases, address, agreed, .. } = reached;
    log_subprotocol(&endpoint.options, agreed.subprotocol.as_deref());
    Ok(Connected { socket: websocket(upgraded).await, phases, address })
}

/// Connects as [`connect`] does, with a socket that shows single frames.
///
/// # Errors
/// As [`connect`].
pub async fn open(endpoint: &Endpoint) -> Result<Opened, ConnectError> {
    let deadline = Instant::now() + CONNECT_TIMEOUT;
    let (_, reached) = redirects::reach(endpoint, deadline).await?;
    Ok(opened(reached, MAX_REPLY))
}

/// Opens one of many connections over a known route, from the local address that `source` returns
/// for the remote one. Messages may have [`MAX_REPLY_OF_MANY`] bytes.
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

/// Sends the request without the headers of the upgrade, and returns the answer. Redirects are not
/// followed.
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
        let (mut exchange, answer) =
            Exchange::ask(stream, request).await.map_err(|error| error.to_string())?;
        Ok::<_, String>(exchange.run(upgrade::refusal(answer)).await)
    };
    let answer = timeout_at(deadline, ask).await;
    Ok(answer.map_err(|_| format!("no answer within {CONNECT_TIMEOUT:?}"))??)
}

/// Finds the route for many connections. Where redirects are followed, a first connection finds the
/// server that they lead to, and is closed again.
///
/// # Errors
/// Why there is no route.
pub(crate) async fn find_route(endpoint: &Endpoint) -> Result<Route, ConnectError> {
    let deadline = Instant::now() + CONNECT_TIMEOUT;
    if !endpoint.options.follows_redirects {
        return Route::find(endpoint, deadline).await;
    }
    let (route, reached) = redirects::reach(endpoint, deadline).await?;
    closing::close(websocket(reached.upgraded).await, &Ending::Stopped, async |_| {}).await;
    Ok(route)
}

/// Logs the server's choice among the offered subprotocols.
fn log_subprotocol(options: &ConnectOptions, chosen: Option<&str>) {
    if options.request.subprotocols.is_empty() {
        return;
    }
    let offered = options.request.subprotocols.join(", ");
    options.notices.subprotocol.log(&match chosen {
        Some(chosen) => format!("the server chose the subprotocol {chosen}"),
        None => format!("the server chose none of the subprotocols that were offered ({offered})"),
    });
}

async fn websocket(upgraded: Upgraded<Stream>) -> WebSocketStream<Stream> {
    let Upgraded { stream, mut early } = upgraded;
    let stream = Stream::CloseCodeCheck(Box::new(CloseCodeCheck::new(stream, &mut early)));
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(MAX_WRITE_BUFFER)
        .max_message_size(Some(MAX_REPLY))
        .max_frame_size(Some(MAX_REPLY));
    WebSocketStream::from_partially_read(stream, early, Role::Client, Some(config)).await
}

#[cfg(test)]
mod tests;
