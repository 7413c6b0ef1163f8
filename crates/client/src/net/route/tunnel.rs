//! The tunnel through a proxy.

use std::time::Duration;

use tokio::time::Instant;

use super::eyeballs::interleaved;
use super::{connector, looked_up};
use crate::net::Endpoint;
use crate::net::error::ConnectError;
use crate::net::fault::Fault;
use crate::net::proxy::{Proxy, Target};
use crate::net::stream::Stream;
use crate::net::tls::{Connector, Trust};

/// A proxy, and the addresses of the server to connect to through it.
pub(super) struct Tunnel {
    pub(super) proxy: Proxy,
    tls: Option<Connector>,
    /// The server by name, or each of its addresses.
    pub(super) targets: Vec<Target>,
}

impl Tunnel {
    /// Resolves the server for `proxy`. Returns the time of the look-up as well, if the client has
    /// to look the server up.
    ///
    /// # Errors
    /// Why there is no trusted authority for the proxy, or no address of the server.
    pub(super) async fn find(
        proxy: &Proxy,
        endpoint: &Endpoint,
        deadline: Instant,
    ) -> Result<(Self, Option<Duration>), ConnectError> {
        let Endpoint { url, options, .. } = endpoint;
        // `--insecure` does not apply to the proxy: the proxy gets a password.
        let trust = Trust::Known(options.proxy_authorities.clone());
        let tls = connector(&trust, proxy.tls_name(), None, deadline)
            .await
            .map_err(|cause| format!("{proxy}: {cause}"))?;
        let target = |host: &dyn ToString| Target { host: host.to_string(), port: url.port() };
        let (targets, time) = if proxy.wants_addresses() {
            let found = looked_up(endpoint, (url.host(), url.port()), deadline).await?;
            let addresses = interleaved(found.addresses);
            (addresses.iter().map(|address| target(&address.ip())).collect(), found.time)
        } else {
            (vec![target(&url.host())], None)
        };
        Ok((Self { proxy: proxy.clone(), tls, targets }, time))
    }

    /// Asks the proxy at the other end of `stream` to connect to `target`.
    ///
    /// # Errors
    /// Why the proxy did not connect.
    pub(super) async fn open(
        &self,
        mut stream: Stream,
        target: &Target,
    ) -> Result<Stream, ConnectError> {
        if let Some(tls) = &self.tls {
            let secure = tls.secure(stream, &mut None).await;
            // The kinds of `Fault` about TLS mean the server.
            let failed =
                |error: ConnectError| error.of(Fault::Other).after(&self.proxy.to_string());
            stream = secure.map_err(failed)?;
        }
        self.proxy.tunnel(stream, target).await
    }
}
