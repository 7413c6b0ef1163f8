//! The lines on stdout, in the chosen style.

use std::time::{Duration, SystemTime};

use serde::Serialize;
use tokio::time::Instant;
use tracing::{info, warn};

use super::throttle::Throttle;
use crate::format::counted;
use crate::record;
use crate::stdout::{self, Output};
use proto::escape;

/// The format of each reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// The line with the server's text.
    Plain,
    /// The same line with the number of the ping and the round-trip time.
    Numbered,
    /// No line.
    Quiet,
    /// JSON objects.
    Json,
}

/// The printer of lines on stdout.
#[derive(Debug)]
pub(super) struct Lines {
    url: String,
    style: Style,
    output: Output,
    /// Lines dropped for lack of room in the queue, since the last warning about dropped lines.
    left_out: u64,
    unsolicited: Throttle,
}

#[derive(Serialize)]
struct Reply {
    seq: u64,
    time: f64,
    /// Processing time in the server; `None` if the server does not report one.
    server_time: Option<f64>,
}

impl Lines {
    pub(super) fn new(url: String, style: Style, output: Output) -> Self {
        Self { url, style, output, left_out: 0, unsolicited: Throttle::default() }
    }

    /// The handle to stdout.
    pub(super) fn output(&self) -> &Output {
        &self.output
    }

    pub(super) fn style(&self) -> Style {
        self.style
    }

    /// Prints a reply to the ping with this number.
    pub(super) fn reply(
        &mut self,
        text: &str,
        number: u64,
        time: Duration,
        server: Option<Duration>,
    ) {
        match self.style {
            Style::Plain => self.print(stdout::received(text)),
            Style::Numbered => self.print(stdout::numbered(text, number, time)),
            Style::Quiet => {}
            Style::Json => {
                let (time, server_time) = (record::seconds(time), server.map(record::seconds));
                let reply = Reply { seq: number, time, server_time };
                self.record("reply", SystemTime::now(), &reply);
            }
        }
    }

    /// Prints an error that answers a ping.
    pub(super) fn error(&mut self, text: &str) {
        match self.style {
            Style::Plain | Style::Numbered => self.print(stdout::received(text)),
            Style::Quiet | Style::Json => self.text(text),
        }
    }

    /// Prints a text that answers no ping. The rate of these lines is limited.
    pub(super) fn text(&mut self, text: &str) {
        let now = Instant::now();
        if self.unsolicited.admits(now) {
            match self.style {
                Style::Plain | Style::Numbered => self.print(stdout::received(text)),
                Style::Quiet => {}
                Style::Json => info!("received from {}: {}", self.url, escape::plain(text)),
            }
        }
        if let Some(left_out) = self.unsolicited.due(now) {
            self.log_suppressed(left_out);
        }
    }

    /// Prints a JSON object, if the style is JSON.
    pub(super) fn record(&mut self, r#type: &'static str, at: SystemTime, fields: &impl Serialize) {
        if self.style == Style::Json
            && let Ok(line) = record::line(r#type, at, fields)
        {
            self.print(line);
        }
    }

    /// Prints a line, or drops the line if the reader of stdout is too slow: the socket must still
    /// be read.
    fn print(&mut self, line: String) {
        if self.output.offer(line) {
            self.log_dropped();
        } else {
            self.left_out += 1;
        }
    }

    fn log_dropped(&mut self) {
        if self.left_out > 0 {
            let lines = counted(std::mem::take(&mut self.left_out), "line");
            warn!("left {lines} out on stdout: its reader is too slow");
        }
    }

    fn log_suppressed(&self, left_out: u64) {
        let texts = counted(left_out, "text");
        warn!("left {texts} of {} out: they answer no ping, and too many come", self.url);
    }

    /// Logs the pending notices and returns the handle to stdout.
    pub(super) fn finish(mut self) -> Output {
        if let Some(left_out) = self.unsolicited.take() {
            self.log_suppressed(left_out);
        }
        self.log_dropped();
        self.output
    }
}
