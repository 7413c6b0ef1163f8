//! The URL of a server: `ws://HOST[:PORT][/PATH]`, or `wss://` (RFC 6455, section 3).

mod fault;

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use tokio_rustls::rustls::pki_types::ServerName;

use super::credentials::Credentials;
use fault::Fault;

/// Schemes with their default ports. `http` and `https` are accepted as well: users copy such URLs
/// from a browser.
const PLAIN: (&[&str], u16) = (&["ws", "http"], 80);
const SECURE: (&[&str], u16) = (&["wss", "https"], 443);

/// The URL of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerUrl {
    /// The URL as it was given, without user and password.
    text: String,
    host: String,
    port: u16,
    default_port: u16,
    tls_name: Option<ServerName<'static>>,
    resource: String,
    credentials: Option<Credentials>,
}

impl ServerUrl {
    /// A name or an address. An IPv6 address has no brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; without one in the URL, 80, or 443 with TLS.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The name that the certificate of the server must have; `None` without TLS.
    #[must_use]
    pub fn tls_name(&self) -> Option<&ServerName<'static>> {
        self.tls_name.as_ref()
    }

    /// Path and query: the resource name of RFC 6455, section 3.
    #[must_use]
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// The path without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.resource.split('?').next().unwrap_or_default()
    }

    /// The value of the header `Host`: with the port, unless it is the default (RFC 6455, section
    /// 4.1).
    #[must_use]
    pub fn host_header(&self) -> String {
        let host =
            if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == self.default_port { host } else { format!("{host}:{}", self.port) }
    }

    /// User and password, if the URL has them.
    #[must_use]
    pub fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for ServerUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse(text).map_err(|fault| fault.explain(text))
    }
}

fn parse(text: &str) -> Result<ServerUrl, Fault> {
    let (scheme, rest) = text.split_once("://").ok_or(Fault::NoScheme)?;
    let (_, default_port) = [PLAIN, SECURE]
        .into_iter()
        .find(|(names, _)| names.iter().any(|name| scheme.eq_ignore_ascii_case(name)))
        .ok_or(Fault::Scheme)?;
    let (authority, resource) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (userinfo, address) = match authority.rsplit_once('@') {
        Some((userinfo, address)) => (Some(userinfo), address),
        None => (None, authority),
    };
    let (host, port) = host_and_port(address)?;
    let port = match port {
        Some(digits) => parse_port(digits)?,
        None => default_port,
    };
    let tls_name = match default_port == SECURE.1 {
        true => Some(ServerName::try_from(host).map_err(|_| Fault::Host(host.into()))?.to_owned()),
        false => None,
    };
    check_resource(resource)?;
    let slash = if resource.starts_with('/') { "" } else { "/" };
    Ok(ServerUrl {
        text: format!("{scheme}://{address}{resource}"),
        host: host.to_owned(),
        port,
        default_port,
        tls_name,
        resource: format!("{slash}{resource}"),
        credentials: userinfo
            .map(Credentials::from_userinfo)
            .transpose()
            .map_err(Fault::Credentials)?,
    })
}

/// Splits an address into the host, without brackets, and the port.
pub(super) fn host_and_port(address: &str) -> Result<(&str, Option<&str>), Fault> {
    if let Some(bracketed) = address.strip_prefix('[') {
        let fault = || Fault::Host(address.into());
        let (host, rest) = bracketed.split_once(']').ok_or_else(fault)?;
        host.parse::<Ipv6Addr>().map_err(|_| fault())?;
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(fault()),
        };
    }
    if address.parse::<Ipv6Addr>().is_ok() {
        return Err(Fault::BareIpv6(address.into()));
    }
    let (host, port) = match address.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (address, None),
    };
    match host {
        "" => Err(Fault::NoHost),
        host if !host.is_ascii() => Err(Fault::International(host.into())),
        host if !host.bytes().all(is_of_name) => Err(Fault::Host(host.into())),
        host => Ok((host, port)),
    }
}

/// Whether a host name, the name of a container or an IPv4 address may have this byte.
fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)
}

pub(super) fn parse_port(digits: &str) -> Result<u16, Fault> {
    // `parse` would accept a sign.
    let are_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    let port = digits.parse().ok().filter(|&port| are_digits && port > 0);
    port.ok_or_else(|| Fault::Port(digits.into()))
}

