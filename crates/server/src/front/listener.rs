//! Listening sockets, and the loop that accepts.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::sleep;
use tracing::debug;

use crate::observe::{Cause, Errors};
use crate::throttle::{Throttle, warn_throttled};

/// Connections that may wait to be accepted, if the system's `somaxconn` allows as many.
const BACKLOG: u32 = 4096;

/// Pause after the system had no room for a further connection; it doubles up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// Binds a socket to `address`, which does not listen yet.
///
/// # Errors
/// If the system refuses to open or bind the socket.
pub fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restarted server can bind although connections of the old one are in TIME_WAIT.
    socket.set_reuseaddr(true)?;
    // Accepted sockets inherit TCP_NODELAY.
    socket.set_nodelay(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Listens on a socket of [`bind`]. The system accepts connections from now on.
///
/// # Errors
/// If the system refuses to listen, as where another program has begun to listen there meanwhile.
pub fn listen(socket: TcpSocket) -> io::Result<TcpListener> {
    socket.listen(BACKLOG)
}

/// Accepts for ever, and hands each connection to `serve`, with the address of its other end. A
/// client of IPv4 has an IPv4 address at a listener for IPv6 too, which the kernel reports as
/// `::ffff:192.0.2.1` (RFC 4291, section 2.5.5.2).
pub(super) async fn accept(
    listener: &TcpListener,
    errors: &Errors,
    serve: impl AsyncFn(TcpStream, SocketAddr),
) {
    let refused = Throttle::default();
    let mut pause = FIRST_PAUSE;
    loop {
        match listener.accept().await {
            Ok((stream, mut peer)) => {
                pause = FIRST_PAUSE;
                peer.set_ip(peer.ip().to_canonical());
                serve(stream, peer).await;
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

/// Whether an error concerns one connection rather than the listener.
fn concerns_one(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, InvalidInput, NotConnected,
    };
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | InvalidInput | NotConnected
    )
}
