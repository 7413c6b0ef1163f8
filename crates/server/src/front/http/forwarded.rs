//! The address of a client behind a trusted proxy, from `X-Forwarded-For`.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use hyper::header::{HeaderMap, HeaderName};
use ipnet::IpNet;

use crate::peer::Peer;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The networks that `private` stands for: loopback, private and link-local ones (RFC 1122, RFC
/// 1918, RFC 3927, RFC 4193, RFC 4291).
const PRIVATE: [&str; 8] = [
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
];

/// The proxies whose `X-Forwarded-For` is trusted (`TRUSTED_PROXIES`); none by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies(Vec<IpNet>);

/// The error for a text that is not a list of proxies.
const INVALID: &str = "allowed is a list such as 10.0.0.5,172.16.0.0/12,fd00::/8,private (private is every loopback, private and link-local network)";

impl Proxies {
    /// The client that sent a request over a connection from `peer`. Each proxy appends the address
    /// that it was reached from to the list. So the list is read from its end, and an entry counts
    /// if a trusted proxy wrote it: the client is the first address that is not trusted.
    #[must_use]
    pub fn client(&self, peer: SocketAddr, headers: &HeaderMap) -> Peer {
        let lists = headers.get_all(FORWARDED_FOR).iter().rev();
        let mut told = lists.flat_map(|list| list.as_bytes().rsplit(|&byte| byte == b','));
        let mut client = None;
        while self.contains(client.unwrap_or(peer.ip())) {
            let Some(address) = told.next().and_then(address) else { break };
            client = Some(address);
        }
        client.map_or(Peer::Direct(peer), Peer::Forwarded)
    }

    fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// An entry of the list: an address, to which some proxies add the port.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(text).ok()?.trim();
    let bare = text.parse().or_else(|_| text.parse().map(|address: SocketAddr| address.ip()));
    bare.map(|address| address.to_canonical()).ok()
}

impl FromStr for Proxies {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let mut networks = Vec::new();
        for part in text.split(',').map(str::trim) {
            if part == "private" {
                networks.extend(PRIVATE.iter().filter_map(|network| network.parse::<IpNet>().ok()));
            } else {
                networks.push(network(part).ok_or(INVALID)?);
            }
        }
        Ok(Self(networks))
    }
}

