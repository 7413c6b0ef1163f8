//! Reaches a server: URL, name, addresses, TCP, TLS, upgrade to WebSocket.
//!
//! [`Endpoint`] says where the server is and whom to trust. [`connect`] looks its name up, tries
//! its addresses ([`route`]), makes a [`stream`] of TCP or [`tls`] to one of them, and does the
//! handshake of RFC 6455 over it ([`upgrade`]). How a connection ends is an [`ending`]; [`closing`]
//! does the closing handshake.

pub(crate) mod closing;
mod credentials;
pub mod ending;
mod error;
pub mod phases;
pub(crate) mod route;
pub mod stream;
pub mod tls;
pub(crate) mod upgrade;
pub mod url;

use std::net::SocketAddr;

use proto::limits::{CONNECT_TIMEOUT, MAX_MESSAGE, MAX_REPLY};
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tracing::warn;

pub use error::ConnectError;
pub use phases::Phases;
use route::{Reached, Route};
use stream::Stream;
use tls::Trust;
use url::ServerUrl;

/// Largest read, in bytes.
const READ_BUFFER: usize = 16 * 1024;

/// How much is written at once, in bytes, unless it is flushed sooner.
const WRITE_BUFFER: usize = 1024;

/// How much may wait to be written, in bytes: a message of any length, behind a full buffer and
/// some control frames.
const MAX_WRITE_BUFFER: usize = 2 * MAX_MESSAGE;

/// A connection that was made, and how.
#[derive(Debug)]
pub struct Connected<S> {
    /// The connection.
    pub socket: WebSocketStream<S>,
    /// The address of the server.
    pub address: SocketAddr,
    /// How long each part of making the connection took.
    pub phases: Phases,
}

/// A server, and how to reach it.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Where the server is.
    pub url: ServerUrl,
    /// Whose certificates are accepted.
    pub trust: Trust,
}

impl Endpoint {
    /// Whether the certificate of the server goes unchecked (`--insecure`).
    #[must_use]
    pub fn is_unchecked(&self) -> bool {
        self.url.tls_name().is_some() && matches!(self.trust, Trust::Everyone)
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

/// Connects within [`CONNECT_TIMEOUT`]. The name is looked up anew at each call.
///
/// # Errors
/// Why there is no connection; with several addresses, why not to the last one.
pub async fn connect(endpoint: &Endpoint) -> Result<Connected<Stream>, ConnectError> {
    let deadline = Instant::now() + CONNECT_TIMEOUT;
    let route = Route::find(endpoint, deadline).await?;
    let Reached { upgraded, address, phases } = route.connect(deadline, |_| None).await?;
    let (stream, early) = (upgraded.stream, upgraded.early);
    let socket =
        WebSocketStream::from_partially_read(stream, early, Role::Client, Some(config())).await;
    Ok(Connected { socket, address, phases })
}

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(MAX_WRITE_BUFFER)
        .max_message_size(Some(MAX_REPLY))
        .max_frame_size(Some(MAX_REPLY))
}
