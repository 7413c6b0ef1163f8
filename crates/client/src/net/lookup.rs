//! Name look-up: the addresses of `--resolve`, or else those of the system, of one address family
//! or both (`-4`, `-6`).

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use proto::limits::CONNECT_TIMEOUT;
use tokio::net::lookup_host;
use tokio::time::{Instant, timeout_at};

/// The allowed form of an [`Override`].
const ALLOWED: &str = "allowed is HOST:PORT:ADDRESS[,ADDRESS...], such as example.com:443:127.0.0.1 (an IPv6 address may stand in brackets, and * as HOST is any)";

/// How names are looked up.
#[derive(Clone, Debug, Default)]
pub struct Lookup {
    /// The address family.
    pub family: Family,
    /// Addresses that replace a look-up; the last one for a name and port counts (`--resolve`).
    pub overrides: Vec<Override>,
}

/// An address family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// IPv4 and IPv6.
    #[default]
    Any,
    /// IPv4 (`-4`).
    V4,
    /// IPv6 (`-6`).
    V6,
}

impl Family {
    fn has(self, address: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::V4 => address.is_ipv4(),
            Self::V6 => address.is_ipv6(),
        }
    }
}

/// Addresses for a name and a port (`--resolve`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    host: String,
    port: u16,
    addresses: Vec<IpAddr>,
}

/// The addresses of a name, and the time of the look-up; `None` without a look-up.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) time: Option<Duration>,
}

impl Lookup {
    /// The addresses of a name. An address in place of a name is not looked up.
    ///
    /// # Errors
    /// Why the name has no address.
    pub(super) async fn find(
        &self,
        host: &str,
        port: u16,
        deadline: Instant,
    ) -> Result<Found, String> {
        let literal = || Some(vec![SocketAddr::new(host.parse().ok()?, port)]);
        if let Some(addresses) = self.overridden(host, port).or_else(literal) {
            return Ok(Found { addresses: self.usable(host, addresses)?, time: None });
        }
        let begun = Instant::now();
        let addresses = timeout_at(deadline, lookup_host((host, port)))
            .await
            .map_err(|_| format!("the name {host} was not looked up within {CONNECT_TIMEOUT:?}"))?
            .map_err(|error| format!("the name {host} is not known: {error}"))?;
        let addresses = self.usable(host, addresses.collect())?;
        Ok(Found { addresses, time: Some(begun.elapsed()) })
    }

    /// The addresses of `--resolve` for a name.
    fn overridden(&self, host: &str, port: u16) -> Option<Vec<SocketAddr>> {
        let of = |name: &str| {
            let mut overrides = self.overrides.iter().rev();
            overrides.find(|given| given.port == port && given.host.eq_ignore_ascii_case(name))
        };
        let given = of(host).or_else(|| of("*"))?;
        Some(given.addresses.iter().map(|address| SocketAddr::new(*address, port)).collect())
    }

    /// The addresses of the family, each once.
    fn usable(
        &self,
        host: &str,
        mut addresses: Vec<SocketAddr>,
    ) -> Result<Vec<SocketAddr>, String> {
        let mut known = HashSet::new();
        addresses.retain(|address| self.family.has(address.ip()) && known.insert(*address));
        if !addresses.is_empty() {
            return Ok(addresses);
        }
        Err(match self.family {
            Family::Any => format!("the name {host} has no address"),
            Family::V4 => format!("{host} has no IPv4 address, and -4 allows no other"),
            Family::V6 => format!("{host} has no IPv6 address, and -6 allows no other"),
        })
    }
}

impl FromStr for Override {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse(text).ok_or_else(|| ALLOWED.into())
    }
}

fn parse(text: &str) -> Option<Override> {
    let (host, rest) = match text.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once("]:")?,
        None => text.split_once(':')?,
    };
    let (port, addresses) = rest.split_once(':')?;
    let addresses = addresses.split(',').map(|address| {
        let bare = address.strip_prefix('[').and_then(|address| address.strip_suffix(']'));
        bare.unwrap_or(address).parse().ok()
    });
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit());
    let port = port.parse().ok().filter(|&port| port > 0 && is_port)?;
    let addresses = addresses.collect::<Option<Vec<_>>>()?;
    (!host.is_empty()).then(|| Override { host: host.to_owned(), port, addresses })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    async fn found(lookup: &Lookup, host: &str, port: u16) -> Result<String, String> {
        let found = lookup.find(host, port, Instant::now() + CONNECT_TIMEOUT).await?;
        assert_eq!(found.time, None);
        Ok(found.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
    }

    fn lookup(family: Family, overrides: &[&str]) -> Lookup {
        let overrides = overrides.iter().map(|text| text.parse().unwrap()).collect();
        Lookup { family, overrides }
    }

    #[tokio::test]
    async fn given_addresses_stand_for_a_name_and_a_port() {
        let any = lookup(
            Family::Any,
            &[
                "a.test:80:192.0.2.1,[::1],::2",
                "*:80:192.0.2.9",
                "b.test:81:192.0.2.2",
                "B.test:81:192.0.2.3",
                "[::5]:80:192.0.2.5",
            ],
        );
        for (host, port, addresses) in [
            ("A.test", 80, "192.0.2.1:80 [::1]:80 [::2]:80"),
            ("other.test", 80, "192.0.2.9:80"),
            ("b.test", 81, "192.0.2.3:81"),
            ("::5", 80, "192.0.2.5:80"),
            ("192.0.2.7", 81, "192.0.2.7:81"),
        ] {
            assert_eq!(found(&any, host, port).await.as_deref(), Ok(addresses), "{host}");
        }
    }

    #[tokio::test]
    async fn only_addresses_of_the_family_are_used() {
        let both = ["a.test:80:192.0.2.1,::1,192.0.2.1"];
        assert_eq!(found(&lookup(Family::V4, &both), "a.test", 80).await.unwrap(), "192.0.2.1:80");
        assert_eq!(found(&lookup(Family::V6, &both), "a.test", 80).await.unwrap(), "[::1]:80");
        assert_eq!(
            found(&lookup(Family::V6, &[]), "192.0.2.1", 80).await.unwrap_err(),
            "192.0.2.1 has no IPv6 address, and -6 allows no other"
        );
    }

    #[test]
    fn an_error_shows_the_allowed_form() {
        for text in [
            "",
            "a",
            "a:80",
            "a:80:",
            "a:0:::1",
            "a:+1:::1",
            "a:x:::1",
            ":80:::1",
            "a:80:b",
            "a:80:::1,",
        ] {
            assert_eq!(text.parse::<Override>().unwrap_err(), ALLOWED, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = text.parse::<Override>();
            let _ = format!("[{text}").parse::<Override>();
        }
    }
}
