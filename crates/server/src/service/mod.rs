//! The services: each a rule from a message and the server's state to a reply.
//!
//! A service is a file here with its rule, and its line in the table below.

mod echo;
mod host;
mod mirror;
mod ping;
pub mod probe;
mod status;
mod total;

use std::borrow::Cow;
use std::sync::Arc;

use serde::Serialize;

use crate::observe::{Health, Metrics};
use probe::Probes;
use proto::ping::ERROR_PREFIX;
use proto::{Ping, path};

pub use status::Status;
pub use total::Total;

/// Every service with its path and its rule.
const TABLE: &[Entry] = &[
    Entry::of_text(path::PING, ping::ABOUT, ping::answer),
    Entry::of_text(path::ECHO, echo::ABOUT, echo::answer),
    Entry::of_text(path::HOST, host::ABOUT, host::answer).greeting(host::greeting),
    Entry::of_any(path::MIRROR, mirror::ABOUT, mirror::answer),
    Entry::of_text(path::TOTAL, total::ABOUT, total::answer),
    Entry::of_text(path::STATUS, status::ABOUT, status::answer),
    Entry::of_text(path::PROBE, probe::ABOUT, probe::answer),
];

/// A service of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service(u8);

/// What the services of a server share and remember.
#[derive(Debug)]
pub struct State {
    /// The name of the host.
    pub host: String,
    /// The sum of all numbers.
    pub total: Total,
    /// How the server does.
    pub status: Status,
    /// The probes; `None` if there is no `/probe` (`PROBE`).
    pub probes: Option<Probes>,
}

/// A message from a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// A text.
    Text(&'a str),
    /// Any bytes.
    Binary(&'a [u8]),
}

/// What a service makes of a message.
#[derive(Debug)]
pub enum Answer<'a> {
    /// A reply that depends on nothing.
    Reply(Reply<'a>),
    /// A ping to record. [`proto::PONG`] is the reply once it is recorded.
    Record(Ping<'a>),
    /// What a probe asks for.
    Probe(proto::probe::Request<'a>),
}

/// A message to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply<'a> {
    /// Whether it is text, in UTF-8.
    pub kind: Kind,
    /// What it says.
    pub bytes: Cow<'a, [u8]>,
}

/// The kind of a message (RFC 6455, section 5.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8.
    Text,
    /// Any bytes.
    Binary,
}

/// Why a message is invalid for a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvalidMessage {
    /// It is not what was expected, and this text says what was.
    Text(String),
    /// It is binary, and the service takes text.
    Binary,
}

struct Entry {
    path: &'static str,
    about: &'static str,
    rule: Rule,
    greeting: Option<fn(&State) -> String>,
}

#[derive(Clone, Copy)]
enum Rule {
    /// From a text.
    Text(TextRule),
    /// From a message of either kind.
    Any(AnyRule),
}

type TextRule = for<'a> fn(&'a str, &State) -> Result<Answer<'a>, String>;
type AnyRule = for<'a> fn(Incoming<'a>) -> Reply<'a>;

impl Entry {
    const fn of_text(path: &'static str, about: &'static str, rule: TextRule) -> Self {
        Self { path, about, rule: Rule::Text(rule), greeting: None }
    }

    const fn greeting(self, greeting: fn(&State) -> String) -> Self {
        Self { greeting: Some(greeting), ..self }
    }

    const fn of_any(path: &'static str, about: &'static str, rule: AnyRule) -> Self {
        Self { path, about, rule: Rule::Any(rule), greeting: None }
    }
}

impl<'a> Reply<'a> {
    /// A text.
    pub fn text(text: impl Into<Cow<'a, str>>) -> Self {
        let bytes = match text.into() {
            Cow::Borrowed(text) => text.as_bytes().into(),
            Cow::Owned(text) => text.into_bytes().into(),
        };
        Self { kind: Kind::Text, bytes }
    }
}

impl<'a> From<Reply<'a>> for Answer<'a> {
    fn from(reply: Reply<'a>) -> Self {
        Self::Reply(reply)
    }
}

impl State {
    /// The state of a server that has just started on `host`.
    #[must_use]
    pub fn new(host: String, metrics: Arc<Metrics>, health: Health) -> Self {
        let probes = Some(Probes::new(&host));
        Self { host, total: Total::default(), status: Status::new(metrics, health), probes }
    }

    /// Without `/probe`.
    #[must_use]
    pub fn without_probe(self) -> Self {
        Self { probes: None, ..self }
    }

    /// The services that there are with these settings.
    pub fn services(&self) -> impl Iterator<Item = Service> {
        Service::all().filter(|&service| self.has(service))
    }

    /// Whether there is this service with these settings.
    #[must_use]
    pub fn has(&self, service: Service) -> bool {
        self.probes.is_some() || !service.is_probe()
    }

    /// The state of the server as JSON, as `/status` replies it.
    ///
    /// # Errors
    /// When it cannot be serialized.
    pub fn status_json(&self) -> Result<String, String> {
        status::json(self)
    }
}

impl Service {
    /// Every service.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..).zip(TABLE).map(|(number, _)| Self(number))
    }

    /// The paths of all services, by their numbers.
    #[must_use]
    pub fn paths() -> Vec<&'static str> {
        Self::all().map(Self::path).collect()
    }

    /// The service at a path.
    #[must_use]
    pub fn at(path: &str) -> Option<Self> {
        Self::all().find(|service| service.path() == path)
    }

    /// Its number, from 0.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// Its path.
    #[must_use]
    pub fn path(self) -> &'static str {
        TABLE[self.index()].path
    }

    /// Whether it is the one at `/probe`.
    #[must_use]
    pub fn is_probe(self) -> bool {
        self.path() == path::PROBE
    }

    /// What it does, in a few words.
    #[must_use]
    pub fn about(self) -> &'static str {
        TABLE[self.index()].about
    }

    /// The first message to a client, if the service has one.
    #[must_use]
    pub fn greeting(self, state: &State) -> Option<String> {
        TABLE[self.index()].greeting.map(|greeting| greeting(state))
    }

    /// Whether binary messages have a meaning.
    #[must_use]
    pub fn takes_binary(self) -> bool {
        matches!(TABLE[self.index()].rule, Rule::Any(_))
    }

    /// Answers a text or binary message.
    ///
    /// # Errors
    /// If the message is invalid for the service.
    pub fn answer<'a>(
        self,
        message: Incoming<'a>,
        state: &State,
    ) -> Result<Answer<'a>, InvalidMessage> {
        match (TABLE[self.index()].rule, message) {
            (Rule::Text(rule), Incoming::Text(text)) => {
                rule(text, state).map_err(InvalidMessage::Text)
            }
            (Rule::Text(_), Incoming::Binary(_)) => Err(InvalidMessage::Binary),
            (Rule::Any(rule), message) => Ok(rule(message).into()),
        }
    }
}

/// A frame of `/probe` as JSON.
pub(crate) fn json(frame: &impl Serialize) -> String {
    serde_json::to_string(frame).unwrap_or_else(|error| format!("{ERROR_PREFIX}{error}"))
}
