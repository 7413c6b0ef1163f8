//! The route to a server. Names are looked up and files read once for a route; an [`attempt`] makes
//! one connection over it: TCP to one of the addresses ([`eyeballs`]), the [`tunnel`] through a
//! proxy, TLS and the upgrade.

mod attempt;
mod eyeballs;
mod tunnel;

use std::net::{IpAddr, SocketAddr};
use std::ops::Add;
use std::path::PathBuf;
use std::time::Duration;

use proto::deflate::Params;
use proto::limits::CONNECT_TIMEOUT;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::rustls::pki_types::ServerName;
use tracing::debug;

use super::Endpoint;
use super::error::ConnectError;
use super::fault::{CurrentStep, Fault, Progress, Step};
use super::lookup::Found;
use super::notice::Notice;
use super::phases::{Address, Phases};
use super::stream::Stream;
use super::tls::identity::Identity;
use super::tls::{Connector, Session, Trust};
use super::upgrade::{self, Agreed, HttpRequest, RequestOptions, Upgraded, upgrade};
use super::url::ServerUrl;
use attempt::{Attempt, timed};
use eyeballs::interleaved;
use tunnel::Tunnel;

/// The route to a server: through a proxy or directly, with the addresses and the TLS settings.
pub(crate) struct Route {
    url: ServerUrl,
    request: RequestOptions,
    compression: Notice,
    step: CurrentStep,
    first: FirstHost,
    tunnel: Option<Tunnel>,
    tls: Option<Connector>,
    /// Time of the name look-ups.
    dns: Option<Duration>,
}

/// The first host on the route: the proxy if there is one, or else the server.
enum FirstHost {
    Tcp(Vec<SocketAddr>),
    Unix(PathBuf),
}

/// A connection after the upgrade, and how it was made.
pub(crate) struct Reached {
    pub(crate) upgraded: Upgraded<Stream>,
    pub(crate) phases: Phases,
    pub(crate) address: Address,
    /// TLS with the server.
    pub(crate) session: Option<Session>,
    pub(crate) agreed: Agreed,
}

impl Route {
    /// Reads the trusted authorities and looks names up.
    ///
    /// # Errors
    /// Why there is no route.
    pub(crate) async fn find(endpoint: &Endpoint, deadline: Instant) -> Result<Self, ConnectError> {
        let Endpoint { url, trust, options } = endpoint;
        let step = options.step.clone();
        step.begin(Step::Name);
        let tls = connector(trust, url.tls_name(), options.identity.as_ref(), deadline).await?;
        let (tunnel, first, dns) = match &options.unix_socket {
            Some(path) => (None, FirstHost::Unix(path.clone()), None),
            None => Self::find_hosts(endpoint, deadline).await?,
        };
        let (request, compression) = (options.request.clone(), options.notices.compression.clone());
        Ok(Self { url: url.clone(), request, compression, step, first, tunnel, tls, dns })
    }

    /// The tunnel if there is a proxy, the first host, and the time of the name look-ups.
    async fn find_hosts(
        endpoint: &Endpoint,
        deadline: Instant,
    ) -> Result<(Option<Tunnel>, FirstHost, Option<Duration>), ConnectError> {
        let Endpoint { url, options, .. } = endpoint;
        let (mut host, mut port) = (url.host(), url.port());
        let (mut tunnel, mut dns) = (None, None);
        if let Some(proxy) = options.proxies.proxy_for(host, url.tls_name().is_some()) {
            debug!("{url} is reached through {proxy}");
            let (found, time) = Tunnel::find(proxy, endpoint, deadline).await?;
            (tunnel, dns) = (Some(found), time);
            (host, port) = (proxy.host(), proxy.port());
        }
        let found =
            looked_up(endpoint, (host, port), deadline).await.map_err(|error| match &tunnel {
                Some(tunnel) => error.after(&tunnel.proxy.to_string()),
                None => error,
            })?;
        let time = [dns, found.time].into_iter().flatten().reduce(Add::add);
        Ok((tunnel, FirstHost::Tcp(interleaved(found.addresses)), time))
    }

