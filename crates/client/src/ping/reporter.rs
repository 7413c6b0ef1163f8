//! What comes of the pings: lines on stdout, counts, and events where there is news.

use std::io;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::figures::Figures;
use super::limits::Limits;
use super::lines::{Lines, Style};
use super::link::{Link, Up};
use super::live::Live;
use super::metrics::Metrics;
use super::stats::Stats;
use super::verdict::Judgement;
use super::way::Unfit;
use crate::connection::Connection;
use crate::net::ending::Ending;
use crate::net::{ConnectError, Endpoint, Phases};
use crate::outage::Outage;
use crate::outage::activity::Activity;
use crate::outage::ledger::Ledger;
use crate::outage::seen::Seen;
use crate::record;
use crate::stdout::{Output, Writer};
use crate::words::{counted, seconds};

/// Reports on all connections of a client.
#[derive(Debug)]
pub struct Reporter {
    url: String,
    is_unchecked: bool,
    lines: Lines,
    live: Live,
    metrics: Metrics,
    stats: Stats,
    ledger: Ledger,
    link: Link,
    /// The connection without a reply.
    connection: Option<Connection>,
    limits: Limits,
    /// Tries to connect that failed.
    failed: u64,
    started: Instant,
}

/// Where the reports go.
#[derive(Debug)]
pub(super) struct Sinks {
    pub(super) output: Output,
    pub(super) style: Style,
    pub(super) live: Live,
    pub(super) metrics: Metrics,
}

impl Reporter {
    /// A reporter that has nothing to report yet.
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
            ledger: Ledger::new(started),
            link: Link::default(),
            connection: None,
            limits,
            failed: 0,
            started,
        }
    }

    /// A connection was made.
    pub fn connected(&mut self, address: String, phases: Phases) {
        self.ledger.made(Instant::now());
        self.connection = Some(Connection::new(address, phases));
    }

    /// A ping was answered, with `text`.
    pub fn received(&mut self, text: &str, round_trip: Duration) {
        self.stats.received(round_trip);
        self.note_ping(Some(round_trip));
        self.note_pong();
        self.lines.reply(text, self.stats.sent(), round_trip);
    }

    /// A ping was answered with an error.
    pub fn refused(&mut self, text: &str) {
        self.stats.refused();
        self.note_ping(None);
        self.lines.error(text);
    }

    /// The server sent something that answers no ping.
    pub fn unasked(&mut self, text: &str) {
        self.lines.text(text);
    }

    /// The server is asked with Ping frames from now on.
    pub(super) fn switched(&mut self, unfit: Unfit) {
        let url = &self.url;
        warn!("{url} {unfit}; measuring with Ping frames from now on, as --protocol-ping does");
    }

    /// The way to stdout.
    pub(crate) fn output(&self) -> Output {
        self.lines.output().clone()
    }

    /// Whether all pings that were asked for are over.
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
        if let Some(outage) = self.ledger.answered(Instant::now()) {
            self.tell_outage(&outage);
        }
        let event = match self.link.pong(Instant::now()) {
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

    /// Tells about the connection, once its first reply has come, or will not.
    fn note_connection(&mut self, is_answered: bool) {
        if let Some(connection) = self.connection.take() {
            let first_reply = is_answered.then(|| connection.age());
            self.metrics.connection(connection.phases(first_reply));
            let fields = connection.fields(&self.url, first_reply);
            self.lines.record("connection", connection.at(), &fields);
        }
    }

    fn tell_outage(&mut self, outage: &Outage) {
        self.lines.record("outage", outage.began_at(), &outage.fields());
    }

    /// A ping will have no answer.
    pub fn lost_ping(&mut self) {
        self.stats.lost();
        self.note_ping(None);
    }

    /// No connection could be made.
    pub fn connect_failed(&mut self, error: &ConnectError) {
        self.failed += 1;
        let present = self.ledger.count();
        self.ledger.refused(Instant::now(), error.to_string());
        self.note_outage(present, Seen::Refused);
        let event = format!("cannot connect to {}: {error}", self.url);
        let next = match error.retry_after() {
            Some(asked) if !asked.is_zero() => {
                format!("trying again after {}, as the server asks", seconds(asked))
            }
            _ => "trying again until it works".into(),
        };
        self.lost(&event, &next);
    }

    /// A connection ended. Returns whether it had been of use.
    pub fn lost_connection(&mut self, ending: &Ending, activity: &Activity) -> bool {
        self.note_connection(false);
        if let Some(seen) = Seen::of(ending) {
            let outages = self.ledger.count();
            self.ledger.ended(Instant::now(), seen, ending.to_string(), activity);
            self.note_outage(outages, seen);
        }
        let was_up = self.link.is_up();
        let event = format!("lost the connection to {}: {ending}", self.url);
        self.lost(&event, "trying again until it works");
        was_up
    }

    /// Shows an outage that has just begun, if there were so many `before`.
    fn note_outage(&self, before: u64, seen: Seen) {
        if self.ledger.count() > before
            && let Some(outage) = self.ledger.present()
        {
            self.live.down(&outage.reason);
            self.metrics.outage(seen);
        }
    }

    fn lost(&mut self, event: &str, next: &str) {
        self.metrics.up(false);
        if self.link.lost(Instant::now()) {
            warn!("{event}; {next}");
        } else {
            debug!("{event}; {next}");
        }
    }

    /// Everything in numbers.
    pub(super) fn figures(&self) -> Figures {
        let (ledger, now) = (&self.ledger, Instant::now());
        Figures {
            sent: self.stats.sent(),
            received: self.stats.received_count(),
            lost: self.stats.lost_count(),
            times: self.stats.times(),
            outages: ledger.count(),
            cuts: ledger.cuts(),
            outage_total: record::seconds(ledger.total()),
            outage_longest: record::seconds(ledger.longest()),
            // A server that never answered was never there.
            availability: if self.stats.has_received() { ledger.availability(now) } else { 0.0 },
            cause: ledger.cause(now),
        }
    }

    /// Whether anything is known of the server: a reply, a loss or a refusal.
    pub(super) fn knows_anything(&self) -> bool {
        self.stats.sent() + self.failed > 0
    }

    /// Ends what is under way.
    pub(super) fn stop(&mut self) {
        self.note_connection(false);
        if let Some(outage) = self.ledger.stopped(Instant::now()) {
            self.tell_outage(&outage);
        }
    }

    /// The statistics so far.
    pub(crate) fn report(&self) -> String {
        let is_detailed = self.lines.style() != Style::Plain;
        let mut report = self.stats.report(&self.url, self.started.elapsed(), is_detailed);
        if self.failed > 0 && is_detailed {
            let tries = counted(self.failed, "try");
            report.push_str(&format!("{} to connect failed\n", tries.replace("trys", "tries")));
        }
        // A server that never answered has no time in which it was there.
        if self.stats.has_received() {
            report.push_str(&self.ledger.report(Instant::now()));
        }
        report
    }

    /// Tells what is still to tell, and prints the statistics or the verdict.
    ///
    /// # Errors
    /// Why stdout is closed.
    pub(super) async fn finish(self, writer: Writer, judgement: &Judgement) -> io::Result<()> {
        let last = match self.lines.style() {
            Style::Json => judgement.json().map_err(io::Error::other)?,
            _ => self.report(),
        };
        self.lines.finish().finish(last, writer).await
    }
}
