//! One attempt to make a connection over a route.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream, UnixStream};
use tokio::time::{Instant, timeout_at};
use tracing::debug;

use super::eyeballs::{self, Failure, race};
use super::tunnel::Tunnel;
use super::{FirstHost, Route};
use crate::format::seconds;
use crate::net::error::ConnectError;
use crate::net::fault::{Fault, Progress, Step};
use crate::net::phases::{Address, Phases};
use crate::net::proxy::Target;
use crate::net::stream::Stream;

/// One attempt to make a connection.
pub(super) struct Attempt<'a, F, L> {
    pub(super) route: &'a Route,
    /// The local address to connect from, for the remote one.
    pub(super) source: F,
    /// The last step, over a stream to the server, with the deadline of that stream.
    pub(super) last: L,
}

/// The proxy, and the server that the proxy is to connect to.
type Hop<'a> = Option<(&'a Tunnel, &'a Target)>;

impl<T, F, L> Attempt<'_, F, L>
where
    F: Fn(IpAddr) -> Option<IpAddr>,
    L: AsyncFn(Stream, &mut Progress, Instant) -> Result<T, ConnectError>,
{
    /// Connects, with each address of the server that the proxy is to use, if there is a proxy.
    pub(super) async fn run(&self, deadline: Instant) -> Result<(T, Progress), ConnectError> {
        let Some(tunnel) = &self.route.tunnel else { return self.over(None, deadline).await };
        let mut cause = "the proxy has no address to connect to".into();
        for (left, target) in (1..=tunnel.targets.len()).rev().zip(&tunnel.targets) {
            match self.over(Some((tunnel, target)), share(deadline, left)).await {
                Err(error) if error.redirect().is_none() => cause = error,
                outcome => return outcome,
            }
            debug!("{target}: {cause}");
        }
        Err(cause)
    }

    /// Connects over the first host.
    async fn over(&self, hop: Hop<'_>, deadline: Instant) -> Result<(T, Progress), ConnectError> {
        let path = match &self.route.first {
            FirstHost::Tcp(addresses) => return self.over_tcp(addresses, hop, deadline).await,
            FirstHost::Unix(path) => path,
        };
        self.route.step.begin(Step::Tcp);
        let begun = Instant::now();
        let stream = UnixStream::connect(path).await;
        let progress = self.progress(Some(Address::Unix(path.clone())), begun, hop);
        match stream {
            Ok(stream) => self.finish(Stream::Unix(stream), hop, progress, deadline).await,
            Err(error) => {
                let cause = format!("the Unix socket {}: {error}", path.display());
                let fault = Fault::Unreachable { is_refused: true };
                Err(ConnectError::from(cause).of(fault).at(progress))
            }
        }
    }

    /// Connects over one of these addresses. Each has its share of the time up to `deadline`, so
    /// that an address that accepts and stays silent leaves time for the others.
    async fn over_tcp(
        &self,
        addresses: &[SocketAddr],
        hop: Hop<'_>,
        deadline: Instant,
    ) -> Result<(T, Progress), ConnectError> {
        let mut addresses = addresses.to_vec();
        let mut furthest: Option<ConnectError> = None;
        loop {
            self.route.step.begin(Step::Tcp);
            let begun = Instant::now();
            let connect = async |address: SocketAddr| {
                tcp(address, (self.source)(address.ip())).await.map_err(|error| error.to_string())
            };
            let (address, stream) = match race(&addresses, deadline, connect).await {
                Ok(connected) => connected,
                Err(failures) => {
                    let unreachable = || {
                        let address = failures.first().map(|(address, _)| Address::Tcp(*address));
                        self.unreachable(&failures).at(self.progress(address, begun, hop))
                    };
                    // The error of an address that accepted the connection says more.
                    return Err(furthest.unwrap_or_else(unreachable));
                }
            };
            let progress = self.progress(Some(Address::Tcp(address)), begun, hop);
            let share = share(deadline, addresses.len());
            let cause = match self.finish(Stream::Tcp(stream), hop, progress, share).await {
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

    /// The progress of a connection to the first host that began at `begun` and is complete now.
    fn progress(&self, address: Option<Address>, begun: Instant, hop: Hop<'_>) -> Progress {
        let (dns, tcp) = (self.route.dns, Some(begun.elapsed()));
        let proxy = hop.map(|(tunnel, _)| tunnel.proxy.to_string());
        Progress { phases: Phases { dns, tcp, ..Phases::default() }, address, proxy, session: None }
    }

    /// The steps over a stream to the first host: the tunnel, TLS, and the last step.
    async fn finish(
        &self,
        mut stream: Stream,
        hop: Hop<'_>,
        mut progress: Progress,
        deadline: Instant,
    ) -> Result<(T, Progress), ConnectError> {
        let outcome = async {
            let Progress { phases, session, .. } = &mut progress;
            if let Some((tunnel, target)) = hop {
                self.route.step.begin(Step::Proxy);
                let step = format!("from {}", tunnel.proxy);
                let open = tunnel.open(stream, target);
                stream = timed(open, &step, deadline, &mut phases.proxy).await??;
            }
            if let Some(tls) = &self.route.tls {
                self.route.step.begin(Step::Tls);
                let handshake = tls.secure(stream, session);
                let step = "to the TLS handshake";
                stream = timed(handshake, step, deadline, &mut phases.tls).await??;
            }
            (self.last)(stream, &mut progress, deadline).await
        };
        match outcome.await {
            Ok(outcome) => Ok((outcome, progress)),
            Err(error) => Err(error.at(progress)),
        }
    }

    /// Why no address of the first host accepts a connection.
    fn unreachable(&self, failures: &[Failure]) -> ConnectError {
        let is_refused = failures.iter().any(|(_, cause)| eyeballs::is_refusal(cause));
        let cause = match failures {
            // The error need not repeat the address of the URL.
            [(address, cause)] if self.route.first_host().parse() == Ok(address.ip()) => {
                cause.clone()
            }
            failures => eyeballs::summary(failures),
        };
        let error = ConnectError::from(cause).of(Fault::Unreachable { is_refused });
        match &self.route.tunnel {
            Some(tunnel) => error.after(&tunnel.proxy.to_string()),
            None => error,
        }
    }
}

/// One of `parts` equal parts of the time up to `deadline`.
fn share(deadline: Instant, parts: usize) -> Instant {
    let now = Instant::now();
    now + deadline.duration_since(now).div_f64(parts.max(1) as f64)
}

/// Awaits `step` up to `deadline`, and sets `time` to how long that took.
///
/// # Errors
/// After the deadline: no answer `name` within the time.
pub(super) async fn timed<T>(
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

async fn tcp(address: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = match source.unwrap_or(address.ip()) {
        IpAddr::V4(_) => TcpSocket::new_v4()?,
        IpAddr::V6(_) => TcpSocket::new_v6()?,
    };
    if let Some(source) = source {
        socket.bind((source, 0).into())?;
    }
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
