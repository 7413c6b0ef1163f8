//! The options of all modes for how to connect, with the names of curl's options.
//!
//! These options have no environment variables: a variable `USER`, `HEADER` or `PROXY` may be there
//! for another program. Secrets can still be kept off the command line: `--header @FILE` reads a
//! file, `SERVER_URL` may hold a user and password, and so may curl's variables for proxies.

use std::env::{self, VarError};
use std::path::PathBuf;

use clap::Args;
use hyper::header::{HeaderValue, ORIGIN};

use super::header;
use crate::net::credentials::Credentials;
use crate::net::lookup::{Family, Lookup, Override};
use crate::net::options::ConnectOptions;
use crate::net::proxy::choice::{Proxies, Schemes};
use crate::net::tls::authorities::Authorities;
use crate::net::tls::identity::Identity;
use crate::net::upgrade::RequestOptions;
use crate::net::url::ServerUrl;

/// The arguments for how to connect.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "The way to the server, as with curl (no variables)")]
pub(super) struct ConnectArgs {
    /// Header to send with the request, or @FILE with one a line; may be repeated
    #[arg(short = 'H', long = "header", global = true, value_name = "NAME: VALUE")]
    headers: Vec<String>,

    /// User and password for the server (Basic authentication)
    #[arg(short = 'u', long, global = true, value_name = "USER:PASSWORD")]
    user: Option<String>,

    /// Proxy: http://, https://, socks5:// or socks5h://; empty for none
    /// [default: that of `https_proxy`, `all_proxy` and so on, but for `NO_PROXY`]
    #[arg(short = 'x', long, global = true, value_name = "URL")]
    proxy: Option<String>,

    /// Address of a host and a port, in place of a look-up; may be repeated
    #[arg(long, global = true, value_name = "HOST:PORT:ADDRESS", value_parser = str::parse::<Override>)]
    resolve: Vec<Override>,

    /// Uses IPv4 addresses only
    #[arg(short = '4', long, global = true, conflicts_with = "ipv6")]
    ipv4: bool,

    /// Uses IPv6 addresses only
    #[arg(short = '6', long, global = true)]
    ipv6: bool,

    /// Unix socket to connect to, in place of host and port
    #[arg(long, global = true, value_name = "PATH", conflicts_with = "proxy")]
    unix_socket: Option<PathBuf>,

    /// Certificate that the client shows at wss://, in PEM
    #[arg(long, global = true, value_name = "PATH")]
    cert: Option<PathBuf>,

    /// Private key of the certificate [default: in the file of --cert]
    #[arg(long, global = true, value_name = "PATH")]
    key: Option<PathBuf>,

    /// Follows redirects, and reports each one
    #[arg(short = 'L', long, global = true)]
    location: bool,

    /// Subprotocol to offer, the most wanted first; may be repeated
    #[arg(long = "subprotocol", global = true, value_name = "NAME", value_delimiter = ',', value_parser = subprotocol)]
    subprotocols: Vec<String>,

    /// Offers to compress messages (permessage-deflate), and reports whether the server does
    #[arg(long, global = true)]
    compress: bool,

    /// Header Origin, as a browser sends it
    #[arg(long, global = true, value_name = "URL")]
    origin: Option<String>,
}

impl ConnectArgs {
    /// How to connect to `url`.
    ///
    /// # Errors
    /// Which flag or variable is wrong, without user and password.
    pub(super) fn options(
        &self,
        url: &ServerUrl,
        authorities: Option<&Authorities>,
    ) -> Result<ConnectOptions, String> {
        Ok(ConnectOptions {
            request: self.request()?,
            lookup: Lookup { family: self.family(), overrides: self.resolve.clone() },
            proxies: Proxies::choose(self.proxy.as_deref(), self.schemes(url), variable)?,
            proxy_authorities: authorities.cloned(),
            unix_socket: self.unix_socket.clone(),
            identity: self.identity()?,
            follows_redirects: self.location,
            ..ConnectOptions::default()
        })
    }

    fn request(&self) -> Result<RequestOptions, String> {
        let mut headers = header::parse_all(&self.headers)?;
        if let Some(origin) = &self.origin {
            let origin = HeaderValue::from_str(origin).map_err(|_| {
                format!("--origin is {origin:?}, but allowed is text in one line, such as https://example.com")
            })?;
            headers.insert(ORIGIN, origin);
        }
        Ok(RequestOptions {
            headers,
            credentials: self.user.as_deref().map(credentials).transpose()?,
            subprotocols: self.subprotocols.clone(),
            compress: self.compress,
        })
    }

    fn family(&self) -> Family {
        match (self.ipv4, self.ipv6) {
            (true, _) => Family::V4,
            (_, true) => Family::V6,
            _ => Family::Any,
        }
    }

    /// The schemes that a proxy may be needed for.
    fn schemes(&self, url: &ServerUrl) -> Schemes {
        match url.tls_name() {
            _ if self.location => Schemes::Any,
            Some(_) => Schemes::Secure,
            None => Schemes::Plain,
        }
    }

    fn identity(&self) -> Result<Option<Identity>, String> {
        match (&self.cert, &self.key) {
            (Some(cert), key) => {
                let identity = Identity::new(cert.clone(), key.clone());
                identity.check().map(|()| Some(identity))
            }
            (None, Some(_)) => {
                Err("--key is given without --cert: give the certificate as well".into())
            }
            (None, None) => Ok(None),
        }
    }
}

/// The value of a variable for a proxy.
///
/// # Errors
/// Which variable is not UTF-8; its value may hold a password.
fn variable(name: &str) -> Result<Option<String>, String> {
    match env::var(name) {
        Ok(value) => Ok(Some(value)),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => {
            Err(format!("{name} has bytes that are not UTF-8, but allowed is text in UTF-8"))
        }
    }
}

fn credentials(pair: &str) -> Result<Credentials, String> {
    Credentials::from_pair(pair).ok_or_else(|| {
        "--user has no password in it: write USER:PASSWORD, or USER: if that is empty".into()
    })
}

/// The name of a subprotocol: a token (RFC 6455, section 4.1; RFC 9110, section 5.6.2).
fn subprotocol(text: &str) -> Result<String, String> {
    let is_of_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    match text.bytes().all(is_of_token) && !text.is_empty() {
        true => Ok(text.to_owned()),
        false => Err(
            "allowed is the name of a subprotocol, of letters, digits and !#$%&'*+-.^_`|~, such as graphql-ws"
                .into(),
        ),
    }
}
