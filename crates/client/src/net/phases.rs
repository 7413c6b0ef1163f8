//! How long each phase of making a connection took, and the remote address.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The time of each phase of making a connection; `None` for a phase that was not needed. After
/// redirects, the times of the last connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases {
    /// Look-up of names.
    pub dns: Option<Duration>,
    /// The tunnel through the proxy: TLS to the proxy, if any, and CONNECT or the SOCKS exchange.
    pub proxy: Option<Duration>,
    /// TCP (or the Unix socket), from the first attempt to the first success.
    pub tcp: Option<Duration>,
    /// TLS handshake with the server.
    pub tls: Option<Duration>,
    /// From the request for the upgrade to its answer.
    pub upgrade: Option<Duration>,
}

/// The remote address of a connection: that of the proxy, if there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// The address and port of a TCP connection.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}
