//! The addresses to listen on: `LISTEN` and `TLS_LISTEN`.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

use rustix::io::Errno;
use rustls_pki_types::DnsName;

/// An address to listen on: an IP address or a host name, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// `0.0.0.0:8765` or `[::]:8765`.
    Address(SocketAddr),
    /// `localhost:8765`, which may stand for several addresses.
    Name(String, u16),
}

impl ListenAddress {
    /// Port `port` of every IPv4 address of the machine.
    #[must_use]
    pub const fn everywhere(port: u16) -> Self {
        Self::Address(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port))
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        match self {
            Self::Address(address) => address.port(),
            Self::Name(_, port) => *port,
        }
    }

    /// Whether both name the same port of an address, as far as that shows without a look-up of
    /// names. Port 0 is none: the system chooses another port for each listener.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let is_same = match (self, other) {
            (Self::Address(one), Self::Address(other)) => overlap(*one, *other),
            _ => self == other,
        };
        is_same && self.port() != 0
    }

    /// All addresses, at least one. Looking up a name blocks.
    ///
    /// # Errors
    /// When the name is unknown.
    pub fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        let (name, port) = match self {
            Self::Address(address) => return Ok(vec![*address]),
            Self::Name(name, port) => (name, *port),
        };
        let mut addresses: Vec<_> = (name.as_str(), port).to_socket_addrs()?.collect();
        addresses.sort_unstable();
        addresses.dedup();
        if addresses.is_empty() {
            return Err(io::Error::new(ErrorKind::NotFound, "this name has no address"));
        }
        Ok(addresses)
    }

    /// Binds a socket to each address, at least one. Addresses that this machine does not have are
    /// left out, if another one is bound: `localhost` stands for `::1` also without IPv6. `own` are the
    /// addresses that are bound already, for `LISTEN`: as long as the server does not listen
    /// there, the system would let them be bound twice.
    ///
    /// # Errors
    /// Which address of the setting cannot be listened on, why, and what to do.
    pub fn bind<T>(
        &self,
        setting: &str,
        own: &[SocketAddr],
        bind: impl Fn(SocketAddr) -> io::Result<T>,
    ) -> Result<Vec<T>, String> {
        let addresses = self.resolve().map_err(|error| {
            format!("cannot look up {self} ({setting}): {error}; name an address of this machine")
        })?;
        let bind = |address| match own.iter().any(|own| overlap(*own, address)) {
            true => Err(Errno::ADDRINUSE.into()),
            false => bind(address),
        };
        let mut missing = None;
        let mut bound = Vec::new();
        for address in addresses {
            match bind(address) {
                Ok(listener) => bound.push(listener),
                Err(error) if is_missing(&error) => missing = Some((address, error)),
                Err(error) => return Err(refusal(setting, address, own, &error)),
            }
        }
        match missing {
            Some((address, error)) if bound.is_empty() => {
                Err(refusal(setting, address, own, &error))
            }
            _ => Ok(bound),
        }
    }
}

/// Whether two listeners would have the same port of an address. A listener at `[::]` has all IPv4
/// addresses too, as systems have it by default.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let includes = |all: IpAddr, ip: IpAddr| {
        all == ip || (all.is_unspecified() && (all.is_ipv6() || ip.is_ipv4()))
    };
    let (ip, other_ip) = (one.ip(), other.ip());
    one.port() == other.port() && (includes(ip, other_ip) || includes(other_ip, ip))
}

/// Whether the machine does not have the address.
fn is_missing(error: &io::Error) -> bool {
    error.kind() == ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(Errno::AFNOSUPPORT.raw_os_error())
}

