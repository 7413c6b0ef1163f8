//! The kinds of failed connection attempts, and the step at which each failed.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::{HeaderMap, StatusCode, Version};

use super::phases::{Address, Phases};
use super::tls::session::Session;

/// Longest beginning of an answer's body that is kept, in bytes.
pub(super) const MAX_BODY: usize = 1024;

/// The statuses of a server, or a proxy, that has no room at the moment: 429 (RFC 6585, section 4) and
/// 503 (RFC 9110, section 15.6.4).
pub(crate) const NO_ROOM: [StatusCode; 2] =
    [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE];

/// Why there is no connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The name has no address.
    NoName,
    /// No address accepts a connection; `is_refused` if one of them refuses connections.
    Unreachable { is_refused: bool },
    /// The proxy answered CONNECT with an error.
    ProxyRefused(Box<Refusal>),
    /// The server does not speak TLS, and the URL asks for it.
    NotTls,
    /// The server speaks TLS, and the URL does not ask for it.
    Tls,
    /// The server speaks only versions of TLS before 1.2.
    OldTls,
    /// The certificate of the server is not accepted; `is_unknown` if its authority is not trusted.
    Certificate { is_unknown: bool },
    /// The peer closed the connection without an answer.
    HungUp,
    /// The peer accepted the connection and did not answer in time.
    Silent,
    /// The answer is not HTTP/1; its first bytes.
    NotHttp(Vec<u8>),
    /// The server answered with another status than 101.
    Refused(Box<Refusal>),
    /// The server switched protocols, and its answer violates RFC 6455.
    BadSwitch {
        answer: Box<Refusal>,
        /// Whether the violated rule is about extensions.
        is_about_extension: bool,
    },
    /// Anything else.
    #[default]
    Other,
}

impl Fault {
    /// Whether the status is one of [`NO_ROOM`].
    pub(crate) fn is_lack_of_room(&self) -> bool {
        match self {
            Self::Refused(refusal) | Self::ProxyRefused(refusal) => refusal.is_lack_of_room(),
            _ => false,
        }
    }
}

/// An answer that does not complete the handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) version: Version,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// The beginning of the body, if that is text.
    pub(crate) body: String,
}

impl Refusal {
    /// Whether the status is one of [`NO_ROOM`].
    pub(crate) fn is_lack_of_room(&self) -> bool {
        NO_ROOM.contains(&self.status)
    }
}

/// A step of making a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Step {
    /// Look-up of names.
    #[default]
    Name,
    /// TCP, or the Unix socket.
    Tcp,
    /// The tunnel through a proxy.
    Proxy,
    /// TLS handshake with the server.
    Tls,
    /// Upgrade to WebSocket.
    Upgrade,
}

impl fmt::Display for Step {
    /// What an attempt in this step lacks: `no answer to the TLS handshake`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "no address for the name",
            Self::Tcp => "no answer to the request for a connection",
            Self::Proxy => "no answer from the proxy",
            Self::Tls => "no answer to the TLS handshake",
            Self::Upgrade => "no answer to the request for the upgrade",
        })
    }
}

/// The step that the last attempt to connect has reached, for a caller that gives the attempt up.
/// Clones share the step.
#[derive(Clone, Debug, Default)]
pub(crate) struct CurrentStep(Arc<Mutex<Step>>);

impl CurrentStep {
    /// Records the beginning of a step.
    pub(crate) fn begin(&self, step: Step) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = step;
    }

    /// The last step that began.
    pub(crate) fn get(&self) -> Step {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How far a connection came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// The times of the steps, including the failed one.
    pub(crate) phases: Phases,
    pub(crate) address: Option<Address>,
    /// TLS with the server.
    pub(crate) session: Option<Session>,
    /// The proxy as errors name it.
    pub(crate) proxy: Option<String>,
}

impl Progress {
    /// The step that failed: the last one that has a time.
    pub(crate) fn failed(&self) -> Option<Step> {
        let Phases { dns, proxy, tcp, tls, upgrade } = self.phases;
        let steps: [(Step, Option<Duration>); 5] = [
            (Step::Upgrade, upgrade),
            (Step::Tls, tls),
            (Step::Proxy, proxy),
            (Step::Tcp, tcp),
            (Step::Name, dns),
        ];
        steps.into_iter().find_map(|(step, time)| time.map(|_| step))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_step_with_a_time_is_the_failed_one() {
        let time = Some(Duration::from_millis(1));
        let failed = |phases| Progress { phases, ..Progress::default() }.failed();
        assert_eq!(failed(Phases::default()), None);
        assert_eq!(failed(Phases { dns: time, ..Phases::default() }), Some(Step::Name));
        let tunnel = Phases { dns: time, tcp: time, proxy: time, ..Phases::default() };
        assert_eq!(failed(tunnel), Some(Step::Proxy));
        assert_eq!(failed(Phases { upgrade: time, ..tunnel }), Some(Step::Upgrade));
    }
}
