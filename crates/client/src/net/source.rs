//! The local addresses to connect from.

use std::net::{IpAddr, Ipv4Addr};

/// Most connections to a loopback address from one source address: fewer than the ephemeral ports
/// of Linux.
const PER_SOURCE: u64 = 20_000;

/// The local addresses of a number of connections.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    addresses: Vec<IpAddr>,
    connections: u64,
}

impl Sources {
    /// These addresses in turn. Without addresses, the kernel chooses one, except that many
    /// connections to an IPv4 loopback address come from 127.0.0.1, 127.0.0.2 and so on.
    #[must_use]
    pub fn new(addresses: Vec<IpAddr>, connections: u64) -> Self {
        Self { addresses, connections }
    }

    /// Local address of connection `number` to `target`; `None` leaves the choice to the kernel.
    pub(crate) fn source(&self, number: u64, target: IpAddr) -> Option<IpAddr> {
        if !self.addresses.is_empty() {
            let fits = |source: &&IpAddr| source.is_ipv4() == target.is_ipv4();
            let fitting: Vec<_> = self.addresses.iter().filter(fits).collect();
            let turn = number.checked_rem(fitting.len() as u64).unwrap_or(0) as usize;
            return fitting.get(turn).copied().or(self.addresses.first()).copied();
        }
        let is_spread = self.connections > PER_SOURCE && target.is_ipv4() && target.is_loopback();
        let address = u32::try_from(number / PER_SOURCE).ok()?;
        is_spread.then(|| Ipv4Addr::from(u32::from(Ipv4Addr::LOCALHOST) + address).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(sources: &[&str], connections: u64, number: u64, target: &str) -> Option<String> {
        let addresses = sources.iter().map(|source| source.parse().unwrap()).collect();
        let sources = Sources::new(addresses, connections);
        sources.source(number, target.parse().unwrap()).map(|source| source.to_string())
    }

    #[test]
    fn many_connections_to_loopback_come_from_several_addresses() {
        assert_eq!(from(&[], 20_000, 19_999, "127.0.0.1"), None);
        assert_eq!(from(&[], 70_000, 19_999, "127.0.0.1").unwrap(), "127.0.0.1");
        assert_eq!(from(&[], 70_000, 20_000, "127.0.0.1").unwrap(), "127.0.0.2");
        assert_eq!(from(&[], 70_000, 69_999, "127.0.0.9").unwrap(), "127.0.0.4");
        assert_eq!(from(&[], 70_000, 69_999, "192.0.2.1"), None);
        assert_eq!(from(&[], 70_000, 69_999, "::1"), None);
    }

    #[test]
    fn source_addresses_are_used_in_turn() {
        let sources = ["192.0.2.1", "2001:db8::1", "192.0.2.2"];
        for (number, target, source) in [
            (0, "192.0.2.9", "192.0.2.1"),
            (1, "192.0.2.9", "192.0.2.2"),
            (2, "192.0.2.9", "192.0.2.1"),
            (1, "2001:db8::9", "2001:db8::1"),
        ] {
            assert_eq!(from(&sources, 3, number, target).unwrap(), source);
        }
        // Without an address of the right family, the attempt to connect fails with a clear error.
        assert_eq!(from(&["::1"], 3, 1, "127.0.0.1").unwrap(), "::1");
    }
}
