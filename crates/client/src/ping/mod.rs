//! Pings a server until told to stop, through restarts and failures.
//!
//! [`session`] is what happens over one connection, [`way`] how the server is asked,
//! [`backoff`](crate::backoff) the pause until the next connection, [`limits`] when a run ends by
//! itself. [`reporter`] counts
//! ([`stats`]), tells events where there is news ([`link`]), and hands on what is shown: [`lines`]
//! on stdout, the [`live`] line of a terminal, [`metrics`]. [`figures`] are what comes of a run, and
//! [`verdict`] whether that is good, also under the conditions of `--fail-if` ([`condition`]).

mod awaited;
pub mod condition;
mod exporter;
pub mod figures;
pub mod limits;
pub mod lines;
pub mod link;
mod live;
mod metrics;
pub mod reporter;
pub mod session;
pub mod stats;
pub mod throttle;
mod verdict;
pub mod way;

use std::io::{self, IsTerminal};
use std::pin::{Pin, pin};
use std::time::Duration;

use program::events;
use program::stop::Stop;
use proto::Ping;
use proto::ping::PING;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::select;
use tokio::time::{Instant, sleep};

use crate::backoff::Backoff;
use crate::mode::Verdict;
use crate::net::ending::Ending;
use crate::net::{self, ConnectError, Connected, Endpoint};
use crate::stdout::{self, Output, Writer};
use condition::Conditions;
use limits::Limits;
use lines::Style;
use live::Live;
use metrics::Metrics;
use reporter::{Reporter, Sinks};
use session::{Pings, Session};
use stats::Stats;
use verdict::{Judgement, RunEnd};
use way::Asking;

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
    /// What is printed of each reply; `None` depends on what stdout is.
    pub style: Option<Style>,
    /// When the run ends by itself.
    pub limits: Limits,
    /// Measures with Ping frames.
    pub with_frames: bool,
    /// What makes the run a failure.
    pub conditions: Conditions,
    /// Where the metrics are served, `HOST:PORT`.
    pub metrics: Option<String>,
}

impl Options {
    fn pings(&self) -> Pings {
        let name = self.client_name.as_str().into();
        let text = Ping { client_name: name, message: PING.into() }.to_json().into();
        Pings { text, lag: self.lag, patience: self.patience }
    }

    async fn sinks(&self, output: Output) -> Result<Sinks, String> {
        let is_shown = io::stdout().is_terminal();
        let style = self.style.unwrap_or(if is_shown { Style::Numbered } else { Style::Plain });
        let live = match style {
            Style::Json => Live::default(),
            _ => Live::for_stdout(self.limits),
        };
        let metrics = match &self.metrics {
            Some(address) => {
                let metrics = Metrics::start().map_err(|error| format!("cannot count: {error}"))?;
                exporter::start(address, metrics.clone()).await?;
                metrics
            }
            None => Metrics::default(),
        };
        Ok(Sinks { output, style, live, metrics })
    }
}

/// Pings the server until told to stop, until a limit is reached, or until nobody reads stdout any
/// more; then prints the statistics, or the verdict in JSON.
///
/// # Errors
/// When stdout takes no more lines, or the metrics cannot be served.
pub async fn run(options: Options, stop: Stop) -> Result<Verdict, String> {
    let (output, writer) = stdout::open().and_then(Output::start).map_err(unwritable)?;
    if stdout::is_shared_terminal() {
        let output = output.clone();
        events::redirect(move |event| output.try_print(event.to_owned()));
    }
    options.endpoint.warn_if_unchecked();
    let stats = Stats::new().map_err(|error| format!("cannot count: {error}"))?;
    let sinks = options.sinks(output.clone()).await?;
    let live = sinks.live.clone();
    let pinger = Pinger {
        connect: async || net::connect(&options.endpoint).await,
        pings: options.pings(),
        asking: Asking::begin(options.with_frames),
        backoff: Backoff::default(),
        reporter: Reporter::new(&options.endpoint, options.limits, sinks, stats),
    };
    select! {
        verdict = ping(pinger, &options, writer, stop) => verdict,
        () = live.draw(output) => Err("the live line ended".into()),
    }
}

