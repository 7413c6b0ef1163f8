//! What a connection took to make, phase by phase, and where it leads.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The time of each phase of a connection; `None` for a phase that it had no need of. After
/// redirects, that of the last connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases {
    /// Look-up of names.
    pub dns: Option<Duration>,
    /// The proxy's part: TLS to it, if any, and its answer to CONNECT or the SOCKS exchange.
    pub proxy: Option<Duration>,
    /// TCP (or the Unix socket), up to the address that answered first.
    pub tcp: Option<Duration>,
    /// TLS handshake with the server.
    pub tls: Option<Duration>,
    /// From the request for the upgrade to its answer.
    pub upgrade: Option<Duration>,
}

/// The other end of a connection: that of the proxy, where there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Of TCP.
    Tcp(SocketAddr),
    /// Of a Unix socket.
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
