//! Accepts connections and deals them out to the workers.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{Instant, sleep};
use tokio_rustls::TlsAcceptor;
use tracing::debug;

use crate::metrics::{Cause, Errors};
use crate::throttle::{Throttle, warn_throttled};
use crate::worker::Worker;

/// Connections that may wait to be accepted; the system's `somaxconn` bounds it too.
const BACKLOG: u32 = 4096;

/// Pause after the system had no room for a further connection; it doubles up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// A connection that was accepted.
pub struct Accepted {
    /// Its socket, not yet known to any event loop.
    pub stream: std::net::TcpStream,
    /// What makes it secure, if it came to the port of TLS.
    pub acceptor: Option<TlsAcceptor>,
    /// The client's address.
    pub peer: SocketAddr,
    /// When it was accepted; the handshake counts from here.
    pub at: Instant,
}

/// Binds `address`.
///
/// # Errors
/// When the system refuses.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restarted server takes its port back from connections that are still closing.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

impl fmt::Debug for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stream, peer, at, .. } = self;
        f.debug_struct("Accepted")
            .field("stream", stream)
            .field("peer", peer)
            .field("at", at)
            .finish_non_exhaustive()
    }
}

/// Accepts for ever; each connection goes to the worker with the fewest. Where there is an
/// `acceptor`, connections have to speak TLS.
pub async fn accept(
    listener: &TcpListener,
    acceptor: Option<&TlsAcceptor>,
    workers: &[Worker],
    errors: &Errors,
) {
    let refused = Throttle::default();
    let mut pause = FIRST_PAUSE;
    loop {
        match listener.accept().await.and_then(|(stream, peer)| detach(stream, peer)) {
            Ok((stream, peer)) => {
                pause = FIRST_PAUSE;
                let acceptor = acceptor.cloned();
                let accepted = Accepted { stream, acceptor, peer, at: Instant::now() };
                if let Some(worker) = workers.iter().min_by_key(|worker| worker.load()) {
                    worker.take(accepted).await;
                }
            }
            Err(error) if concerns_one(&error) => {
                debug!("a connection ended before it was accepted: {error}");
            }
            Err(error) => {
                errors.count(Cause::Accept);
                warn_throttled!(
                    refused,
                    "cannot accept connections: {error}; trying again in {pause:?}"
                );
                sleep(pause).await;
                pause = (pause * 2).min(MAX_PAUSE);
            }
        }
    }
}

/// Takes a socket out of this event loop, for another.
fn detach(stream: TcpStream, peer: SocketAddr) -> io::Result<(std::net::TcpStream, SocketAddr)> {
    stream.set_nodelay(true)?;
    Ok((stream.into_std()?, peer))
}

/// Errors of the connection at hand rather than of accepting.
fn concerns_one(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, InvalidInput, NotConnected,
    };
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | InvalidInput | NotConnected
    )
}
