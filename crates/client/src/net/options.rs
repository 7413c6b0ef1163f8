//! How a server is reached: what curl has flags for.

use std::path::PathBuf;

use super::lookup::Lookup;
use super::notice::Notice;
use super::proxy::choice::Proxies;
use super::tls::authorities::Authorities;
use super::tls::identity::Identity;
use super::upgrade::RequestOptions;

/// How a server is reached. The default is the direct way.
#[derive(Clone, Debug, Default)]
pub struct ConnectOptions {
    /// What the request for the upgrade holds.
    pub request: RequestOptions,
    /// How names are looked up.
    pub lookup: Lookup,
    /// The proxies.
    pub proxies: Proxies,
    /// Who may vouch for a proxy of `https://`, beside the authorities of the system.
    pub proxy_authorities: Option<Authorities>,
    /// A Unix socket in place of the host and the port in the URL, and of any proxy.
    pub unix_socket: Option<PathBuf>,
    /// The client's own certificate.
    pub identity: Option<Identity>,
    /// Whether redirects are followed.
    pub follows_redirects: bool,
    /// What was told about the way last, which is not told again at each connection.
    pub(crate) notices: Notices,
}

/// What is told about the way to a server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notices {
    pub(crate) redirect: Notice,
    pub(crate) subprotocol: Notice,
    pub(crate) compression: Notice,
}