fn check_resource(resource: &str) -> Result<(), Fault> {
    let unusable = resource.find(|c: char| c == '#' || !c.is_ascii_graphic());
    match unusable.map(|at| &resource[at..]) {
        None => Ok(()),
        Some(fragment) if fragment.starts_with('#') => Err(Fault::Fragment(fragment.into())),
        Some(rest) => Err(rest.chars().next().map_or(Fault::NoScheme, Fault::Unencoded)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use program::redacted;
    use proptest::prelude::*;

    #[test]
    fn parts_of_a_url() {
        for (text, host, port, header, resource) in [
            ("ws://localhost:8765", "localhost", 8765, "localhost:8765", "/"),
            ("ws://server", "server", 80, "server", "/"),
            (
                "WS://my_server-1.example.com/",
                "my_server-1.example.com",
                80,
                "my_server-1.example.com",
                "/",
            ),
            ("ws://127.0.0.1:1/a/b?c=d:e", "127.0.0.1", 1, "127.0.0.1:1", "/a/b?c=d:e"),
            ("ws://server?c=d@e", "server", 80, "server", "/?c=d@e"),
            ("ws://server:80/@", "server", 80, "server", "/@"),
            ("ws://[::1]", "::1", 80, "[::1]", "/"),
            ("ws://[fe80::1:2]:65535/x", "fe80::1:2", 65535, "[fe80::1:2]:65535", "/x"),
            ("http://localhost:8765/ws", "localhost", 8765, "localhost:8765", "/ws"),
            ("wss://localhost:10443/echo", "localhost", 10443, "localhost:10443", "/echo"),
            ("Wss://my_server", "my_server", 443, "my_server", "/"),
            ("wss://127.0.0.1:80", "127.0.0.1", 80, "127.0.0.1:80", "/"),
            ("https://[::1]?c=d", "::1", 443, "[::1]", "/?c=d"),
        ] {
            let url: ServerUrl = text.parse().unwrap();
            assert_eq!((url.host(), url.port()), (host, port), "{text}");
            assert_eq!((url.host_header().as_str(), url.resource()), (header, resource), "{text}");
            assert_eq!(url.to_string(), text);
            let is_secure = text.to_ascii_lowercase().split(':').next().unwrap().ends_with('s')
                && !text.to_ascii_lowercase().starts_with("ws:");
            let name = url.tls_name().map(|name| name.to_str().into_owned());
            assert_eq!(name.as_deref(), is_secure.then_some(host), "{text}");
            assert_eq!(url.credentials(), None, "{text}");
        }
    }

    #[test]
    fn user_and_password_are_taken_and_not_shown() {
        let url: ServerUrl = "ws://user:p%40ss:w@rd@server:1/x".parse().unwrap();
        assert_eq!((url.host(), url.port(), url.resource()), ("server", 1, "/x"));
        assert_eq!(url.to_string(), "ws://server:1/x");
        assert!(!format!("{url:?}").contains("ss"), "{url:?}");
        assert_eq!(url.credentials(), Some(&Credentials::from_userinfo("user:p@ss:w@rd").unwrap()));
    }

    #[test]
    fn each_fault_is_explained() {
        for (text, expected) in [
            (
                "",
                "allowed is ws://HOST[:PORT][/PATH], or wss:// for TLS, such as ws://localhost:8765",
            ),
            (
                "localhost:8765",
                "the scheme is missing: write ws://localhost:8765, or wss:// for TLS",
            ),
            ("ws:/localhost", "\"://\" stands behind the scheme: write ws://localhost"),
            ("wss:localhost/x", "\"://\" stands behind the scheme: write wss://localhost/x"),
            ("ws:8765", "the scheme is missing: write ws://ws:8765, "),
            ("ftp://localhost", "the scheme ftp is not known: "),
            (" ws://localhost", "the scheme  ws is not known: "),
            ("ws€://x", "the scheme ws€ is not known: "),
            ("ws://", "the host is missing: "),
            ("ws:///path", "the host is missing: "),
            ("ws://:8765", "the host is missing: "),
            ("ws://user:secret@", "the host is missing: "),
            ("wss://?query", "the host is missing: "),
            (
                "ws://localhost:99999",
                "the port 99999 is not allowed: it is a number from 1 to 65535",
            ),
            ("ws://localhost:0", "the port 0 is not allowed: "),
            ("ws://localhost:", "the port is empty: "),
            ("ws://localhost:+80", "the port +80 is not allowed: "),
            ("ws://localhost:-1/x", "the port -1 is not allowed: "),
            ("ws://localhost:80:80", "the port 80:80 is not allowed: "),
            ("ws://[::1]:x", "the port x is not allowed: "),
            (
                "ws://localhost/#x",
                "the fragment #x has no meaning for a WebSocket (RFC 6455, section 3): leave it out, or write %23 for a # in the path",
            ),
            ("ws://localhost#", "the fragment # has no meaning"),
            (
                "ws://Bücher.example:1/x",
                "a host is written in ASCII: xn--bcher-kva.example in place of Bücher.example",
            ),
            ("ws://x.\u{9b}31m", "a host is written in ASCII: "),
            ("ws://localhost/ä", "an \"ä\" in the path is written as %C3%A4"),
            ("ws://localhost/a b", "an \" \" in the path is written as %20"),
            ("ws://localhost ", "the host \"localhost \" is not allowed: "),
            ("ws://local host", "the host \"local host\" is not allowed: "),
            ("wss://no..name", "the host \"no..name\" is not allowed: "),
            ("wss://127.1", "the host \"127.1\" is not allowed: "),
            ("wss://-", "the host \"-\" is not allowed: "),
            ("ws://::1", "an IPv6 address stands in brackets: [::1] in place of ::1"),
            ("ws://[::1", "the host \"[::1\" is not allowed: "),
            ("ws://[::1]8765", "the host \"[::1]8765\" is not allowed: "),
            ("ws://[]:8765", "the host \"[]:8765\" is not allowed: "),
            ("ws://[localhost]:8765", "the host \"[localhost]:8765\" is not allowed: "),
            ("ws://user:secret%@server", "a % in its user or password "),
        ] {
            let error = text.parse::<ServerUrl>().unwrap_err();
            assert!(error.starts_with(expected), "{text}: {error}");
            assert!(!error.chars().any(char::is_control), "{text}: {error:?}");
        }
    }

    #[test]
    fn no_fault_shows_a_password() {
        for text in [
            "ws://user:secret@",
            "ws://user:secret@host:99999",
            "ws://user:sec/ret@host",
            "ws://user:sec#ret@host",
            "ws://user:sec?ret@host",
            "ws://user:12345678/ret@host",
            "ftp://user:secret@host",
            "user:secret@host",
            "ws:user:secret@host",
            "ws://user:secret@ho st",
            "ws://user:secret@höst",
            "ws://user:secret@::1",
            "ws://user:secret@host/ä",
            "ws://user:secret%@host",
        ] {
            let shown = match text.parse::<ServerUrl>() {
                Ok(url) => url.to_string(),
                Err(fault) => format!("{} {fault}", redacted(text)),
            };
            for secret in ["sec", "ret", "12345678"] {
                assert!(!shown.replace("secti", "").contains(secret), "{text}: {shown}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = text.parse::<ServerUrl>();
            let _ = format!("ws://{text}").parse::<ServerUrl>();
            let _ = format!("wss://{text}").parse::<ServerUrl>();
            let _ = redacted(&text);
        }

        #[test]
        fn an_accepted_url_fits_into_a_request(
            scheme in "wss?|https?",
            rest in "[a-z\\[\\]:0-9/?.@#%]{0,12}",
        ) {
            if let Ok(url) = format!("{scheme}://{rest}").parse::<ServerUrl>() {
                prop_assert!(!url.host().is_empty());
                prop_assert!(url.port() > 0);
                prop_assert!(url.resource().starts_with('/'));
                prop_assert!(url.resource().parse::<hyper::Uri>().is_ok());
                prop_assert!(hyper::header::HeaderValue::try_from(url.host_header()).is_ok());
                prop_assert_eq!(url.tls_name().is_some(), scheme.ends_with("ss") || scheme == "https");
            }
        }
    }
}
