//! Probe: the other half of the client's probes. What it says is defined in [`proto::probe`]; a
//! worker keeps its schedules, and puts its stamps on replies.

mod endings;
mod hello;

use std::sync::Arc;
use std::time::Instant;

use proto::probe::{Ended, Request};

use super::{Answer, State};

pub use endings::{Endings, Seen, Tracked};
pub use hello::Opening;

pub(super) const ABOUT: &str = "the other half of the client's probes: how its request arrived, when its messages did, and how its connections ended";

/// What the server knows of its probes.
#[derive(Debug)]
pub struct Probes {
    /// Name of the host and a random part.
    instance: String,
    /// When the server started, in seconds since the beginning of 1970.
    started: f64,
    endings: Arc<Endings>,
}

/// A connection of a probe that has just been upgraded.
#[derive(Debug)]
pub struct Opened {
    /// The text of its first message.
    pub hello: String,
    /// Its place in the memory of endings.
    pub tracked: Tracked,
}

impl Probes {
    /// No probe yet.
    pub(super) fn new(host: &str) -> Self {
        let endings = Arc::new(Endings::default());
        let instance = format!("{host}-{}", endings.run());
        Self { instance, started: hello::now(), endings }
    }

    /// Takes note of a connection, and makes its hello.
    #[must_use]
    pub fn open(&self, opening: &Opening<'_>) -> Opened {
        let tracked = Endings::open(&self.endings, Instant::now());
        let hello = hello::text(opening, self, &tracked.name());
        Opened { hello, tracked }
    }

    /// What is known of a connection at present.
    #[must_use]
    pub fn ended<'a>(&self, connection: &'a str, now: Instant) -> Ended<'a> {
        self.endings.tell(connection, now)
    }
}

pub(super) fn answer<'a>(text: &'a str, _: &State) -> Result<Answer<'a>, String> {
    Request::parse(text).map(Answer::Probe)
}
