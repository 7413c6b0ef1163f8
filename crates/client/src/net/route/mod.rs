//! The way to a server: the addresses of the first host on it, TCP to one of them ([`eyeballs`]),
//! the [`tunnel`] through a proxy, TLS and the upgrade.

mod eyeballs;
mod tunnel;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use proto::deflate::Params;
use proto::limits::CONNECT_TIMEOUT;
use tokio::net::{TcpSocket, TcpStream, UnixStream};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::rustls::pki_types::ServerName;
use tracing::debug;

use super::Endpoint;
use super::error::ConnectError;
use super::fault::{Fault, Progress};
use super::lookup::Found;
use super::notice::Notice;
use super::phases::{Address, Phases};
use super::proxy::Target;
use super::stream::Stream;
use super::tls::identity::Identity;
use super::tls::{Connector, Session, Trust};
use super::upgrade::{self, Agreed, HttpRequest, RequestOptions, Upgraded, upgrade};
use super::url::ServerUrl;
use crate::words::seconds;
use eyeballs::{Failure, interleaved, race};
use tunnel::Tunnel;

/// The way to a server.
pub(crate) struct Route {
    url: ServerUrl,
    request: RequestOptions,
    compression: Notice,
    first: FirstHost,
    tunnel: Option<Tunnel>,
    tls: Option<Connector>,
    /// What the look-up of names took.
    dns: Option<Duration>,
}

/// Where the first connection goes: to the server, or to the proxy.
enum FirstHost {
    Tcp(Vec<SocketAddr>),
    Unix(PathBuf),
}

