//! The services: each a rule from the text of a message to its reply.

mod ping;

use std::borrow::Cow;
use std::fmt;

use proto::{Ping, path};

/// A service of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Records each ping and answers `Pong!`.
    Ping,
}

/// What a service makes of a message that it can use.
#[derive(Debug)]
pub struct Answer<'a> {
    /// What the sender is told, once `record` is recorded.
    pub reply: Cow<'static, str>,
    /// What has to be in the log first.
    pub record: Option<Ping<'a>>,
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ping => "each ping is recorded and answered with Pong!",
        })
    }
}

impl Service {
    /// Every service with its path.
    pub const ALL: [(&'static str, Self); 1] = [(path::PING, Self::Ping)];

    /// The service at a path.
    #[must_use]
    pub fn at(path: &str) -> Option<Self> {
        Self::ALL.iter().find(|(own, _)| *own == path).map(|&(_, service)| service)
    }

    /// Answers a message.
    ///
    /// # Errors
    /// What was expected, if the service cannot use the message.
    pub fn answer<'a>(self, text: &'a str) -> Result<Answer<'a>, String> {
        match self {
            Self::Ping => ping::answer(text),
        }
    }
}
