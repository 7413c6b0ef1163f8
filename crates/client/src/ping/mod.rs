//! Pings a server until told to stop, through restarts and failures.
//!
//! [`session`] is what happens over one connection, [`backoff`] the pause until the next one,
//! [`link`] whether the server is there. [`reporter`] prints, counts ([`stats`]) and tells events.

pub mod backoff;
pub mod link;
pub mod reporter;
pub mod session;
pub mod stats;
pub mod throttle;

use std::pin::{Pin, pin};
use std::time::Duration;

use program::stop::Stop;
use proto::Ping;
use proto::ping::PING;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::select;
use tokio::time::{Instant, sleep};
use tokio_tungstenite::WebSocketStream;

use crate::mode::Verdict;
use crate::net::ending::Ending;
use crate::net::url::ServerUrl;
use crate::net::{self, ConnectError, Endpoint};
use crate::stdout::{self, Output};
use backoff::Backoff;
use reporter::Reporter;
use session::{Pings, Session};
use stats::Stats;

/// Which server is pinged, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The server.
    pub endpoint: Endpoint,
    /// The name in each ping.
    pub client_name: String,
    /// Time between a reply and the next ping (`LAG_TIME`).
    pub lag: Duration,
    /// Time that a reply may take (`PONG_TIMEOUT`).
    pub patience: Duration,
}

impl Options {
    fn pings(&self) -> Pings {
        let name = self.client_name.as_str().into();
        let text = Ping { client_name: name, message: PING.into() }.to_json().into();
        Pings { text, lag: self.lag, patience: self.patience }
    }
}

/// Pings the server until told to stop, or until nobody reads stdout any more; then prints the
/// statistics.
///
/// # Errors
/// When stdout takes no more lines.
pub async fn run(options: Options, mut stop: Stop) -> Result<Verdict, String> {
    let unwritable = |error| format!("cannot write to stdout: {error}");
    options.endpoint.warn_if_unchecked();
    let (output, mut writer) = stdout::open().and_then(Output::start).map_err(unwritable)?;
    let stats = Stats::new().map_err(|error| format!("cannot count: {error}"))?;
    let mut pinger = Pinger {
        connect: async || net::connect(&options.endpoint).await.map(|connected| connected.socket),
        url: options.endpoint.url.clone(),
        pings: options.pings(),
        backoff: Backoff::default(),
        reporter: Reporter::new(&options.endpoint, output, stats),
    };
    let over = async {
        select! {
            () = stop.wait() => None,
            error = writer.failed() => Some(error),
        }
    };
    let failed = pinger.ping_until(pin!(over)).await;
    let verdict = pinger.reporter.verdict();
    let written = match failed {
        Some(error) => Err(error),
        None => pinger.reporter.finish(writer).await,
    };
    stdout::unless_closed(written).map_err(unwritable).map(|()| verdict)
}

/// Pings over one connection after the other.
struct Pinger<C> {
    connect: C,
    url: ServerUrl,
    pings: Pings,
    backoff: Backoff,
    reporter: Reporter,
}

impl<C, S> Pinger<C>
where
    C: AsyncFn() -> Result<WebSocketStream<S>, ConnectError>,
    S: AsyncRead + AsyncWrite + Unpin,
{
    /// Connects, pings, and begins again, until it is `over`; returns what that yields.
    async fn ping_until<T>(&mut self, mut over: Pin<&mut impl Future<Output = T>>) -> T {
        loop {
            let connected = select! {
                biased;
                outcome = &mut over => return outcome,
                connected = (self.connect)() => connected,
            };
            let asked = match connected {
                Ok(socket) => match self.use_up(socket, over.as_mut()).await {
                    Some(outcome) => return outcome,
                    None => None,
                },
                Err(error) => {
                    self.reporter.connect_failed(&error);
                    error.retry_after()
                }
            };
            select! {
                biased;
                outcome = &mut over => return outcome,
                () = sleep(self.backoff.next(rand::random(), asked)) => {}
            }
        }
    }

    /// Pings over one connection to its end; returns an outcome if it is all `over`.
    async fn use_up<T>(
        &mut self,
        socket: WebSocketStream<S>,
        over: Pin<&mut impl Future<Output = T>>,
    ) -> Option<T> {
        let made = Instant::now();
        let mut session = Session::new(socket, self.pings.clone());
        let ending = select! {
            biased;
            outcome = over => {
                session.part(&Ending::Stopped, &mut self.reporter).await;
                return Some(outcome);
            }
            ending = session.run(&mut self.reporter) => ending,
        };
        if self.reporter.lost_connection(&format!("lost the connection to {}: {ending}", self.url))
        {
            self.backoff.held(made.elapsed());
        }
        session.part(&ending, &mut self.reporter).await;
        None
    }
}

#[cfg(test)]
mod tests;
