//! Pings a server until a stop signal, across restarts and failures of the server.
//!
//! [`session`] pings over one connection, [`kind`] chooses the kind of pings,
//! [`backoff`](crate::backoff) is the pause before the next connection, [`limits`] ends a run by
//! count or deadline. [`reporter`] counts ([`stats`]), logs changes of the server's state
//! ([`server_state`]), and feeds the outputs: [`lines`] on stdout, the [`live`] line of a terminal,
//! [`metrics`]. [`figures`] holds the results of a run, and [`verdict`] judges them, with the
//! conditions of `--fail-if` ([`condition`]). If the server reports its clock, `delays` computes
//! the time within the server.

mod awaited;
pub mod condition;
mod delays;
mod exporter;
pub mod figures;
pub mod kind;
pub mod limits;
pub mod lines;
mod live;
mod metrics;
pub mod reporter;
pub mod server_state;
pub mod session;
pub mod stats;
pub mod throttle;
mod verdict;

use std::io::{self, IsTerminal};
use std::pin::{Pin, pin};
use std::time::Duration;

use program::events;
use program::standard_streams::standard_output;
use program::stop::Stop;
use proto::Ping;
use proto::path;
use proto::ping::PING;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::select;
use tokio::time::{Instant, sleep};

use crate::backoff::Backoff;
use crate::net::ending::Ending;
use crate::net::{self, ConnectError, Connected, Endpoint};
use crate::stdout::{self, Output, Writer, unwritable};
use crate::verdict::Verdict;
use condition::Conditions;
use kind::Choice;
use limits::Limits;
use lines::Style;
use live::Live;
use metrics::Metrics;
use reporter::{Reporter, Sinks};
use session::{Pings, Session};
use stats::Stats;
use verdict::{Judgement, RunEnd};

/// The server and the settings of a run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The server.
    pub endpoint: Endpoint,
    /// The name in each ping.
    pub client_name: String,
    /// Time between a reply and the next ping (`LAG_TIME`).
    pub lag: Duration,
    /// Time that a reply may take (`PONG_TIMEOUT`).
    pub pong_timeout: Duration,
    /// Format of each reply on stdout; `None` chooses by whether stdout is a terminal.
    pub style: Option<Style>,
    /// Limits after which the run ends.
    pub limits: Limits,
    /// Sends Ping frames instead of text messages.
    pub with_frames: bool,
    /// Conditions that make the run a failure.
    pub conditions: Conditions,
    /// Address on which the metrics are served, `HOST:PORT`.
    pub metrics: Option<String>,
}

impl Options {
    fn pings(&self) -> Pings {
        let name = self.client_name.as_str().into();
        let text = Ping { client_name: name, message: PING.into() }.to_json().into();
        let is_probe = self.is_probe();
        Pings { text, lag: self.lag, pong_timeout: self.pong_timeout, is_probe }
    }

    /// Whether the URL is that of `/probe`.
    fn is_probe(&self) -> bool {
        self.endpoint.url.path().trim_end_matches('/').ends_with(path::PROBE)
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

/// Pings the server until a stop signal, a limit, or the close of stdout; then prints the
/// statistics, or the verdict in JSON.
///
/// # Errors
/// If stdout cannot be written, or the metrics cannot be served.
pub async fn run(options: Options, stop: Stop) -> Result<Verdict, String> {
    let (output, writer) = Output::start(standard_output()).map_err(unwritable)?;
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
        choice: Choice::begin(options.with_frames, options.is_probe()),
        backoff: Backoff::default(),
        reporter: Reporter::new(&options.endpoint, options.limits, sinks, stats),
    };
    select! {
        verdict = ping(pinger, &options, writer, stop) => verdict,
        () = live.draw(output) => Err("the live line ended".into()),
    }
}

/// Pings until the end of the run, and prints the report.
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

/// Pings over one connection after the other.
struct Pinger<C> {
    connect: C,
    pings: Pings,
    choice: Choice,
    backoff: Backoff,
    reporter: Reporter,
}

impl<C, S> Pinger<C>
where
    C: AsyncFn() -> Result<Connected<S>, ConnectError>,
    S: AsyncRead + AsyncWrite + Unpin,
{
    /// Connects and pings, over one connection after another, until `over` completes, and returns
    /// its output; `None` when all pings of `--count` are completed.
    async fn ping_until<E>(&mut self, mut over: Pin<&mut impl Future<Output = E>>) -> Option<E> {
        loop {
            self.reporter.connecting();
            let connected = select! {
                biased;
                outcome = &mut over => return Some(outcome),
                connected = (self.connect)() => connected,
            };
            let retry_after = match connected {
                Ok(connected) => match self.run_connection(connected, over.as_mut()).await {
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
                () = sleep(self.backoff.next(rand::random(), retry_after)) => {}
            }
        }
    }

    /// Pings over one connection until its end. Returns an outcome if `over` completed.
    async fn run_connection<E>(
        &mut self,
        connected: Connected<S>,
        over: Pin<&mut impl Future<Output = E>>,
    ) -> Option<E> {
        let Connected { socket, address, phases } = connected;
        self.reporter.connected(address.to_string(), phases);
        let made = Instant::now();
        let mut session = Session::new(socket, self.pings.clone(), self.choice);
        let ending = select! {
            biased;
            outcome = over => {
                session.close(&Ending::Stopped, &mut self.reporter).await;
                return Some(outcome);
            }
            ending = session.run(&mut self.reporter) => ending,
        };
        self.choice = session.choice();
        if !matches!(ending, Ending::Stopped) {
            let was_up = self.reporter.lost_connection(&ending, session.activity());
            if was_up {
                self.backoff.held(made.elapsed());
            }
        }
        session.close(&ending, &mut self.reporter).await;
        None
    }
}

#[cfg(test)]
mod tests;
