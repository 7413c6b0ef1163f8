//! The end of a connection as the client observed it.

use std::fmt;
use std::io;

use serde::{Serialize, Serializer};

use crate::net::ending::Ending;
use crate::net::tls;

/// The status code of a Close frame without one (RFC 6455, section 7.1.5).
const NO_CODE: u16 = 1005;

/// How a connection ended, or why none was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObservedEnd {
    /// A Close frame with this code, from the server, or from the client to a server that breaks
    /// the protocol.
    Close(u16),
    /// The end of the stream without a Close frame.
    Fin,
    /// A reset, or any other sudden end of the stream.
    Rst,
    /// A record that breaks TLS, or an alert of TLS.
    Tls,
    /// No answer.
    Silence,
    /// No connection could be opened.
    Refused,
}

impl ObservedEnd {
    /// Every end but those with a Close frame.
    pub const WITHOUT_CODE: [Self; 5] =
        [Self::Fin, Self::Rst, Self::Tls, Self::Silence, Self::Refused];

    /// The classification of `ending`; `None` if the client itself stopped.
    #[must_use]
    pub fn of(ending: &Ending) -> Option<Self> {
        Some(match ending {
            Ending::Closed(close) => Self::Close(close.as_ref().map_or(NO_CODE, |c| c.code.0)),
            Ending::Lost(None) => Self::Fin,
            Ending::Lost(Some(error)) if is_silence(error) => Self::Silence,
            Ending::Lost(Some(error)) if tls::is_violation(error) => Self::Tls,
            Ending::Lost(Some(_)) => Self::Rst,
            Ending::NoPong(_) => Self::Silence,
            Ending::Refused(code, _) => Self::Close(code.0),
            Ending::Stopped => return None,
        })
    }

    /// The status code of the Close frame.
    #[must_use]
    pub fn code(self) -> Option<u16> {
        match self {
            Self::Close(code) => Some(code),
            _ => None,
        }
    }
}

/// Whether the kernel gave up on an unresponsive peer, or on the route to the peer.
fn is_silence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::TimedOut
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
    )
}

impl fmt::Display for ObservedEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Close(code) => write!(f, "close-{code}"),
            Self::Fin => f.write_str("fin"),
            Self::Rst => f.write_str("rst"),
            Self::Tls => f.write_str("tls"),
            Self::Silence => f.write_str("silence"),
            Self::Refused => f.write_str("refused"),
        }
    }
}

impl Serialize for ObservedEnd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::frame::{Close, CloseCode};
    use std::time::Duration;

    #[test]
    fn each_end_has_its_class() {
        let close = |code| Close { code: CloseCode(code), reason: "".into() };
        let io = |kind| Ending::Lost(Some(io::Error::from(kind)));
        for (ending, seen) in [
            (Ending::Closed(Some(close(1001))), "close-1001"),
            (Ending::Closed(None), "close-1005"),
            (Ending::Refused(CloseCode::PROTOCOL, String::new()), "close-1002"),
            (Ending::Lost(None), "fin"),
            (io(io::ErrorKind::ConnectionReset), "rst"),
            (io(io::ErrorKind::BrokenPipe), "rst"),
            (io(io::ErrorKind::TimedOut), "silence"),
            (io(io::ErrorKind::HostUnreachable), "silence"),
            (Ending::NoPong(Duration::from_secs(1)), "silence"),
        ] {
            assert_eq!(ObservedEnd::of(&ending).unwrap().to_string(), seen, "{ending:?}");
        }
        assert_eq!(ObservedEnd::of(&Ending::Stopped), None);
    }
}
