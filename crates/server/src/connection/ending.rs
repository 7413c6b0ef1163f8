//! How a connection ends.

use std::fmt;
use std::io;

use tokio_tungstenite::tungstenite::error::{Error, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::metrics::Cause;

/// Why a connection ends.
#[derive(Debug)]
pub enum Ending {
    /// The peer closed it, with this code.
    Closed(Option<u16>),
    /// It broke without a Close frame.
    Lost(Option<io::Error>),
    /// The peer does not read, so it gets no Close frame either.
    NotReading,
    /// The server closes it, as the peer does what it may not.
    Refused(Refusal),
    /// The server closes it, as it cannot read what comes: a code of RFC 6455, section 7.4.1, and
    /// the reason.
    Unreadable(CloseCode, String),
    /// The server stops.
    Stopping,
}

/// What a peer may not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Send binary frames to a service of text.
    Binary,
    /// Send many control frames in a short time.
    ControlFlood,
    /// Begin a message and not end it.
    Unfinished,
    /// Leave a protocol ping without an answer.
    Silent,
}

impl Refusal {
    fn code(self) -> CloseCode {
        match self {
            Self::Binary => CloseCode::Unsupported,
            Self::ControlFlood | Self::Unfinished | Self::Silent => CloseCode::Policy,
        }
    }

    fn reason(self) -> &'static str {
        match self {
            Self::Binary => "this service takes text frames",
            Self::ControlFlood => "too many control frames",
            Self::Unfinished => "the message was not finished in time",
            Self::Silent => "no sign of life for a minute",
        }
    }
}

impl Ending {
    /// What an error of the WebSocket layer means for the peer. tungstenite itself sends no
    /// Close frame then.
    pub(super) fn of(error: Error) -> Self {
        match error {
            Error::ConnectionClosed | Error::AlreadyClosed => Self::Closed(None),
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Self::Lost(None),
            Error::Io(error) => error.into(),
            Error::Capacity(error) => Self::Unreadable(CloseCode::Size, error.to_string()),
            Error::Utf8(_) => Self::Unreadable(CloseCode::Invalid, "the text is not UTF-8".into()),
            error => Self::Unreadable(CloseCode::Protocol, error.to_string()),
        }
    }

    /// What went wrong, if anything did.
    #[must_use]
    pub fn cause(&self) -> Option<Cause> {
        Some(match self {
            Self::Closed(_) | Self::Stopping => return None,
            Self::Lost(_) => Cause::Lost,
            Self::NotReading => Cause::NotReading,
            Self::Refused(Refusal::Binary) => Cause::Binary,
            Self::Refused(Refusal::ControlFlood) => Cause::ControlFlood,
            Self::Refused(Refusal::Unfinished) => Cause::Unfinished,
            Self::Refused(Refusal::Silent) => Cause::Silent,
            Self::Unreadable(CloseCode::Size, _) => Cause::TooLong,
            Self::Unreadable(CloseCode::Invalid, _) => Cause::NotUtf8,
            Self::Unreadable(..) => Cause::Protocol,
        })
    }

    /// The Close frame that the server begins the closing handshake with, if it does.
    pub(super) fn frame(&self) -> Option<CloseFrame> {
        let (code, reason) = match self {
            Self::Refused(refusal) => (refusal.code(), refusal.reason()),
            Self::Unreadable(code, reason) => (*code, reason.as_str()),
            Self::Stopping => (CloseCode::Away, "the server stops"),
            Self::Closed(_) | Self::Lost(_) | Self::NotReading => return None,
        };
        Some(CloseFrame { code, reason: short(reason).into() })
    }
}

impl From<io::Error> for Ending {
    fn from(error: io::Error) -> Self {
        // TLS that ends without a goodbye of its own is no error worth showing.
        let is_end = error.kind() == io::ErrorKind::UnexpectedEof;
        Self::Lost((!is_end).then_some(error))
    }
}

/// The longest beginning of a reason that fits into a control frame (RFC 6455, section 5.5).
fn short(reason: &str) -> &str {
    const MAX: usize = 125 - 2;
    &reason[..reason.floor_char_boundary(MAX)]
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(Some(code)) => write!(f, "closed by the client ({code})"),
            Self::Closed(None) => write!(f, "closed by the client"),
            Self::Lost(Some(error)) => write!(f, "lost: {error}"),
            Self::Lost(None) => write!(f, "lost: the client left without a Close frame"),
            Self::NotReading => write!(f, "dropped: the client does not read"),
            Self::Refused(refusal) => {
                write!(f, "closed with {}: {}", u16::from(refusal.code()), refusal.reason())
            }
            Self::Unreadable(code, reason) => {
                write!(f, "closed with {}: {reason}", u16::from(*code))
            }
            Self::Stopping => write!(f, "closed with 1001: the server stops"),
        }
    }
}
