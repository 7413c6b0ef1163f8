//! Servers that are reached without a proxy (`NO_PROXY`), as curl reads that list.

use std::net::IpAddr;

use ipnet::IpNet;

/// The list of `NO_PROXY`: domain names (subdomains included), addresses and networks, separated by
/// commas or blanks; a list of only `*` is every server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Bypass {
    entries: Vec<String>,
    is_everything: bool,
}

impl Bypass {
    pub(super) fn parse(list: &str) -> Self {
        let entries = list.split([',', ' ', '\t']).filter(|entry| !entry.is_empty());
        Self { entries: entries.map(str::to_owned).collect(), is_everything: list.trim() == "*" }
    }

    /// Whether a server is in the list. An IPv6 address has no brackets.
    pub(super) fn has(&self, host: &str) -> bool {
        let matches = |entry: &String| match host.parse() {
            Ok(address) => has_address(entry, address),
            Err(_) => has_name(entry, host),
        };
        self.is_everything || self.entries.iter().any(matches)
    }
}

fn has_address(entry: &str, address: IpAddr) -> bool {
    let bare = entry.strip_prefix('[').and_then(|entry| entry.strip_suffix(']')).unwrap_or(entry);
    match bare.parse::<IpNet>() {
        Ok(network) => network.contains(&address),
        Err(_) => bare.parse() == Ok(address),
    }
}

/// Whether `host` is the domain of the entry, `example.com` or `.example.com`, or a subdomain.
fn has_name(entry: &str, host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let entry = entry.strip_suffix('.').unwrap_or(entry);
    let entry = entry.strip_prefix('.').unwrap_or(entry);
    let Some(start) = host.len().checked_sub(entry.len()) else { return false };
    let is_end = host.get(start..).is_some_and(|end| end.eq_ignore_ascii_case(entry));
    !entry.is_empty() && is_end && (start == 0 || host[..start].ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_addresses_and_networks_are_matched_as_curl_does() {
        for (list, host, expected) in [
            ("", "example.com", false),
            ("*", "example.com", true),
            (" * ", "192.0.2.1", true),
            ("a.test,*", "example.com", false),
            ("example.com", "example.com", true),
            ("example.com", "EXAMPLE.com.", true),
            ("Example.COM.", "example.com", true),
            ("example.com", "www.example.com", true),
            (".example.com", "www.example.com", true),
            (".example.com", "example.com", true),
            ("example.com", "notexample.com", false),
            ("www.example.com", "example.com", false),
            ("example.com:80", "example.com", false),
            ("a.test, example.com b.test", "b.test", true),
            ("a.test,,\texample.com", "example.com", true),
            (".", "example.com", false),
            ("localhost", "localhost", true),
            ("localhost", "127.0.0.1", false),
            ("192.0.2.1", "192.0.2.1", true),
            ("2.1", "192.0.2.1", false),
            ("192.0.2.0/24", "192.0.2.200", true),
            ("192.0.2.0/24", "192.0.3.1", false),
            ("192.0.2.0/99", "192.0.2.1", false),
            ("192.0.2.0/24", "192.0.2.0.example", false),
            ("::1", "::1", true),
            ("[::1]", "::1", true),
            ("0:0::1", "::1", true),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("0.0.0.0/0", "::1", false),
        ] {
            assert_eq!(Bypass::parse(list).has(host), expected, "{host} in {list:?}");
        }
    }
}
