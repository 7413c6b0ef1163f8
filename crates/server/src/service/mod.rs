//! The services: each is a rule that makes a reply of a message and the server's state.
//!
//! A service is a file here with its rule, and an entry in the table below.

mod echo;
mod host;
mod mirror;
mod ping;
pub mod probe;
mod status;
mod total;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use crate::observe::{Health, Metrics};
use probe::Probes;
use proto::frame::Opcode;
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

/// A service of the server: its number, which is its index in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service(u8);

/// The state of the services of a server.
#[derive(Debug)]
pub struct State {
    /// The name of the host.
    pub host: String,
    /// The sum of all numbers that `/total` got.
    pub total: Total,
    /// Makes the reports of `/status`.
    pub status: Status,
    /// The connections of `/probe`; `None` without this service (`PROBE=off`).
    pub probes: Option<Probes>,
}

/// A message from a client (RFC 6455, section 5.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// A text message.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
}

/// The answer of a service to a message.
#[derive(Debug)]
pub enum Answer<'a> {
    /// A reply that does not depend on the log.
    Reply(Reply<'a>),
    /// A ping to record. The reply is [`proto::PONG`], once the ping is recorded.
    Record(Ping<'a>),
    /// The request of a probe, which its connection serves.
    Probe(proto::probe::Request<'a>),
}

/// A message to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply<'a> {
    /// [`Opcode::Text`] or [`Opcode::Binary`].
    pub opcode: Opcode,
    /// The payload: UTF-8 in a text message.
    pub bytes: Cow<'a, [u8]>,
}

/// Why a message is invalid for a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvalidMessage {
    /// The text is not what the service expects; the value says what is expected.
    Text(String),
    /// The message is binary, and the service takes text.
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
    /// Takes text messages.
    Text(TextRule),
    /// Takes text and binary messages.
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
    /// A text message.
    pub fn text(text: impl Into<Cow<'a, str>>) -> Self {
        let bytes = match text.into() {
            Cow::Borrowed(text) => text.as_bytes().into(),
            Cow::Owned(text) => text.into_bytes().into(),
        };
        Self { opcode: Opcode::Text, bytes }
    }
}

impl State {
    /// The state of a server that has just started on `host`.
    #[must_use]
    pub fn new(host: String, metrics: Arc<Metrics>, health: Health) -> Self {
        let probes = Some(Probes::new(&host));
        Self { host, total: Total::default(), status: Status::new(metrics, health), probes }
    }

    /// The same state without `/probe`.
    #[must_use]
    pub fn without_probe(self) -> Self {
        Self { probes: None, ..self }
    }

    /// The services that this server offers.
    pub fn services(&self) -> impl Iterator<Item = Service> {
        Service::all().filter(|&service| self.has(service))
    }

    /// Whether this server offers the service.
    #[must_use]
    pub fn has(&self, service: Service) -> bool {
        self.probes.is_some() || !service.is_probe()
    }

    /// The reply of `/status`: the state of the server as JSON.
    ///
    /// # Errors
    /// When the state cannot be serialized.
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

    /// The number of the service, from 0.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// The path of the service.
    #[must_use]
    pub fn path(self) -> &'static str {
        TABLE[self.index()].path
    }

    /// Whether this is the service at `/probe`.
    #[must_use]
    pub fn is_probe(self) -> bool {
        self.path() == path::PROBE
    }

    /// A short description of the service.
    #[must_use]
    pub fn about(self) -> &'static str {
        TABLE[self.index()].about
    }

    /// The first message to a client, if the service has one.
    #[must_use]
    pub fn greeting(self, state: &State) -> Option<String> {
        TABLE[self.index()].greeting.map(|greeting| greeting(state))
    }

    /// Whether the service takes binary messages.
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
            (Rule::Any(rule), message) => Ok(Answer::Reply(rule(message))),
        }
    }
}

/// A duration in seconds, cut to the millisecond.
fn seconds(time: Duration) -> f64 {
    time.as_millis() as f64 / 1000.0
}
