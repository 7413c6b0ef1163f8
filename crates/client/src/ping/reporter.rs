//! What comes of the pings: lines on stdout, counts, and events where there is news.

use std::io;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::link::{Link, Up};
use super::stats::Stats;
use super::throttle::Throttle;
use crate::mode::Verdict;
use crate::net::{ConnectError, Endpoint};
use crate::stdout::{self, Output, Writer};
use crate::words::{counted, seconds};

/// Reports on all connections of a client.
#[derive(Debug)]
pub struct Reporter {
    url: String,
    is_unchecked: bool,
    output: Output,
    /// Lines that stdout had no room for, since that was told last.
    left_out: u64,
    unasked: Throttle,
    stats: Stats,
    link: Link,
    started: Instant,
}

impl Reporter {
    /// A reporter that has nothing to report yet.
    #[must_use]
    pub fn new(endpoint: &Endpoint, output: Output, stats: Stats) -> Self {
        Self {
            url: endpoint.url.to_string(),
            is_unchecked: endpoint.is_unchecked(),
            output,
            left_out: 0,
            unasked: Throttle::default(),
            stats,
            link: Link::default(),
            started: Instant::now(),
        }
    }

    /// A ping was answered with `Pong!`.
    pub fn received(&mut self, text: &str, round_trip: Duration) {
        self.stats.received(round_trip);
        self.note_pong();
        self.print(text);
    }

    /// A ping was answered with an error.
    pub fn refused(&mut self, text: &str) {
        self.stats.refused();
        self.print(text);
    }

    /// The server sent a text that answers no ping.
    pub fn unasked(&mut self, text: &str) {
        let now = Instant::now();
        if self.unasked.admits(now) {
            self.print(text);
        }
        if let Some(left_out) = self.unasked.due(now) {
            self.tell_unasked(left_out);
        }
    }

    fn tell_unasked(&self, left_out: u64) {
        let texts = counted(left_out, "text");
        warn!("left {texts} of {} out: they answer no ping, and too many come", self.url);
    }

    /// Prints a line, unless the reader of stdout is too slow: the socket is not left unread for
    /// that.
    fn print(&mut self, text: &str) {
        if self.output.offer(stdout::received(text)) {
            self.tell_left_out();
        } else {
            self.left_out += 1;
        }
    }

    fn tell_left_out(&mut self) {
        if self.left_out > 0 {
            let lines = counted(std::mem::take(&mut self.left_out), "line");
            warn!("left {lines} out on stdout: its reader is too slow");
        }
    }

    /// The way to stdout.
    pub(crate) fn output(&self) -> Output {
        self.output.clone()
    }

    fn note_pong(&mut self) {
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
        if self.is_unchecked {
            warn!("{event}; the certificate of the server is not checked (--insecure)");
        } else {
            info!("{event}");
        }
    }

    /// A ping will have no answer.
    pub fn lost_ping(&mut self) {
        self.stats.lost();
    }

    /// No connection could be made.
    pub fn connect_failed(&mut self, error: &ConnectError) {
        let event = format!("cannot connect to {}: {error}", self.url);
        let next = match error.retry_after() {
            Some(asked) if !asked.is_zero() => {
                format!("trying again after {}, as the server asks", seconds(asked))
            }
            _ => "trying again until it works".into(),
        };
        self.lost(&event, &next);
    }

    /// A connection ended, as `event` says. Returns whether it had been of use.
    pub fn lost_connection(&mut self, event: &str) -> bool {
        let was_up = self.link.is_up();
        self.lost(event, "trying again until it works");
        was_up
    }

    fn lost(&mut self, event: &str, next: &str) {
        if self.link.lost(Instant::now()) {
            warn!("{event}; {next}");
        } else {
            debug!("{event}; {next}");
        }
    }

    /// Whether anything came back.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        if self.stats.has_received() { Verdict::Good } else { Verdict::Bad }
    }

    /// The statistics so far.
    pub(crate) fn report(&self) -> String {
        self.stats.report(&self.url, self.started.elapsed())
    }

    /// Tells what is still to tell and prints the statistics.
    ///
    /// # Errors
    /// Why stdout is closed.
    pub async fn finish(mut self, writer: Writer) -> io::Result<()> {
        if let Some(left_out) = self.unasked.take() {
            self.tell_unasked(left_out);
        }
        self.tell_left_out();
        let report = self.report();
        self.output.finish(report, writer).await
    }
}
