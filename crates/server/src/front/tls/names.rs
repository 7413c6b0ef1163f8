//! The names that a certificate is made for.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use rustls_pki_types::DnsName;

/// Names and addresses of a server (`TLS_NAMES`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(Vec<String>);

/// A text that is no list of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoNames;

impl std::error::Error for NoNames {}

impl fmt::Display for NoNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "allowed is a list of names and addresses, such as example.com,*.example.com,192.0.2.7",
        )
    }
}

impl Names {
    /// These names, behind those that every server has: the ones of the machine itself, `host`
    /// if it can stand in a certificate, and that of the service in Compose.
    #[must_use]
    pub fn with_usual(&self, host: &str) -> Vec<String> {
        let usual = ["localhost", "127.0.0.1", "::1", host, "server"];
        let usual = usual.into_iter().filter_map(name);
        let mut names: Vec<String> = Vec::new();
        for name in usual.chain(self.0.iter().cloned()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}

impl FromStr for Names {
    type Err = NoNames;

    fn from_str(text: &str) -> Result<Self, NoNames> {
        text.split(',')
            .map(|part| name(part.trim()).ok_or(NoNames))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

/// The name or address as a certificate has it.
fn name(text: &str) -> Option<String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_string());
    }
    let below = text.strip_prefix("*.").unwrap_or(text);
    DnsName::try_from(below).ok().map(|_| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_are_taken_and_nothing_else() {
        for text in ["example.com", "*.Example.com,192.0.2.7", "::1", "a-b, c"] {
            assert!(text.parse::<Names>().is_ok(), "{text}");
        }
        for text in ["", "a,", "a b", "https://a", "a:80", "*", "a*.b", "-a", "é.com", "[::1]"] {
            assert_eq!(text.parse::<Names>(), Err(NoNames), "{text}");
        }
    }

    #[test]
    fn the_usual_names_come_first_and_none_twice() {
        let names: Names = "Localhost,example.com,0:0::1".parse().unwrap();
        assert_eq!(
            names.with_usual("box"),
            ["localhost", "127.0.0.1", "::1", "box", "server", "example.com"]
        );
        assert_eq!(Names::default().with_usual("no_host!").len(), 4);
    }
}
