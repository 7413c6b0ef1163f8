//! The reasons why connections end, and their Close frames, events and metrics.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, ErrorKind};

use proto::frame::{CloseCode, Error};

use crate::observe::Cause;

/// Why a connection ends.
#[derive(Debug)]
pub(in crate::worker) enum Ending {
    /// The peer sent a Close frame, with this code.
    Closed(Option<CloseCode>),
    /// The stream ended or broke without a Close frame.
    Lost(Option<io::Error>),
    /// The peer does not read, so the server sends it no Close frame.
    NotReading,
    /// The server closes the connection over a [`Refusal`].
    Refused(Refusal),
    /// The server closes the connection, because the frames of the peer cannot be decoded.
    Undecodable(Error),
    /// The server stops.
    Stopping,
}

/// What the peer did for which the server closes the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::worker) enum Refusal {
    /// The peer sent a binary message to a text service.
    Binary,
    /// The peer sent many control frames in a short time.
    ControlFlood,
    /// The peer began a message and did not finish it in time.
    Unfinished,
    /// The peer had an unfinished message when there was no room for all of them
    /// (`MAX_UNFINISHED`).
    Overload,
    /// The peer did not answer a Ping frame.
    Silent,
}

impl Refusal {
    fn code(self) -> CloseCode {
        match self {
            Self::Binary => CloseCode::UNSUPPORTED,
            Self::Overload => CloseCode::TRY_AGAIN_LATER,
            Self::ControlFlood | Self::Unfinished | Self::Silent => CloseCode::POLICY,
        }
    }

    fn reason(self) -> &'static str {
        match self {
            Self::Binary => "this service takes text frames",
            Self::ControlFlood => "too many control frames",
            Self::Unfinished => "the message was not finished in time",
            Self::Overload => "too many unfinished messages, and this one is among the oldest",
            Self::Silent => "no sign of life for a minute",
        }
    }
}

impl Ending {
    /// The cause that the metrics count; `None` for an orderly end.
    pub(in crate::worker) fn cause(&self) -> Option<Cause> {
        Some(match self {
            Self::Closed(_) | Self::Stopping => return None,
            Self::Lost(_) => Cause::Lost,
            Self::NotReading => Cause::NotReading,
            Self::Refused(Refusal::Binary) => Cause::Binary,
            Self::Refused(Refusal::ControlFlood) => Cause::ControlFlood,
            Self::Refused(Refusal::Unfinished) => Cause::Unfinished,
            Self::Refused(Refusal::Overload) => Cause::Overload,
            Self::Refused(Refusal::Silent) => Cause::Silent,
            Self::Undecodable(Error::TooLong { .. }) => Cause::TooLong,
            Self::Undecodable(Error::NotUtf8) => Cause::NotUtf8,
            Self::Undecodable(Error::NotDeflate) => Cause::NotDeflate,
            Self::Undecodable(Error::Protocol(_)) => Cause::Protocol,
        })
    }

    /// Code and reason of the Close frame with which the server begins the closing handshake; `None`
    /// if it does not begin one.
    pub(super) fn close_frame(&self) -> Option<(CloseCode, Cow<'static, str>)> {
        Some(match self {
            Self::Refused(refusal) => (refusal.code(), refusal.reason().into()),
            Self::Undecodable(error) => (error.close_code(), describe(*error).into()),
            Self::Stopping => (CloseCode::AWAY, "the server stops".into()),
            Self::Closed(_) | Self::Lost(_) | Self::NotReading => return None,
        })
    }
}

/// The error, with the name of the setting that limits messages.
fn describe(error: Error) -> String {
    let setting = if matches!(error, Error::TooLong { .. }) { " (MAX_MESSAGE)" } else { "" };
    format!("{error}{setting}")
}

impl From<io::Error> for Ending {
    fn from(error: io::Error) -> Self {
        // Events show TLS without close_notify like a FIN without a Close frame.
        let is_end = error.kind() == ErrorKind::UnexpectedEof;
        Self::Lost((!is_end).then_some(error))
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(Some(code)) => write!(f, "closed by the client ({code})"),
            Self::Closed(None) => write!(f, "closed by the client"),
            Self::Lost(Some(error)) => write!(f, "lost: {error}"),
            Self::Lost(None) => write!(f, "lost: the client left without a Close frame"),
            Self::NotReading => write!(f, "dropped: the client does not read"),
            Self::Refused(_) | Self::Undecodable(_) | Self::Stopping => match self.close_frame() {
                Some((code, reason)) => write!(f, "closed with {code}: {reason}"),
                None => Ok(()),
            },
        }
    }
}