/// A server that was reached, and how that went.
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
    /// Why there is no way.
    pub(crate) async fn find(endpoint: &Endpoint, deadline: Instant) -> Result<Self, ConnectError> {
        let Endpoint { url, trust, options } = endpoint;
        let tls = connector(trust, url.tls_name(), options.identity.as_ref(), deadline).await?;
        let (tunnel, first, dns) = match &options.unix_socket {
            Some(path) => (None, FirstHost::Unix(path.clone()), None),
            None => Self::find_hosts(endpoint, deadline).await?,
        };
        let (request, compression) = (options.request.clone(), options.notices.compression.clone());
        Ok(Self { url: url.clone(), request, compression, first, tunnel, tls, dns })
    }

    /// The proxy if there is one, the first host, and what the look-up of names took.
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
        Ok((tunnel, FirstHost::Tcp(interleaved(found.addresses)), sum(dns, found.time)))
    }

    /// Makes a connection, from the local address that `source` names for the other one, if any.
    ///
    /// # Errors
    /// Why there is no connection; with several addresses, why not to the last one.
    pub(crate) async fn connect(
        &self,
        deadline: Instant,
        source: impl Fn(IpAddr) -> Option<IpAddr>,
    ) -> Result<Reached, ConnectError> {
        let upgrade = async |stream, progress: &mut Progress, deadline| {
            self.upgrade(stream, &mut progress.phases, deadline).await
        };
        let ((upgraded, agreed), progress) = self.lead(deadline, &source, &upgrade).await?;
        let Progress { phases, address, session, .. } = progress;
        // Each stream comes from an address.
        let address = address.unwrap_or_else(|| Address::Unix(PathBuf::new()));
        Ok(Reached { upgraded, phases, address, session, agreed })
    }

    /// Makes a stream to the server, through proxy and TLS, on which nothing was asked for yet.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub(crate) async fn stream(&self, deadline: Instant) -> Result<Stream, ConnectError> {
        let as_it_is = async |stream, _: &mut Progress, _| Ok(stream);
        let (stream, _) = self.lead(deadline, &|_| None, &as_it_is).await?;
        Ok(stream)
    }

    /// The request for the upgrade that [`Self::connect`] sends, with a key of its own.
    ///
    /// # Errors
    /// When the URL cannot be put into a request, which its parser rules out.
    pub(crate) fn request(&self) -> Result<HttpRequest, ConnectError> {
        upgrade::request(&self.url, &self.request)
    }

    /// Makes a stream to the server and does `last` over it.
    async fn lead<T>(
        &self,
        deadline: Instant,
        source: &impl Fn(IpAddr) -> Option<IpAddr>,
        last: &impl AsyncFn(Stream, &mut Progress, Instant) -> Result<T, ConnectError>,
    ) -> Result<(T, Progress), ConnectError> {
        let Some(tunnel) = &self.tunnel else {
            return self.reach(None, deadline, source, last).await;
        };
        let mut cause = "the proxy has no address to connect to".into();
        for (left, target) in (1..=tunnel.targets.len()).rev().zip(&tunnel.targets) {
            let share = share(deadline, left);
            match self.reach(Some((tunnel, target)), share, source, last).await {
                Err(error) if error.redirect().is_none() => cause = error,
                outcome => return outcome,
            }
            debug!("{target}: {cause}");
        }
        Err(cause)
    }

    /// The server over the first host, directly or through a tunnel.
    async fn reach<T>(
        &self,
        tunnel: Option<(&Tunnel, &Target)>,
        deadline: Instant,
        source: &impl Fn(IpAddr) -> Option<IpAddr>,
        last: &impl AsyncFn(Stream, &mut Progress, Instant) -> Result<T, ConnectError>,
    ) -> Result<(T, Progress), ConnectError> {
        match &self.first {
            FirstHost::Tcp(addresses) => {
                self.reach_one_of(addresses.clone(), tunnel, deadline, source, last).await
            }
            FirstHost::Unix(path) => {
                let begun = Instant::now();
                let stream = UnixStream::connect(path).await;
                let progress = self.progress(Some(Address::Unix(path.clone())), begun, tunnel);
                match stream {
                    Ok(stream) => {
                        self.go_on(Stream::Unix(stream), tunnel, progress, deadline, last).await
                    }
                    Err(error) => {
                        let cause = format!("the Unix socket {}: {error}", path.display());
                        let fault = Fault::Unreachable { is_refused: true };
                        Err(ConnectError::from(cause).of(fault).at(progress))
                    }
                }
            }
        }
    }

    /// How far a connection came whose TCP began then, and is over now.
    fn progress(
        &self,
        address: Option<Address>,
        begun: Instant,
        tunnel: Option<(&Tunnel, &Target)>,
    ) -> Progress {
        let phases = Phases { dns: self.dns, tcp: Some(begun.elapsed()), ..Phases::default() };
        let proxy = tunnel.map(|(tunnel, _)| tunnel.proxy.to_string());
        Progress { phases, address, proxy, session: None }
    }

    /// The server at one of these addresses. Each has its share of the time up to `deadline`, so
    /// that one that accepts and is silent leaves time to the others.
    async fn reach_one_of<T>(
        &self,
        mut addresses: Vec<SocketAddr>,
        tunnel: Option<(&Tunnel, &Target)>,
        deadline: Instant,
        source: &impl Fn(IpAddr) -> Option<IpAddr>,
        last: &impl AsyncFn(Stream, &mut Progress, Instant) -> Result<T, ConnectError>,
    ) -> Result<(T, Progress), ConnectError> {
        let mut furthest: Option<ConnectError> = None;
        loop {
            let begun = Instant::now();
            let attempt = async |address: SocketAddr| tcp(address, source(address.ip())).await;
            let (address, stream) = match race(&addresses, deadline, attempt).await {
                Ok(connected) => connected,
                // An address that got further has more to tell.
                Err(failures) => {
                    let error = || {
                        let address = failures.first().map(|(address, _)| Address::Tcp(*address));
                        self.unreachable(&failures).at(self.progress(address, begun, tunnel))
                    };
                    return Err(furthest.unwrap_or_else(error));
                }
            };
            let progress = self.progress(Some(Address::Tcp(address)), begun, tunnel);
            let share = share(deadline, addresses.len());
            let stream = Stream::Tcp(stream);
            let cause = match self.go_on(stream, tunnel, progress, share, last).await {
                Ok(outcome) => return Ok(outcome),
                Err(cause) => cause,
            };
            debug!(%address, "{cause}");
            addresses.retain(|other| *other != address);
            if addresses.is_empty() || cause.redirect().is_some() {
                return Err(cause);
            }
            furthest = Some(cause);
        }
    }

    /// What is left to do over a stream to the first host.
    async fn go_on<T>(
        &self,
        stream: Stream,
        tunnel: Option<(&Tunnel, &Target)>,
        mut progress: Progress,
        deadline: Instant,
        last: &impl AsyncFn(Stream, &mut Progress, Instant) -> Result<T, ConnectError>,
    ) -> Result<(T, Progress), ConnectError> {
        let outcome = async {
            let stream = self.secure(stream, tunnel, &mut progress, deadline).await?;
            last(stream, &mut progress, deadline).await
        };
        match outcome.await {
            Ok(outcome) => Ok((outcome, progress)),
            Err(error) => Err(error.at(progress)),
        }
    }

    /// The stream to the server over one to the first host: the tunnel, and TLS in it.
    async fn secure(
        &self,
        mut stream: Stream,
        tunnel: Option<(&Tunnel, &Target)>,
        progress: &mut Progress,
        deadline: Instant,
    ) -> Result<Stream, ConnectError> {
        let Progress { phases, session, .. } = progress;
        if let Some((tunnel, target)) = tunnel {
            let step = format!("from {}", tunnel.proxy);
            let tunnel = tunnel.dig(stream, target);
            stream = timed(tunnel, &step, deadline, &mut phases.proxy).await??;
        }
        if let Some(tls) = &self.tls {
            let handshake = tls.secure(stream, session);
            stream = timed(handshake, "to the TLS handshake", deadline, &mut phases.tls).await??;
        }
        Ok(stream)
    }

    async fn upgrade(
        &self,
        stream: Stream,
        phases: &mut Phases,
        deadline: Instant,
    ) -> Result<(Upgraded<Stream>, Agreed), ConnectError> {
        let upgrade = upgrade(stream, &self.url, &self.request, self.tls.as_ref());
        let (upgraded, agreed) =
            timed(upgrade, "to the request for the upgrade", deadline, &mut phases.upgrade)
                .await??;
        if self.request.compress {
            self.tell_compression(agreed.deflate);
        }
        Ok((upgraded.compressed(agreed.deflate), agreed))
    }

    /// Tells what became of the offer to compress.
    fn tell_compression(&self, agreed: Option<Params>) {
        self.compression.tell(&match agreed {
            Some(params) => format!("messages are compressed: {params}"),
            None => "messages are not compressed: the server did not agree to it, or something between took the offer out".into(),
        });
    }

    /// Why the first host was not reached at any address.
    fn unreachable(&self, failures: &[Failure]) -> ConnectError {
        let is_refused = failures.iter().any(|(_, cause)| eyeballs::is_refusal(cause));
        let cause = match failures {
            // The address is that in the URL.
            [(address, cause)] if self.first_host().parse() == Ok(address.ip()) => cause.clone(),
            failures => eyeballs::told(failures),
        };
        let error = ConnectError::from(cause).of(Fault::Unreachable { is_refused });
        match &self.tunnel {
            Some(tunnel) => error.after(&tunnel.proxy.to_string()),
            None => error,
        }
    }

    fn first_host(&self) -> &str {
        self.tunnel.as_ref().map_or(self.url.host(), |tunnel| tunnel.proxy.host())
    }
}

