//! How to connect to a server, with the choices that curl has options for.

use std::path::PathBuf;

use super::fault::CurrentStep;
use super::lookup::Lookup;
use super::notice::Notice;
use super::proxy::choice::Proxies;
use super::tls::authorities::Authorities;
use super::tls::identity::Identity;
use super::upgrade::RequestOptions;

/// How to connect to a server. The default is a direct connection.
#[derive(Clone, Debug, Default)]
pub struct ConnectOptions {
    /// Headers and offers of the upgrade request.
    pub request: RequestOptions,
    /// How names are looked up.
    pub lookup: Lookup,
    /// The proxies.
    pub proxies: Proxies,
    /// Authorities trusted for an `https://` proxy, in addition to those of the system.
    pub proxy_authorities: Option<Authorities>,
    /// A Unix socket in place of the host and the port in the URL, and of any proxy.
    pub unix_socket: Option<PathBuf>,
    /// The client certificate.
    pub identity: Option<Identity>,
    /// Whether redirects are followed.
    pub follows_redirects: bool,
    /// Events that are logged when they change, and not for each connection.
    pub(crate) notices: Notices,
    /// The step that the last attempt to connect has reached.
    pub(crate) step: CurrentStep,
}

/// Events about how a server was reached.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notices {
    pub(crate) redirect: Notice,
    pub(crate) subprotocol: Notice,
    pub(crate) compression: Notice,
}
