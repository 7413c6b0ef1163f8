//! The services: each a rule from a message and the server's state to a reply.
//!
//! A service is a file here with its rule, and its line in the table below.

mod echo;
mod host;
mod mirror;
mod ping;
mod status;
mod total;

use std::borrow::Cow;
use std::sync::Arc;

use crate::health::Health;
use crate::metrics::Metrics;
use proto::{Ping, path};

pub use status::Status;
pub use total::Total;

/// Every service with its path and its rule.
const TABLE: &[Entry] = &[
    Entry::of_text(path::PING, ping::ABOUT, ping::answer),
    Entry::of_text(path::ECHO, echo::ABOUT, echo::answer),
    Entry::of_text(path::HOST, host::ABOUT, host::answer),
    Entry::of_any(path::MIRROR, mirror::ABOUT, mirror::answer),
    Entry::of_text(path::TOTAL, total::ABOUT, total::answer),
    Entry::of_text(path::STATUS, status::ABOUT, status::answer),
];

/// A service of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service(usize);

/// What the services of a server share and remember.
#[derive(Debug)]
pub struct State {
    /// The name of the host.
    pub host: String,
    /// The sum of all numbers.
    pub total: Total,
    /// How the server does.
    pub status: Status,
}

/// A message from a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// A text.
    Text(&'a str),
    /// Any bytes.
    Binary(&'a [u8]),
}

/// What a service makes of a message that it can use.
#[derive(Debug)]
pub struct Answer<'a> {
    /// What the sender is told, once `record` is recorded.
    pub reply: Reply<'a>,
    /// What has to be in the log first.
    pub record: Option<Ping<'a>>,
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

/// Why a service has no use for a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// It is not what was expected, which is told.
    Text(String),
    /// It is not text.
    Binary,
}

struct Entry {
    path: &'static str,
    about: &'static str,
    rule: Rule,
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
        Self { path, about, rule: Rule::Text(rule) }
    }

    const fn of_any(path: &'static str, about: &'static str, rule: AnyRule) -> Self {
        Self { path, about, rule: Rule::Any(rule) }
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
        Self { reply, record: None }
    }
}

impl State {
    /// The state of a server that has just started on `host`.
    #[must_use]
    pub fn new(host: String, metrics: Arc<Metrics>, health: Health) -> Self {
        Self { host, total: Total::default(), status: Status::new(metrics, health) }
    }
}

impl Service {
    /// The number of services.
    pub const COUNT: usize = TABLE.len();

    /// Every service.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).map(Self)
    }

    /// The service at a path.
    #[must_use]
    pub fn at(path: &str) -> Option<Self> {
        TABLE.iter().position(|entry| entry.path == path).map(Self)
    }

    /// Its number, from 0 to below [`Self::COUNT`].
    #[must_use]
    pub fn index(self) -> usize {
        self.0
    }

    /// Its path.
    #[must_use]
    pub fn path(self) -> &'static str {
        TABLE[self.0].path
    }

    /// What it does, in a few words.
    #[must_use]
    pub fn about(self) -> &'static str {
        TABLE[self.0].about
    }

    /// Answers a text or binary message.
    ///
    /// # Errors
    /// If the service cannot use the message.
    pub fn answer<'a>(self, message: Incoming<'a>, state: &State) -> Result<Answer<'a>, Unusable> {
        match (TABLE[self.0].rule, message) {
            (Rule::Text(rule), Incoming::Text(text)) => rule(text, state).map_err(Unusable::Text),
            (Rule::Text(_), Incoming::Binary(_)) => Err(Unusable::Binary),
            (Rule::Any(rule), message) => Ok(rule(message).into()),
        }
    }
}
