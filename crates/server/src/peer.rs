//! The address of a client, as events show it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// The address of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// At the other end of the connection.
    Direct(SocketAddr),
    /// Behind a trusted proxy, whose `X-Forwarded-For` holds the address without the port.
    Forwarded(IpAddr),
}

impl Peer {
    /// The address without the port.
    #[must_use]
    pub fn ip(self) -> IpAddr {
        match self {
            Self::Direct(address) => address.ip(),
            Self::Forwarded(address) => address,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct(address) => address.fmt(f),
            Self::Forwarded(address) => address.fmt(f),
        }
    }
}
