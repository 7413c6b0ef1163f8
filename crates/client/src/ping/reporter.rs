//! Reports the results of pings: lines on stdout, counters, and events when the state changes.

use std::io;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::delays::{Delays, Timed};
use super::figures::Figures;
use super::limits::Limits;
use super::lines::{Lines, Style};
use super::live::Live;
use super::metrics::Metrics;
use super::server_state::{ServerState, Up};
use super::stats::Stats;
use super::verdict::Judgement;
use crate::connection_report::ConnectionReport;
use crate::format::{counted, seconds};
use crate::net::ending::Ending;
use crate::net::error::SEE_WHY;
use crate::net::fault::CurrentStep;
use crate::net::{ConnectError, Endpoint, Phases};
use crate::outage::Outage;
use crate::outage::activity::Activity;
use crate::outage::history::History;
use crate::outage::observed_end::ObservedEnd;
use crate::record;
use crate::stdout::{Output, Writer};

/// The reporter of all connections of a client.
#[derive(Debug)]
pub struct Reporter {
    url: String,
    is_unchecked: bool,
    lines: Lines,
    live: Live,
    metrics: Metrics,
    stats: Stats,
    delays: Delays,
    history: History,
    server_state: ServerState,
    /// The current connection, until its first reply.
    connection: Option<ConnectionReport>,
    limits: Limits,
    /// When the attempt to connect that is under way began.
    attempt: Option<Instant>,
    /// The step of that attempt.
    step: CurrentStep,
    /// Failed attempts to connect.
    failed: u64,
    started: Instant,
}

/// The destinations of the reports.
#[derive(Debug)]
pub(super) struct Sinks {
    pub(super) output: Output,
    pub(super) style: Style,
    pub(super) live: Live,
    pub(super) metrics: Metrics,
}

impl Reporter {
    /// A reporter without any results yet.
    #[must_use]
    pub(super) fn new(endpoint: &Endpoint, limits: Limits, sinks: Sinks, stats: Stats) -> Self {
        let Sinks { output, style, live, metrics } = sinks;
        let started = Instant::now();
        let url = endpoint.url.to_string();
        Self {
            lines: Lines::new(url.clone(), style, output),
            url,
            is_unchecked: endpoint.is_unchecked(),
            live,
            metrics,
            stats,
            delays: Delays::default(),
            history: History::new(started),
            server_state: ServerState::default(),
            connection: None,
            limits,
            attempt: None,
            step: endpoint.options.step.clone(),
            failed: 0,
            started,
        }
    }

    /// Reports the beginning of an attempt to connect.
    pub(super) fn connecting(&mut self) {
        self.attempt = Some(Instant::now());
    }

    /// Reports an opened connection.
    pub fn connected(&mut self, address: String, phases: Phases) {
        self.attempt = None;
        self.history.connected(Instant::now());
        self.connection = Some(ConnectionReport::new(address, phases));
        self.delays.connected();
    }

    /// Reports the instance at the other end of the connection.
    pub(super) fn identified(&mut self, instance: &str) {
        self.history.identified(instance);
        if let Some(connection) = &mut self.connection {
            connection.instance = Some(instance.to_owned());
        }
    }

    /// Reports a ping answered by `/probe`, with the times of the server.
    pub(super) fn received_timed(&mut self, timed: Timed) {
        self.delays.add(timed);
        let server = timed.in_server();
        let text = format!("Pong, {:.3} ms in the server", server.as_secs_f64() * 1e3);
        self.answered(&text, timed.round_trip(), Some(server));
    }

    /// Reports a ping answered with `text`.
    pub fn received(&mut self, text: &str, round_trip: Duration) {
        self.answered(text, round_trip, None);
    }

    fn answered(&mut self, text: &str, round_trip: Duration, server: Option<Duration>) {
        self.stats.received(round_trip);
        self.note_ping(Some(round_trip));
        self.note_pong();
        self.lines.reply(text, self.stats.sent(), round_trip, server);
    }

