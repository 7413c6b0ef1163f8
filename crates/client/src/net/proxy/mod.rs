//! Proxies: the choice of one ([`choice`], `bypass`), and the tunnel through it (`connect` for
//! HTTP, `socks` for SOCKS 5).

mod bypass;
pub mod choice;
mod connect;
mod socks;

use std::fmt;

use program::redacted;
use tokio_rustls::rustls::pki_types::ServerName;

use super::credentials::Credentials;
use super::error::ConnectError;
use super::stream::Stream;
use super::url::{host_and_port, parse_port};

const ALLOWED: &str = "allowed is [SCHEME://][USER:PASSWORD@]HOST[:PORT] with http, https, socks5 or socks5h as SCHEME, such as http://proxy:3128";

/// Default ports, those of curl.
const DEFAULT_PORT: u16 = 1080;
const DEFAULT_SECURE_PORT: u16 = 443;

/// The protocol of a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Protocol {
    /// HTTP, over TLS if there is a name, which the certificate must have.
    Http(Option<ServerName<'static>>),
    /// SOCKS 5; the proxy looks names up with `socks5h://`.
    Socks { looks_up: bool },
}

/// A proxy.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    /// How errors name the proxy: the URL without user and password, and its flag or variable.
    shown: String,
    protocol: Protocol,
    host: String,
    port: u16,
    credentials: Option<Credentials>,
}

impl Proxy {
    /// Parses the URL of a proxy, the value of the flag or variable `source`. The default scheme is
    /// `http`.
    ///
    /// # Errors
    /// The value without user and password, and what is allowed.
    pub fn parse(text: &str, source: &str) -> Result<Self, String> {
        parse(text, source)
            .ok_or_else(|| format!("{source} is {:?}, but {ALLOWED}", redacted(text)))
    }

    /// A name or an address. An IPv6 address has no brackets.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// The name that the certificate of the proxy must have; `None` without TLS.
    pub(super) fn tls_name(&self) -> Option<&ServerName<'static>> {
        match &self.protocol {
            Protocol::Http(name) => name.as_ref(),
            Protocol::Socks { .. } => None,
        }
    }

    /// Whether the client looks names up and the proxy gets addresses (`socks5://`).
    pub(super) fn wants_addresses(&self) -> bool {
        self.protocol == Protocol::Socks { looks_up: false }
    }

    /// Asks the proxy at the other end of `stream` to connect to a server.
    ///
    /// # Errors
    /// Why the proxy did not connect, and what to do.
    pub(super) async fn tunnel(
        &self,
        stream: Stream,
        target: &Target,
    ) -> Result<Stream, ConnectError> {
        let credentials = self.credentials.as_ref();
        let tunnel = match self.protocol {
            Protocol::Http(_) => connect::tunnel(stream, target, credentials).await,
            Protocol::Socks { .. } => {
                socks::tunnel(stream, target, credentials).await.map_err(ConnectError::from)
            }
        };
        tunnel.map_err(|error| error.after(&self.to_string()))
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the proxy {}", self.shown)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// The server that a proxy is to connect to: a name or an address, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) host: String,
    pub(super) port: u16,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

fn parse(text: &str, source: &str) -> Option<Proxy> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
    let scheme = scheme.to_ascii_lowercase();
    let (userinfo, address) = match rest.rsplit_once('@') {
        Some((userinfo, address)) => (Some(userinfo), address),
        None => (None, rest),
    };
    // A path has no meaning for a proxy; curl ignores it as well.
    let address = address.split('/').next()?;
    let (host, port) = host_and_port(address).ok()?;
    let (protocol, default_port) = match scheme.as_str() {
        "http" => (Protocol::Http(None), DEFAULT_PORT),
        "https" => {
            let name = ServerName::try_from(host).ok()?.to_owned();
            (Protocol::Http(Some(name)), DEFAULT_SECURE_PORT)
        }
        "socks5" => (Protocol::Socks { looks_up: false }, DEFAULT_PORT),
        "socks5h" => (Protocol::Socks { looks_up: true }, DEFAULT_PORT),
        _ => return None,
    };
    let credentials = userinfo.map(Credentials::from_userinfo).transpose().ok()?;
    if matches!(protocol, Protocol::Socks { .. }) && !credentials.as_ref().is_none_or(socks::fit) {
        return None;
    }
    Some(Proxy {
        shown: format!("{scheme}://{address} ({source})"),
        protocol,
        host: host.to_owned(),
        port: port.map_or(Ok(default_port), parse_port).ok()?,
        credentials,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parts_of_a_proxy() {
        for (text, shown, host, port) in [
            ("proxy", "http://proxy (-x)", "proxy", 1080),
            ("proxy:3128/x", "http://proxy:3128 (-x)", "proxy", 3128),
            ("HTTP://[::1]:3128", "http://[::1]:3128 (-x)", "::1", 3128),
            ("https://user:secret@proxy", "https://proxy (-x)", "proxy", 443),
            ("user:sec@ret@proxy:80", "http://proxy:80 (-x)", "proxy", 80),
            ("socks5://127.0.0.1", "socks5://127.0.0.1 (-x)", "127.0.0.1", 1080),
            ("socks5h://:secret@proxy:9050", "socks5h://proxy:9050 (-x)", "proxy", 9050),
        ] {
            let proxy = Proxy::parse(text, "-x").unwrap();
            assert_eq!(proxy.to_string(), format!("the proxy {shown}"));
            assert_eq!((proxy.host(), proxy.port()), (host, port), "{text}");
            assert_eq!(proxy.credentials.is_some(), text.contains("sec"), "{text}");
            assert_eq!(proxy.tls_name().is_some(), text.starts_with("https"), "{text}");
            assert_eq!(proxy.wants_addresses(), text.starts_with("socks5:"), "{text}");
            assert!(!format!("{proxy:?}").contains("sec"), "{proxy:?}");
        }
    }

    #[test]
    fn an_error_does_not_show_the_password() {
        let long = format!("socks5h://user:secret{}@proxy", "x".repeat(250));
        for text in [
            "",
            "http://",
            "ftp://user:secret@proxy",
            "user:secret@proxy:0",
            "user:secret%@proxy",
            "socks4://user:secret@proxy",
            "http://user:secret@pro xy",
            "https://user:secret@a..b",
            &long,
        ] {
            let error = Proxy::parse(text, "https_proxy").unwrap_err();
            assert!(error.starts_with("https_proxy is ") && error.ends_with(ALLOWED), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = Proxy::parse(&text, "-x");
            let _ = Proxy::parse(&format!("socks5://{text}"), "-x");
        }
    }
}