/// Pings up to the end of the run, and reports.
async fn ping<C, S>(
    mut pinger: Pinger<C>,
    options: &Options,
    mut writer: Writer,
    mut stop: Stop,
) -> Result<Verdict, String>
where
    C: AsyncFn() -> Result<Connected<S>, ConnectError>,
    S: AsyncRead + AsyncWrite + Unpin,
{
    let over = async {
        select! {
            biased;
            () = stop.wait() => (RunEnd::Stopped, None),
            error = writer.failed() => (RunEnd::Stopped, Some(error)),
            () = options.limits.wait() => (RunEnd::Deadline, None),
        }
    };
    let (end, failed) = pinger.ping_until(pin!(over)).await.unwrap_or((RunEnd::Complete, None));
    let Pinger { mut reporter, .. } = pinger;
    reporter.stop();
    let (figures, is_known) = (reporter.figures(), reporter.knows_anything());
    let judgement = Judgement::of(figures, &options.conditions, options.limits, end, is_known);
    let written = match failed {
        Some(error) => Err(error),
        None => reporter.finish(writer, &judgement).await,
    };
    stdout::unless_closed(written).map_err(unwritable).map(|()| judgement.verdict())
}

#[expect(clippy::needless_pass_by_value, reason = "an argument of map_err")]
fn unwritable(error: io::Error) -> String {
    format!("cannot write to stdout: {error}")
}

/// Pings over one connection after the other.
struct Pinger<C> {
    connect: C,
    pings: Pings,
    asking: Asking,
    backoff: Backoff,
    reporter: Reporter,
}

impl<C, S> Pinger<C>
where
    C: AsyncFn() -> Result<Connected<S>, ConnectError>,
    S: AsyncRead + AsyncWrite + Unpin,
{
    /// Connects, pings, and begins again, until it is `over`, and returns what that yields; or
    /// until all pings that were asked for are over.
    async fn ping_until<E: Ends>(
        &mut self,
        mut over: Pin<&mut impl Future<Output = E>>,
    ) -> Option<E> {
        loop {
            let connected = select! {
                biased;
                outcome = &mut over => return Some(outcome),
                connected = (self.connect)() => connected,
            };
            let asked = match connected {
                Ok(connected) => match self.use_up(connected, over.as_mut()).await {
                    Some(outcome) => return Some(outcome),
                    None => None,
                },
                Err(error) => {
                    self.reporter.connect_failed(&error);
                    error.retry_after()
                }
            };
            if self.reporter.is_complete() {
                return None;
            }
            select! {
                biased;
                outcome = &mut over => return Some(outcome),
                () = sleep(self.backoff.next(rand::random(), asked)) => {}
            }
        }
    }

    /// Pings over one connection to its end; returns an outcome if it is all `over`.
    async fn use_up<E: Ends>(
        &mut self,
        connected: Connected<S>,
        over: Pin<&mut impl Future<Output = E>>,
    ) -> Option<E> {
        let Connected { socket, address, phases } = connected;
        self.reporter.connected(address.to_string(), phases);
        let made = Instant::now();
        let mut session = Session::new(socket, self.pings.clone(), self.asking);
        let ending = select! {
            biased;
            outcome = over => {
                let is_unanswered = session.part(&Ending::Stopped, &mut self.reporter).await;
                if is_unanswered && outcome.is_late() {
                    self.reporter.lost_ping();
                }
                return Some(outcome);
            }
            ending = session.run(&mut self.reporter) => ending,
        };
        self.asking = session.asking();
        if !matches!(ending, Ending::Stopped)
            && self.reporter.lost_connection(&ending, session.activity())
        {
            self.backoff.held(made.elapsed());
        }
        session.part(&ending, &mut self.reporter).await;
        None
    }
}

/// What ends a run.
trait Ends {
    /// Whether a ping that has no answer then is lost, rather than broken off.
    fn is_late(&self) -> bool;
}

impl Ends for (RunEnd, Option<io::Error>) {
    fn is_late(&self) -> bool {
        self.0 == RunEnd::Deadline
    }
}

#[cfg(test)]
mod tests;