    /// Reports a ping answered with an error.
    pub fn refused(&mut self, text: &str) {
        self.stats.refused();
        self.note_ping(None);
        self.lines.error(text);
    }

    /// Reports a text that answers no ping.
    pub fn unsolicited(&mut self, text: &str) {
        self.lines.text(text);
    }

    /// Reports the switch from messages to Ping frames, and what the server did with the messages.
    pub(super) fn switched(&mut self, unfit: &str) {
        let url = &self.url;
        warn!("{url} {unfit}; measuring with Ping frames from now on, as --protocol-ping does");
    }

    /// The handle to stdout.
    pub(crate) fn output(&self) -> Output {
        self.lines.output().clone()
    }

    /// Whether all pings of `--count` are completed.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.limits.count.is_some_and(|count| self.stats.sent() + self.failed >= count)
    }

    fn note_ping(&self, round_trip: Option<Duration>) {
        self.metrics.ping(round_trip);
        self.live.ping(self.stats.sent(), self.stats.lost_count(), round_trip);
        self.live.times(|| self.stats.times());
    }

    fn note_pong(&mut self) {
        self.note_connection(true);
        if let Some(outage) = self.history.answered(Instant::now()) {
            self.record_outage(&outage);
        }
        let event = match self.server_state.pong(Instant::now()) {
            Some(Up::First(None)) => format!("connected to {}", self.url),
            Some(Up::First(Some(tried))) => {
                format!("connected to {} after {}", self.url, seconds(tried))
            }
            Some(Up::Again(gone)) => {
                self.stats.reconnected();
                format!("connected again after {}", seconds(gone))
            }
            None => return,
        };
        self.live.up();
        self.metrics.up(true);
        if self.is_unchecked {
            warn!("{event}; the certificate of the server is not checked (--insecure)");
        } else {
            info!("{event}");
        }
    }

    /// Records the connection, after its first reply or its end without one.
    fn note_connection(&mut self, is_answered: bool) {
        if let Some(connection) = self.connection.take() {
            let first_reply = is_answered.then(|| connection.age());
            self.metrics.connection(connection.phases(first_reply));
            let fields = connection.fields(&self.url, first_reply);
            self.lines.record("connection", connection.at(), &fields);
        }
    }

    fn record_outage(&mut self, outage: &Outage) {
        self.lines.record("outage", outage.began_at(), &outage.fields());
    }

    /// Reports a lost ping.
    pub fn lost_ping(&mut self) {
        self.stats.lost();
        self.note_ping(None);
    }

    /// Reports a failed attempt to connect.
    pub fn connect_failed(&mut self, error: &ConnectError) {
        self.failed += 1;
        let since = self.attempt.take().unwrap_or_else(Instant::now);
        if self.history.refused(since, error.to_string()) {
            self.note_outage(ObservedEnd::Refused);
        }
        let event = format!("cannot connect to {}: {error}", self.url);
        let next = match error.retry_after() {
            Some(pause) if !pause.is_zero() => {
                format!("trying again after {}, as the server asks", seconds(pause))
            }
            _ => self.next_try().into(),
        };
        self.lost(since, &event, &next);
    }

    /// Reports the end of a connection. Returns whether the server had answered over the
    /// connection.
    pub fn lost_connection(&mut self, ending: &Ending, activity: &Activity) -> bool {
        self.note_connection(false);
        if let Some(seen) = ObservedEnd::of(ending)
            && self.history.ended(Instant::now(), seen, ending.to_string(), activity)
        {
            self.note_outage(seen);
        }
        let was_up = self.server_state.is_up();
        let event = format!("lost the connection to {}: {ending}", self.url);
        self.lost(Instant::now(), &event, self.next_try());
        was_up
    }

    /// The last words of an event about a failure.
    fn next_try(&self) -> &'static str {
        if self.is_complete() {
            ""
        } else if self.limits.are_any() {
            "trying again"
        } else {
            "trying again until it works"
        }
    }

    /// Shows the outage that has just begun.
    fn note_outage(&self, seen: ObservedEnd) {
        if let Some(outage) = self.history.present() {
            self.live.down(&outage.reason);
            self.metrics.outage(seen);
        }
    }

    fn lost(&mut self, since: Instant, event: &str, next: &str) {
        self.metrics.up(false);
        // The reason of a server may end with a full stop.
        let event = match next {
            "" => event.to_owned(),
            next => format!("{}; {next}", event.trim_end_matches('.')),
        };
        if self.server_state.lost(since) {
            warn!("{event}");
        } else {
            debug!("{event}");
        }
    }

    /// All figures of the run.
    pub(super) fn figures(&self) -> Figures {
        let (history, now) = (&self.history, Instant::now());
        Figures {
            sent: self.stats.sent(),
            received: self.stats.received_count(),
            lost: self.stats.lost_count(),
            times: self.stats.times(),
            server_times: self.delays.server_times(),
            variation: self.delays.variation(),
            outages: history.count(),
            cuts: history.cuts(),
            outage_total: record::seconds(history.total()),
            outage_longest: record::seconds(history.longest()),
            // The availability of a server that never answered is 0.
            availability: if self.stats.received_count() > 0 {
                history.availability(now)
            } else {
                0.0
            },
            cause: history.cause(now),
        }
    }

    /// Whether the run has any result: a reply, a loss or a failed attempt to connect.
    pub(super) fn knows_anything(&self) -> bool {
        self.stats.sent() + self.failed > 0
    }

    /// Ends the outage in progress and records the last connection. An attempt to connect that is
    /// under way has failed to connect in time.
    pub(super) fn stop(&mut self) {
        self.note_connection(false);
        if let Some(since) = self.attempt {
            let reason = format!("{} within {}", self.step.get(), seconds(since.elapsed()));
            if self.history.refused(since, reason) {
                self.note_outage(ObservedEnd::Refused);
            }
        }
        if let Some(outage) = self.history.stopped(Instant::now()) {
            self.record_outage(&outage);
        }
    }

    /// The statistics so far.
    pub(crate) fn report(&self) -> String {
        let is_detailed = self.lines.style() != Style::Plain;
        let mut report = self.stats.report(&self.url, self.started.elapsed(), is_detailed);
        report.push_str(&self.delays.report());
        report.push_str(&self.report_tries(is_detailed));
        // For a server that never answered, outages and availability have no meaning.
        if self.stats.received_count() > 0 {
            report.push_str(&self.history.report(Instant::now()));
        }
        report
    }

    /// The attempts to connect that failed, if `is_detailed`, and the attempt under way, if there
    /// was no ping.
    fn report_tries(&self, is_detailed: bool) -> String {
        let mut tries = Vec::new();
        if self.failed > 0 && is_detailed {
            let failed = counted(self.failed, "try").replace("trys", "tries");
            tries.push(format!("{failed} to connect failed"));
        }
        if let Some(since) = self.attempt.filter(|_| self.stats.sent() == 0) {
            let one = if tries.is_empty() { "1 try to connect" } else { "1" };
            let (time, step) = (seconds(since.elapsed()), self.step.get());
            tries.push(format!("{one} was under way for {time}: {step}"));
        }
        if tries.is_empty() {
            return String::new();
        }
        if self.stats.sent() == 0 {
            tries.push(SEE_WHY.into());
        }
        format!("{}\n", tries.join("; "))
    }

    /// Prints the pending notices, and then the statistics or the verdict.
    ///
    /// # Errors
    /// Why stdout could not be written.
    pub(super) async fn finish(self, writer: Writer, judgement: &Judgement) -> io::Result<()> {
        let last = match self.lines.style() {
            Style::Json => judgement.json().map_err(io::Error::other)?,
            _ => self.report(),
        };
        self.lines.finish().finish(last, writer).await
    }
}
