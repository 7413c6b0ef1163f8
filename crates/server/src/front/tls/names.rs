//! The names that a certificate is for.

use std::net::IpAddr;
use std::str::FromStr;

use rustls_pki_types::DnsName;

/// Names in every certificate: those of the machine itself, and that of the service in Compose.
const USUAL: [&str; 4] = ["localhost", "127.0.0.1", "::1", "server"];

/// Length of the host name that Docker gives a container: the start of its ID, in hexadecimal.
const CONTAINER_ID: usize = 12;

/// Names and addresses of a server (`TLS_NAMES`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(Vec<String>);

/// The error for a text that is not a list of names.
const INVALID: &str =
    "allowed is a list of names and addresses, such as example.com,*.example.com,192.0.2.7";

impl Names {
    /// [`USUAL`], then these names, each once.
    #[must_use]
    pub fn with_usual(&self) -> Vec<String> {
        let mut names: Vec<String> = USUAL.map(Into::into).into();
        for name in &self.0 {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }
}

impl FromStr for Names {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let names = text.split(',').map(|part| normalized(part.trim()).ok_or(INVALID));
        names.collect::<Result<_, _>>().map(Self)
    }
}

/// The name of this host as a certificate has it. `None` if the name is not valid in a certificate,
/// and for the ID of a container, since each container has another one.
pub(super) fn host_name(text: &str) -> Option<String> {
    let is_container_id =
        text.len() == CONTAINER_ID && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_container_id { None } else { normalized(text) }
}

/// A name or address in the form that certificates have; `None` if it is neither.
pub(super) fn normalized(text: &str) -> Option<String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_string());
    }
    // A certificate has names without the dot of the root (RFC 5280, section 4.2.1.6).
    let name = text.strip_suffix('.').unwrap_or(text);
    let below = name.strip_prefix("*.");
    // Clients refuse a wildcard for a whole top-level domain.
    let is_wide = below.is_some_and(|below| !below.contains('.'));
    let is_name = DnsName::try_from(below.unwrap_or(name)).is_ok();
    (is_name && !is_wide && !name.ends_with('.')).then(|| name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_and_addresses_are_accepted() {
        for text in ["example.com", "*.Example.com,192.0.2.7", "::1", "a-b, c"] {
            assert!(text.parse::<Names>().is_ok(), "{text}");
        }
        for text in [
            "",
            "a,",
            "a b",
            "https://a",
            "a:80",
            "*",
            "a*.b",
            "-a",
            "é.com",
            "[::1]",
            "*.com",
            "a..",
            ".",
        ] {
            assert_eq!(text.parse::<Names>(), Err(INVALID), "{text}");
        }
    }

    #[test]
    fn the_usual_names_come_first_and_none_twice() {
        let names: Names = "Localhost.,example.com,0:0::1".parse().unwrap();
        let expected = ["localhost", "127.0.0.1", "::1", "server", "example.com"];
        assert_eq!(names.with_usual(), expected);
    }

    #[test]
    fn a_container_id_is_not_a_host_name() {
        assert_eq!(host_name("Box-2.example.com").as_deref(), Some("box-2.example.com"));
        for text in ["0123456789ab", "no_host!", ""] {
            assert_eq!(host_name(text), None, "{text}");
        }
    }
}