/// Why an address cannot be listened on, and what to do.
pub(crate) fn refusal(
    setting: &str,
    address: SocketAddr,
    own: &[SocketAddr],
    error: &io::Error,
) -> String {
    let own = own.iter().find(|own| overlap(**own, address));
    let advice = match error.kind() {
        ErrorKind::AddrInUse if let Some(own) = own => format!(
            "this server itself listens on {own} (LISTEN): choose another port for {setting}, since one port speaks either TLS or not"
        ),
        ErrorKind::AddrInUse => {
            format!("stop the program that listens there, or choose another {setting}")
        }
        ErrorKind::PermissionDenied => format!(
            "ports below 1024 are for root as a rule: choose a higher one for {setting}, or grant this program CAP_NET_BIND_SERVICE"
        ),
        _ if is_missing(error) => {
            format!(
                "no network interface of this machine has this address: choose another {setting}, such as 0.0.0.0:{}",
                address.port()
            )
        }
        _ => format!("choose another {setting}"),
    };
    format!("cannot listen on {address}: {error}; {advice}")
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(mut address) = text.parse::<SocketAddr>() {
            // An IPv4 address in the form of IPv6 is the same address.
            address.set_ip(address.ip().to_canonical());
            return Ok(Self::Address(address));
        }
        // No name ends in a label of digits, so a mistyped IPv4 address is refused here.
        text.rsplit_once(':')
            .filter(|(name, _)| DnsName::try_from(*name).is_ok())
            .and_then(|(name, port)| Some(Self::Name(name.to_owned(), port.parse().ok()?)))
            .ok_or_else(|| "allowed is an address or a name, and a port, such as 0.0.0.0:8765, [::]:8765 or localhost:8765".into())
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name(name, port) => write!(f, "{name}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn listen(text: &str) -> ListenAddress {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_or_a_name_has_a_port() {
        for text in ["0.0.0.0:8765", "[::1]:0", "localhost:7777", "my_host-1.example.com:1"] {
            assert_eq!(listen(text).to_string(), text);
        }
        assert_eq!(listen("[::ffff:127.0.0.1]:80"), listen("127.0.0.1:80"));
        assert_eq!(listen("[::ffff:0.0.0.0]:80"), listen("0.0.0.0:80"));
        for text in [
            "",
            ":80",
            "8765",
            "x",
            "0.0.0.0",
            "0.0.0.0:99999",
            "256.0.0.1:80",
            "::1:80",
            "a..b:1",
            "-a:1",
            "a b:1",
            "host:",
            "host:+1x",
            "http://host:80",
            "*:80",
        ] {
            let error = text.parse::<ListenAddress>().unwrap_err();
            assert!(error.contains("localhost:8765"), "{text}: {error}");
        }
    }

    #[test]
    fn a_name_stands_for_all_its_addresses() {
        let addresses = listen("localhost:7777").resolve().unwrap();
        assert!(addresses.iter().all(|address| address.ip().is_loopback()), "{addresses:?}");
        assert!(addresses.iter().all(|address| address.port() == 7777), "{addresses:?}");
        assert!(!addresses.is_empty());
        assert!(listen("no-such-host.invalid:80").resolve().is_err());
    }

    #[test]
    fn an_address_that_cannot_be_listened_on_is_told_with_advice() {
        for (kind, advice) in [
            (ErrorKind::AddrInUse, "stop the program"),
            (ErrorKind::PermissionDenied, "below 1024"),
            (ErrorKind::AddrNotAvailable, "such as 0.0.0.0:80"),
            (ErrorKind::OutOfMemory, "choose another LISTEN"),
        ] {
            let refused = listen("127.0.0.1:80").bind("LISTEN", &[], |_| Err::<(), _>(kind.into()));
            let told = refused.unwrap_err();
            assert!(told.starts_with("cannot listen on 127.0.0.1:80: "), "{told}");
            assert!(told.contains(advice) && told.contains("LISTEN"), "{told}");
        }
        let unknown = listen("no-such-host.invalid:80").bind("TLS_LISTEN", &[], |_| Ok(()));
        assert!(
            unknown.unwrap_err().starts_with("cannot look up no-such-host.invalid:80 (TLS_LISTEN)")
        );
    }

    #[test]
    fn an_address_that_the_server_itself_listens_on_is_told_as_that() {
        let own = "127.0.0.1:80".parse().unwrap();
        for (text, is_own) in
            [("localhost:80", true), ("0.0.0.0:80", true), ("127.0.0.2:80", false)]
        {
            let refused = listen(text)
                .bind("TLS_LISTEN", &[own], |address| match address.is_ipv4() {
                    true => Err::<(), _>(ErrorKind::AddrInUse.into()),
                    false => Ok(()),
                })
                .unwrap_err();
            let advice = "this server itself listens on 127.0.0.1:80 (LISTEN): choose another port for TLS_LISTEN";
            assert_eq!(refused.contains(advice), is_own, "{refused}");
            assert_eq!(refused.contains("stop the program"), !is_own, "{refused}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>()) {
            if let Ok(address) = text.parse::<ListenAddress>() {
                prop_assert_eq!(listen(&address.to_string()), address);
            }
        }
    }
}