/// The addresses of a host.
///
/// # Errors
/// Why there is none.
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

/// What makes connections to a host of this name secure, if they are to be.
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

/// One of `left` equal parts of the time up to `deadline`.
fn share(deadline: Instant, left: usize) -> Instant {
    let now = Instant::now();
    now + deadline.duration_since(now).div_f64(left.max(1) as f64)
}

fn sum(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one + other),
        (one, other) => one.or(other),
    }
}

/// What comes of a step up to `deadline`, and its time.
async fn timed<T>(
    step: impl Future<Output = T>,
    name: &str,
    deadline: Instant,
    time: &mut Option<Duration>,
) -> Result<T, ConnectError> {
    let begun = Instant::now();
    let outcome = timeout_at(deadline, step).await;
    *time = Some(begun.elapsed());
    outcome.map_err(|_| {
        let cause = format!("no answer {name} within {}", seconds(begun.elapsed()));
        ConnectError::from(cause).of(Fault::Silent)
    })
}

async fn tcp(address: SocketAddr, source: Option<IpAddr>) -> Result<TcpStream, String> {
    let connect = async {
        let stream = match source {
            Some(source) => {
                let socket = match source {
                    IpAddr::V4(_) => TcpSocket::new_v4()?,
                    IpAddr::V6(_) => TcpSocket::new_v6()?,
                };
                socket.bind((source, 0).into())?;
                socket.connect(address).await?
            }
            None => TcpStream::connect(address).await?,
        };
        stream.set_nodelay(true)?;
        Ok::<_, std::io::Error>(stream)
    };
    connect.await.map_err(|error| error.to_string())
}
