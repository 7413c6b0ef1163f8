//! Probe: the server's half of the client's probes, in the messages of [`proto::probe`]. The
//! connection, in its worker, follows schedules and stamps replies.

mod endings;
mod hello;

use std::sync::Arc;
use std::time::Instant;

use proto::ping::ERROR_PREFIX;
use proto::probe::{Ended, Request};
use serde::Serialize;

use super::{Answer, State};

use endings::Endings;

pub use endings::{ObservedEnd, Tracked};
pub use hello::Opening;

pub(super) const ABOUT: &str = "the other half of the client's probes: how its request arrived, when its messages did, and how its connections ended";

/// A message of `/probe` as JSON.
pub(crate) fn json(frame: &impl Serialize) -> String {
    serde_json::to_string(frame).unwrap_or_else(|error| format!("{ERROR_PREFIX}{error}"))
}

/// The connections of `/probe`, and what their hellos say of the server.
#[derive(Debug)]
pub struct Probes {
    /// The name of the host and a random part.
    instance: String,
    /// When the server started: Unix time, in seconds.
    started: f64,
    endings: Arc<Endings>,
}

/// A connection of `/probe` that has just been upgraded.
#[derive(Debug)]
pub struct Opened {
    /// The text of its first message.
    pub hello: String,
    /// The record of the connection.
    pub tracked: Tracked,
}

impl Probes {
    /// No connections yet.
    pub(super) fn new(host: &str) -> Self {
        let endings = Arc::new(Endings::default());
        let instance = format!("{host}-{}", endings.run());
        Self { instance, started: hello::now(), endings }
    }

    /// Records a connection, and makes its hello.
    #[must_use]
    pub fn open(&self, opening: &Opening<'_>) -> Opened {
        let tracked = Endings::open(&self.endings, Instant::now());
        let hello = hello::text(opening, self, &tracked.name());
        Opened { hello, tracked }
    }

    /// The state of the connection of this name, open or ended.
    #[must_use]
    pub fn ended<'a>(&self, connection: &'a str, now: Instant) -> Ended<'a> {
        self.endings.look_up(connection, now)
    }
}

pub(super) fn answer<'a>(text: &'a str, _: &State) -> Result<Answer<'a>, String> {
    Request::parse(text).map(Answer::Probe)
}
