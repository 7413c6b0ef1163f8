//! What comes of the pings: printed, counted, and told where it is news.

use std::io;
use std::time::Duration;

use proto::ping::ERROR_PREFIX;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::link::{Link, Up};
use crate::output::{self, Output, Writer};
use crate::stats::Stats;
use crate::url::ServerUrl;

/// The record of a client, over all its connections.
#[derive(Debug)]
pub struct Record {
    url: ServerUrl,
    output: Output,
    stats: Stats,
    link: Link,
    started: Instant,
    /// Nobody checks the certificate of the server.
    is_blind: bool,
}

impl Record {
    /// An empty record.
    #[must_use]
    pub fn new(url: ServerUrl, output: Output, stats: Stats) -> Self {
        let link = Link::default();
        Self { url, output, stats, link, started: Instant::now(), is_blind: false }
    }

    /// Warns at each connection that nobody checks the certificate of the server, if that is so.
    #[must_use]
    pub fn warning(self, is_blind: bool) -> Self {
        Self { is_blind, ..self }
    }

    /// The server said `text`, as the answer to a ping if there is a `round_trip`.
    pub async fn received(&mut self, text: &str, round_trip: Option<Duration>) {
        match round_trip {
            Some(_) if text.starts_with(ERROR_PREFIX) => self.stats.refused(),
            Some(round_trip) => {
                self.stats.received(round_trip);
                self.note_pong();
            }
            None => {}
        }
        self.output.print(output::received(text)).await;
    }

    fn note_pong(&mut self) {
        let event = match self.link.pong(Instant::now()) {
            Some(Up::First(None)) => format!("connected to {}", self.url),
            Some(Up::First(Some(tried))) => {
                format!("connected to {} after {:.1} s", self.url, tried.as_secs_f64())
            }
            Some(Up::Again(gone)) => {
                self.stats.reconnected();
                format!("connected again after {:.1} s", gone.as_secs_f64())
            }
            None => return,
        };
        if self.is_blind {
            warn!("{event}; the certificate of the server is not checked (--insecure)");
        } else {
            info!("{event}");
        }
    }

    /// A ping will have no answer.
    pub fn lost_ping(&mut self) {
        self.stats.lost();
    }

    /// A connection is lost or could not be made, as `event` says. Returns whether it had been
    /// of use.
    pub fn lost_connection(&mut self, event: &str) -> bool {
        let was_up = self.link.is_up();
        if self.link.lost(Instant::now()) {
            warn!("{event}; trying again until it works");
        } else {
            debug!("{event}");
        }
        was_up
    }

    /// The statistics so far.
    pub(crate) fn report(&self) -> String {
        self.stats.report(&self.url.to_string(), self.started.elapsed())
    }

    /// Prints the statistics.
    ///
    /// # Errors
    /// Why stdout is closed.
    pub async fn finish(self, writer: Writer) -> io::Result<()> {
        let report = self.report();
        self.output.finish(report, writer).await
    }
}