    /// Opens a connection from the local address that `source` returns for the remote one; `None`
    /// leaves the choice to the kernel.
    ///
    /// # Errors
    /// Why there is no connection; with several addresses, why not to the last one that accepted
    /// TCP.
    pub(crate) async fn connect(
        &self,
        deadline: Instant,
        source: impl Fn(IpAddr) -> Option<IpAddr>,
    ) -> Result<Reached, ConnectError> {
        let upgrade = async |stream: Stream, progress: &mut Progress, deadline: Instant| {
            self.upgrade(stream, &mut progress.phases, deadline).await
        };
        let ((upgraded, agreed), progress) =
            Attempt { route: self, source, last: upgrade }.run(deadline).await?;
        let Progress { phases, address, session, .. } = progress;
        // Every stream has an address.
        let address = address.unwrap_or_else(|| Address::Unix(PathBuf::new()));
        Ok(Reached { upgraded, phases, address, session, agreed })
    }

    /// Opens a stream to the server, through proxy and TLS, without the upgrade.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub(crate) async fn stream(&self, deadline: Instant) -> Result<Stream, ConnectError> {
        let last = async |stream: Stream, _: &mut Progress, _: Instant| Ok(stream);
        let attempt = Attempt { route: self, source: |_: IpAddr| None, last };
        attempt.run(deadline).await.map(|(stream, _)| stream)
    }

    /// The request that [`Self::connect`] sends, with a new key.
    ///
    /// # Errors
    /// When the URL cannot be put into a request, which its parser rules out.
    pub(crate) fn request(&self) -> Result<HttpRequest, ConnectError> {
        upgrade::request(&self.url, &self.request)
    }

    async fn upgrade(
        &self,
        stream: Stream,
        phases: &mut Phases,
        deadline: Instant,
    ) -> Result<(Upgraded<Stream>, Agreed), ConnectError> {
        self.step.begin(Step::Upgrade);
        let upgrade = upgrade(stream, &self.url, &self.request, self.tls.as_ref());
        let (upgraded, agreed) =
            timed(upgrade, "to the request for the upgrade", deadline, &mut phases.upgrade)
                .await??;
        if self.request.compress {
            self.log_compression(agreed.deflate);
        }
        Ok((upgraded.compressed(agreed.deflate), agreed))
    }

    /// Logs the answer to the offer of compression.
    fn log_compression(&self, agreed: Option<Params>) {
        self.compression.log(&match agreed {
            Some(params) => format!("messages are compressed: {params}"),
            None => "messages are not compressed: the server did not agree to it, or something between took the offer out".into(),
        });
    }

    fn first_host(&self) -> &str {
        self.tunnel.as_ref().map_or(self.url.host(), |tunnel| tunnel.proxy.host())
    }
}

/// The addresses of a host.
///
/// # Errors
/// Why the host has none.
async fn looked_up(
    endpoint: &Endpoint,
    (host, port): (&str, u16),
    deadline: Instant,
) -> Result<Found, ConnectError> {
    let begun = Instant::now();
    endpoint.options.lookup.find(host, port, deadline).await.map_err(|cause| {
        let phases = Phases { dns: Some(begun.elapsed()), ..Phases::default() };
        let progress = Progress { phases, ..Progress::default() };
        ConnectError::from(cause).of(Fault::NoName).at(progress)
    })
}

/// The TLS connector for the server of this name; `None` without a name, as there is no TLS then.
async fn connector(
    trust: &Trust,
    name: Option<&ServerName<'static>>,
    identity: Option<&Identity>,
    deadline: Instant,
) -> Result<Option<Connector>, String> {
    let Some(name) = name else { return Ok(None) };
    timeout_at(deadline, trust.connector(name, identity))
        .await
        .map_err(|_| format!("the authorities to trust were not read within {CONNECT_TIMEOUT:?}"))?
        .map(Some)
}
