//! The address of a server: `ws://HOST[:PORT][/PATH]`, or `wss://` (RFC 6455, section 3).

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use tokio_rustls::rustls::pki_types::ServerName;
use tokio_tungstenite::tungstenite::http::Uri;

/// Schemes, with their default ports.
const PLAIN: (&str, u16) = ("ws://", 80);
const SECURE: (&str, u16) = ("wss://", 443);

/// Where a server is, and which of its services is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerUrl {
    text: String,
    host: String,
    port: u16,
    tls_name: Option<ServerName<'static>>,
    uri: Uri,
}

impl ServerUrl {
    /// A name or an address; that of IPv6 without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; 80 where the URL names none, or 443 with TLS.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The name that the certificate of the server has to be for, if the URL asks for TLS.
    #[must_use]
    pub fn tls_name(&self) -> Option<&ServerName<'static>> {
        self.tls_name.as_ref()
    }

    /// The URL for a handshake.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.uri
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
        parse(text).ok_or_else(|| {
            "allowed is ws://HOST[:PORT][/PATH], or wss:// for TLS, such as ws://localhost:8765"
                .into()
        })
    }
}

fn parse(text: &str) -> Option<ServerUrl> {
    let ((scheme, default_port), rest) =
        [PLAIN, SECURE].into_iter().find_map(|scheme| Some((scheme, without(text, scheme.0)?)))?;
    if !rest.bytes().all(is_allowed) {
        return None;
    }
    let (authority, resource) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let (host, port) = match authority.strip_prefix('[') {
        Some(bracketed) => {
            let (host, port) = bracketed.split_once(']')?;
            host.parse::<Ipv6Addr>().ok()?;
            (host, port)
        }
        None => {
            let (host, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
            is_name(host).then_some((host, port))?
        }
    };
    let port = match port.strip_prefix(':') {
        Some(digits) => parse_port(digits)?,
        None => port.is_empty().then_some(default_port)?,
    };
    let tls_name =
        if scheme == SECURE.0 { Some(ServerName::try_from(host).ok()?.to_owned()) } else { None };
    let slash = if resource.starts_with('/') { "" } else { "/" };
    let uri = format!("{scheme}{authority}{slash}{resource}").parse().ok()?;
    Some(ServerUrl { text: text.to_owned(), host: host.to_owned(), port, tls_name, uri })
}

fn without<'a>(text: &'a str, scheme: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(scheme.len())?;
    start.eq_ignore_ascii_case(scheme).then_some(rest)
}

/// A fragment has no meaning for a WebSocket; whatever is not ASCII has to be percent-encoded.
fn is_allowed(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'#'
}

/// Letters, digits and what else occurs in the names of hosts and containers; an IPv4 address
/// looks the same.
fn is_name(host: &str) -> bool {
    !host.is_empty()
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

fn parse_port(digits: &str) -> Option<u16> {
    // A number type would take a sign as well.
    let are_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|&port| are_digits && port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_allowed() {
        for (text, host, port, uri) in [
            ("ws://localhost:8765", "localhost", 8765, "ws://localhost:8765/"),
            ("ws://server", "server", 80, "ws://server/"),
            (
                "WS://my_server-1.example.com/",
                "my_server-1.example.com",
                80,
                "ws://my_server-1.example.com/",
            ),
            ("ws://127.0.0.1:1/a/b?c=d:e", "127.0.0.1", 1, "ws://127.0.0.1:1/a/b?c=d:e"),
            ("ws://server?c=d", "server", 80, "ws://server/?c=d"),
            ("ws://[::1]", "::1", 80, "ws://[::1]/"),
            ("ws://[fe80::1:2]:65535/x", "fe80::1:2", 65535, "ws://[fe80::1:2]:65535/x"),
            ("wss://localhost:10443/echo", "localhost", 10443, "wss://localhost:10443/echo"),
            ("Wss://my_server", "my_server", 443, "wss://my_server/"),
            ("wss://127.0.0.1", "127.0.0.1", 443, "wss://127.0.0.1/"),
            ("wss://[::1]?c=d", "::1", 443, "wss://[::1]/?c=d"),
        ] {
            let url: ServerUrl = text.parse().unwrap();
            assert_eq!((url.host(), url.port()), (host, port), "{text}");
            assert_eq!(url.uri(), &uri.parse::<Uri>().unwrap(), "{text}");
            assert_eq!(url.to_string(), text);
            let name = url.tls_name().map(|name| name.to_str());
            assert_eq!(name.as_deref(), uri.starts_with("wss").then_some(host), "{text}");
        }
    }

    #[test]
    fn what_is_not() {
        for text in [
            "",
            "ws:",
            "ws://",
            "ws:///path",
            "ws://:8765",
            "ws://?query",
            "localhost:8765",
            "wss:",
            "wss://",
            "wss://:8765",
            "wss://localhost:0",
            "wss://no certificate/",
            "wss://no..name",
            "wss://-",
            "wss://127.1",
            "wsss://localhost",
            "http://localhost:8765",
            "ws:/localhost",
            " ws://localhost",
            "ws://localhost ",
            "\"ws://localhost\"",
            "ws://localhost:",
            "ws://localhost:0",
            "ws://localhost:+80",
            "ws://localhost:-1",
            "ws://localhost:65536",
            "ws://localhost:port",
            "ws://localhost:80:80",
            "ws://user@localhost",
            "ws://user:secret@localhost",
            "ws://local host",
            "ws://localhost/a b",
            "ws://localhost/#fragment",
            "ws://bücher.example",
            "ws://localhost/\u{9b}31m",
            "ws://::1",
            "ws://::1:8765",
            "ws://[::1",
            "ws://[::1]8765",
            "ws://[]:8765",
            "ws://[localhost]:8765",
            "ws://[::1]:x",
            "ws€://x",
        ] {
            let error = text.parse::<ServerUrl>().unwrap_err();
            assert!(error.contains("ws://HOST[:PORT][/PATH]"), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = text.parse::<ServerUrl>();
            let _ = format!("ws://{text}").parse::<ServerUrl>();
            let _ = format!("wss://{text}").parse::<ServerUrl>();
        }

        #[test]
        fn what_is_taken_can_be_asked_for(
            scheme in "wss?",
            rest in "[a-z\\[\\]:0-9/?.@#%]{0,12}",
        ) {
            if let Ok(url) = format!("{scheme}://{rest}").parse::<ServerUrl>() {
                prop_assert!(!url.host().is_empty());
                prop_assert!(url.uri().host().is_some_and(|host| host.contains(url.host())));
                prop_assert_eq!(url.tls_name().is_some(), scheme == "wss");
                let default = if scheme == "wss" { 443 } else { 80 };
                prop_assert_eq!(url.uri().port_u16().unwrap_or(default), url.port());
                prop_assert!(url.uri().path_and_query().is_some_and(|path| path.as_str().starts_with('/')));
            }
        }
    }
}
