//! What went wrong at the making of a connection, as values.

use std::time::Duration;

use hyper::{HeaderMap, StatusCode, Version};

use super::phases::{Address, Phases};
use super::tls::Session;

/// Most bytes of the body of an answer that are kept.
pub(super) const MAX_BODY: usize = 1024;

/// Why there is no connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The name has no address.
    NoName,
    /// No address accepts a connection; whether one of them refuses it.
    Unreachable { is_refused: bool },
    /// The proxy answered CONNECT, and does not connect.
    ProxyRefused(Box<Refusal>),
    /// The server speaks no TLS.
    NotTls,
    /// The server speaks TLS.
    Tls,
    /// The server speaks old versions of TLS only.
    OldTls,
    /// The certificate of the server is not accepted; whether its authority is not known.
    Certificate { is_unknown: bool },
    /// The other end hung up without an answer.
    HungUp,
    /// The other end accepted the connection and did not answer in time.
    Silent,
    /// The first bytes of an answer that is not one of HTTP/1.
    NotHttp(Vec<u8>),
    /// The server answered, and does not switch protocols.
    Refused(Box<Refusal>),
    /// The server switches protocols in a way that RFC 6455 forbids.
    BadSwitch {
        answer: Box<Refusal>,
        /// Whether the rule is one about extensions.
        is_about_extension: bool,
    },
    /// Anything else.
    #[default]
    Other,
}

/// An answer that leads to no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) version: Version,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// The beginning of a body of text.
    pub(crate) body: String,
}

/// A step to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Look-up of names.
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

/// How far a connection came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// The times of the steps, that of the failed one included.
    pub(crate) phases: Phases,
    pub(crate) address: Option<Address>,
    /// TLS with the server.
    pub(crate) session: Option<Session>,
    /// The proxy, as it is named in errors.
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