/// An address or a network. One of IPv4 may be written as one of IPv6, such as
/// `::ffff:10.0.0.0/104` for `10.0.0.0/8`.
fn network(text: &str) -> Option<IpNet> {
    let single = text.parse().map(|address: IpAddr| address.into());
    let network: IpNet = single.or_else(|_| text.parse()).ok()?;
    match network.addr().to_canonical() {
        address @ IpAddr::V4(_) if network.addr().is_ipv6() => {
            IpNet::new(address, network.prefix_len().checked_sub(96)?).ok()
        }
        _ => Some(network),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;
    use proptest::prelude::*;

    fn client(trusted: &str, peer: &str, lists: &[&str]) -> String {
        let proxies: Proxies = trusted.parse().unwrap();
        let mut headers = HeaderMap::new();
        for list in lists {
            headers.append(FORWARDED_FOR, list.parse().unwrap());
        }
        proxies.client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn without_a_trusted_proxy_the_header_counts_for_nothing() {
        let mut headers = HeaderMap::new();
        headers.insert(FORWARDED_FOR, HeaderValue::from_static("203.0.113.7"));
        let peer = "127.0.0.1:5000".parse().unwrap();
        assert_eq!(Proxies::default().client(peer, &headers), Peer::Direct(peer));
        assert_eq!(client("10.0.0.1", "10.0.0.2:5000", &["203.0.113.7"]), "10.0.0.2:5000");
        assert_eq!(client("10.0.0.1", "10.0.0.1:5000", &[]), "10.0.0.1:5000");
    }

    #[test]
    fn the_client_is_the_last_address_that_is_no_trusted_proxy() {
        let trusted = "10.0.0.0/8, fd00::/8,2001:db8::1";
        for (lists, told) in [
            (&["203.0.113.7"][..], "203.0.113.7"),
            (&["198.51.100.1, 203.0.113.7"], "203.0.113.7"),
            (&["198.51.100.1, 203.0.113.7 ,10.1.2.3,fd00::5"], "203.0.113.7"),
            (&["198.51.100.1", "203.0.113.7, 10.1.2.3", "10.0.0.9"], "203.0.113.7"),
            (&["203.0.113.7:4711, 10.1.2.3:80"], "203.0.113.7"),
            (&["[2001:db8::7]:4711,[2001:db8::1]:80"], "2001:db8::7"),
            (&["::ffff:203.0.113.7,::ffff:10.1.2.3"], "203.0.113.7"),
        ] {
            assert_eq!(client(trusted, "10.0.0.1:5000", lists), told, "{lists:?}");
        }
    }

    #[test]
    fn the_search_ends_at_the_start_of_the_list_or_at_an_invalid_entry() {
        for (list, told) in [
            ("192.168.1.4, 10.0.0.9", "192.168.1.4"),
            ("203.0.113.7, _hidden, 10.0.0.9", "10.0.0.9"),
            ("unknown", "127.0.0.1:5000"),
            ("", "127.0.0.1:5000"),
            ("203.0.113.7,", "127.0.0.1:5000"),
            ("203.0.113.7, evil\u{e9}", "127.0.0.1:5000"),
            ("1.2.3", "127.0.0.1:5000"),
            ("[::1", "127.0.0.1:5000"),
        ] {
            assert_eq!(client("private", "127.0.0.1:5000", &[list]), told, "{list}");
        }
    }

    #[test]
    fn private_is_every_network_of_that_kind_and_no_other() {
        let told = |address: &str| {
            client(
                "private",
                &SocketAddr::new(address.parse().unwrap(), 5000).to_string(),
                &["203.0.113.7"],
            )
        };
        for address in [
            "127.8.8.8",
            "10.255.0.1",
            "172.31.0.1",
            "192.168.0.1",
            "169.254.0.1",
            "::1",
            "fe80::1",
        ] {
            assert_eq!(told(address), "203.0.113.7", "{address}");
        }
        for address in ["172.32.0.1", "192.169.0.1", "8.8.8.8", "100.64.0.1", "::2", "2001:db8::1"]
        {
            assert_ne!(told(address), "203.0.113.7", "{address}");
        }
        assert_eq!("private".parse::<Proxies>().unwrap().0.len(), PRIVATE.len());
    }

    #[test]
    fn an_ipv4_network_may_be_written_as_one_of_ipv6() {
        for (trusted, peer, is_trusted) in [
            ("::ffff:127.0.0.0/104", "127.255.0.1:5000", true),
            ("::ffff:127.0.0.0/104", "128.0.0.1:5000", false),
            ("::ffff:10.0.0.5/128", "10.0.0.5:5000", true),
            ("::ffff:10.0.0.5/128", "10.0.0.6:5000", false),
            ("::ffff:0.0.0.0/96", "192.0.2.1:5000", true),
            ("::ffff:0.0.0.0/96", "[2001:db8::1]:5000", false),
            ("::/0", "[2001:db8::1]:5000", true),
            ("::/0", "192.0.2.1:5000", false),
        ] {
            let told = client(trusted, peer, &["203.0.113.7"]);
            assert_eq!(told == "203.0.113.7", is_trusted, "{trusted} {peer}");
        }
    }

    #[test]
    fn an_invalid_list_of_proxies_is_refused() {
        for text in [
            "",
            ",",
            "nginx",
            "10.0.0.0/33",
            "10.0.0",
            "10.0.0.1:80",
            "10.0.0.1,,::1",
            "*",
            // An IPv4 network has at least 96 bits in IPv6: here the prefix is that of IPv4.
            "::ffff:10.0.0.0/8",
        ] {
            assert_eq!(text.parse::<Proxies>(), Err(INVALID), "{text}");
        }
    }

    fn any_address() -> impl Strategy<Value = IpAddr> {
        prop_oneof![
            any::<[u8; 4]>().prop_map(IpAddr::from),
            any::<[u8; 16]>().prop_map(IpAddr::from)
        ]
    }

    proptest! {
        #[test]
        fn no_setting_and_no_header_panics(
            text in any::<String>(),
            lists in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..4),
        ) {
            let proxies = text.parse().unwrap_or_else(|_| "private".parse::<Proxies>().unwrap());
            let mut headers = HeaderMap::new();
            for list in &lists {
                if let Ok(list) = HeaderValue::from_bytes(list) {
                    headers.append(FORWARDED_FOR, list);
                }
            }
            let shown = proxies.client("127.0.0.1:5000".parse().unwrap(), &headers).to_string();
            prop_assert!(shown.chars().all(|c| c.is_ascii_hexdigit() || ".:[]".contains(c)));
        }

        #[test]
        fn a_client_cannot_forge_its_address(
            client_ip in any_address(),
            lie in "[0-9a-f.:, ]{0,40}",
        ) {
            let client_ip = client_ip.to_canonical();
            let proxies: Proxies = "198.51.100.1".parse().unwrap();
            prop_assume!(!proxies.contains(client_ip));
            let mut headers = HeaderMap::new();
            headers.insert(FORWARDED_FOR, format!("{lie}, {client_ip}").parse().unwrap());
            let told = proxies.client("198.51.100.1:5000".parse().unwrap(), &headers);
            prop_assert_eq!(told, Peer::Forwarded(client_ip));
        }
    }
}
