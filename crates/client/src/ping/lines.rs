//! The lines on stdout, in the style that was asked for.

use std::time::{Duration, SystemTime};

use serde::Serialize;
use tokio::time::Instant;
use tracing::{info, warn};

use super::throttle::Throttle;
use crate::record;
use crate::stdout::{self, Output};
use crate::words::counted;
use proto::escape;

/// What is printed of each reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// The line with what the server said.
    Plain,
    /// The same, with the number of the ping and the round trip.
    Numbered,
    /// Nothing.
    Quiet,
    /// Objects in JSON.
    Json,
}

/// The way of the lines to stdout.
#[derive(Debug)]
pub(super) struct Lines {
    url: String,
    style: Style,
    output: Output,
    /// Lines that stdout had no room for, since that was told last.
    left_out: u64,
    unasked: Throttle,
}

#[derive(Serialize)]
struct Reply {
    seq: u64,
    time: f64,
    /// Time in the server. Only a server that tells it has one.
    server_time: Option<f64>,
}

impl Lines {
    pub(super) fn new(url: String, style: Style, output: Output) -> Self {
        Self { url, style, output, left_out: 0, unasked: Throttle::default() }
    }

    /// The way to stdout.
    pub(super) fn output(&self) -> &Output {
        &self.output
    }

    pub(super) fn style(&self) -> Style {
        self.style
    }

    /// A reply to the ping with this number.
    pub(super) fn reply(&mut self, text: &str, number: u64, time: Duration) {
        match self.style {
            Style::Plain => self.print(stdout::received(text)),
            Style::Numbered => self.print(stdout::numbered(text, number, time)),
            Style::Quiet => {}
            Style::Json => {
                let time = record::seconds(time);
                self.record(
                    "reply",
                    SystemTime::now(),
                    &Reply { seq: number, time, server_time: None },
                );
            }
        }
    }

    /// An error that answers a ping.
    pub(super) fn error(&mut self, text: &str) {
        match self.style {
            Style::Plain | Style::Numbered => self.print(stdout::received(text)),
            Style::Quiet | Style::Json => self.text(text),
        }
    }

    /// A text that answers no ping. A server that sends many is not shown in full.
    pub(super) fn text(&mut self, text: &str) {
        let now = Instant::now();
        if self.unasked.admits(now) {
            match self.style {
                Style::Plain | Style::Numbered => self.print(stdout::received(text)),
                Style::Quiet => {}
                Style::Json => info!("received from {}: {}", self.url, escape::plain(text)),
            }
        }
        if let Some(left_out) = self.unasked.due(now) {
            self.tell_unasked(left_out);
        }
    }

    /// An object, where the style is JSON.
    pub(super) fn record(&mut self, r#type: &'static str, at: SystemTime, fields: &impl Serialize) {
        if self.style == Style::Json
            && let Ok(line) = record::line(r#type, at, fields)
        {
            self.print(line);
        }
    }

    /// Prints a line, unless the reader of stdout is too slow: the socket is not left unread for
    /// that.
    fn print(&mut self, line: String) {
        if self.output.offer(line) {
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

    fn tell_unasked(&self, left_out: u64) {
        let texts = counted(left_out, "text");
        warn!("left {texts} of {} out: they answer no ping, and too many come", self.url);
    }

    /// Tells what is still to tell; returns the way to stdout.
    pub(super) fn finish(mut self) -> Output {
        if let Some(left_out) = self.unasked.take() {
            self.tell_unasked(left_out);
        }
        self.tell_left_out();
        self.output
    }
}
