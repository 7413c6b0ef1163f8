//! The way to a server: its addresses, TCP to one of them, TLS and the upgrade over it.

use std::io;
use std::net::{IpAddr, SocketAddr};

use proto::limits::CONNECT_TIMEOUT;
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::debug;

use super::Endpoint;
use super::error::ConnectError;
use super::phases::{Phases, timed};
use super::stream::{Plain, Stream};
use super::tls::Connector;
use super::upgrade::{Upgraded, upgrade};
use super::url::ServerUrl;
use crate::words::seconds;

/// The way to a server: its addresses, and what makes connections to it secure.
pub(crate) struct Route {
    url: ServerUrl,
    tls: Option<Connector>,
    addresses: Vec<SocketAddr>,
    /// How long the name was looked up.
    phases: Phases,
}

/// A stream after the upgrade, and how it was made.
#[derive(Debug)]
pub(crate) struct Reached {
    pub(crate) upgraded: Upgraded<Stream>,
    pub(crate) address: SocketAddr,
    pub(crate) phases: Phases,
}

impl Route {
    /// Reads the trusted authorities and looks the name up.
    ///
    /// # Errors
    /// Why there is no way.
    pub(crate) async fn find(endpoint: &Endpoint, deadline: Instant) -> Result<Self, ConnectError> {
        let Endpoint { url, trust } = endpoint;
        let tls = match url.tls_name() {
            Some(name) => {
                Some(timeout_at(deadline, trust.connector(name)).await.map_err(|_| {
                    format!("the authorities to trust were not read within {CONNECT_TIMEOUT:?}")
                })??)
            }
            None => None,
        };
        let mut phases = Phases::default();
        let lookup = timed(&mut phases.dns, lookup_host((url.host(), url.port())));
        let addresses = timeout_at(deadline, lookup)
            .await
            .map_err(|_| format!("the name was not looked up within {CONNECT_TIMEOUT:?}"))?
            .map_err(|error| error.to_string())?;
        Ok(Self { url: url.clone(), tls, addresses: addresses.collect(), phases })
    }

    /// Connects to one address after the other until one works, from the local address that
    /// `source` names for it, if any.
    ///
    /// # Errors
    /// Why there is no connection; with several addresses, why not to the last one.
    pub(crate) async fn connect(
        &self,
        deadline: Instant,
        source: impl Fn(IpAddr) -> Option<IpAddr>,
    ) -> Result<Reached, ConnectError> {
        let attempt = async |address: SocketAddr| {
            let mut phases = self.phases;
            let stream = self.stream(address, source(address.ip()), &mut phases).await?;
            let upgrade = upgrade(stream, &self.url, self.tls.as_ref());
            let upgraded = timed(&mut phases.upgrade, upgrade).await?;
            Ok(Reached { upgraded, address, phases })
        };
        first(&self.addresses, deadline, attempt).await
    }

    async fn stream(
        &self,
        address: SocketAddr,
        source: Option<IpAddr>,
        phases: &mut Phases,
    ) -> Result<Stream, String> {
        let stream = timed(&mut phases.tcp, tcp(address, source))
            .await
            .map_err(|error| error.to_string())?;
        Ok(match &self.tls {
            Some(tls) => {
                Stream::Secure(Box::new(timed(&mut phases.tls, tls.secure(stream)).await?))
            }
            None => Stream::Plain(Plain::new(stream)),
        })
    }
}

/// The first attempt that succeeds. Each has its share of the time up to `deadline`, so that an
/// address that does not answer leaves time to the others.
async fn first<T>(
    addresses: &[SocketAddr],
    deadline: Instant,
    attempt: impl AsyncFn(SocketAddr) -> Result<T, ConnectError>,
) -> Result<T, ConnectError> {
    let mut cause = "the name has no address".into();
    for (left, address) in (1..=addresses.len()).rev().zip(addresses) {
        let share = deadline.duration_since(Instant::now()).div_f64(left as f64);
        cause = match timeout(share, attempt(*address)).await {
            Ok(Ok(connected)) => return Ok(connected),
            Ok(Err(cause)) => cause,
            Err(_) => format!("no answer within {}", seconds(share)).into(),
        };
        debug!(%address, "{cause}");
    }
    Err(cause)
}

async fn tcp(address: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpStream> {
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
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::sleep;

    fn addresses(count: u8) -> Vec<SocketAddr> {
        (1..=count).map(|last| SocketAddr::from(([192, 0, 2, last], 80))).collect()
    }

    async fn tried(
        count: u8,
        attempt: impl AsyncFn(u8) -> Result<u8, String>,
    ) -> Result<u8, String> {
        let deadline = Instant::now() + Duration::from_secs(6);
        let attempt = async |address: SocketAddr| match address {
            SocketAddr::V4(address) => Ok(attempt(address.ip().octets()[3]).await?),
            SocketAddr::V6(_) => unreachable!(),
        };
        first(&addresses(count), deadline, attempt).await.map_err(|error| error.to_string())
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_does_not_answer_leaves_time_for_the_others() {
        let start = Instant::now();
        let connected = tried(3, async |last| match last {
            1 => Err("refused".into()),
            2 => std::future::pending().await,
            last => {
                sleep(Duration::from_millis(2900)).await;
                Ok(last)
            }
        });
        assert_eq!(connected.await, Ok(3));
        assert_eq!(start.elapsed(), Duration::from_millis(5900));
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_cause_is_told() {
        let start = Instant::now();
        assert_eq!(
            tried(2, async |_| std::future::pending().await).await,
            Err("no answer within 3.0 s".into())
        );
        assert_eq!(start.elapsed(), Duration::from_secs(6));
        assert_eq!(
            tried(2, async |last| Err(format!("{last} is down"))).await,
            Err("2 is down".into())
        );
        assert_eq!(tried(0, async |_| unreachable!()).await, Err("the name has no address".into()));
    }
}
