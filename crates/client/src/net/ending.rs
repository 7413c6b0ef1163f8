//! How a connection ends, and the Close frame that the server gets.

use std::fmt;
use std::io;
use std::time::Duration;

use proto::escape;
use proto::frame::{self, Close, CloseCode};
use tokio_tungstenite::tungstenite::error::{CapacityError, Error, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

/// Why a connection ends.
#[derive(Debug)]
pub enum Ending {
    /// The server closed it, with a code and a reason as a rule.
    Closed(Option<Close<'static>>),
    /// It broke without a Close frame.
    Lost(Option<io::Error>),
    /// No Pong came within this time (`PONG_TIMEOUT`).
    NoPong(Duration),
    /// The client closes it, with a code of RFC 6455, section 7.4.1, and the reason.
    Refused(CloseCode, String),
    /// The client stops.
    Stopped,
}

impl Ending {
    /// The end that a Close frame of the server means.
    pub(crate) fn closed(close: Option<Close<'_>>) -> Self {
        Self::Closed(close.map(Close::into_owned))
    }

    /// The same, for a frame of tungstenite.
    pub(crate) fn closed_by(frame: Option<CloseFrame>) -> Self {
        let close = |CloseFrame { code, reason }| Close {
            code: CloseCode(code.into()),
            reason: reason.as_str().to_owned().into(),
        };
        Self::Closed(frame.map(close))
    }

    /// The end that an error of tungstenite means, which itself sends no Close frame then.
    pub(crate) fn of(error: Error) -> Self {
        match error {
            Error::ConnectionClosed | Error::AlreadyClosed => Self::Closed(None),
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Self::Lost(None),
            Error::Io(error) => Self::of_io(error),
            Error::Capacity(error) => Self::Refused(CloseCode::TOO_BIG, too_big(&error)),
            Error::Utf8(_) => Self::of_frame(frame::Error::NotUtf8),
            error => Self::Refused(CloseCode::PROTOCOL, error.to_string()),
        }
    }

    /// The end that an error of the stream means.
    pub(crate) fn of_io(error: io::Error) -> Self {
        match error.downcast() {
            // What decodes compressed messages is a stream.
            Ok(error) => Self::of_frame(error),
            // The end of a TLS connection without a close_notify.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Self::Lost(None),
            Err(error) => Self::Lost(Some(error)),
        }
    }

    /// The end that a frame means which breaks the protocol.
    pub(crate) fn of_frame(error: frame::Error) -> Self {
        Self::Refused(error.close_code(), error.to_string())
    }

    /// The Close frame that the client begins the closing handshake with, if it does.
    pub(crate) fn close(&self) -> Option<Close<'static>> {
        let (code, reason) = match self {
            Self::Closed(_) | Self::Lost(_) => return None,
            Self::NoPong(_) => (CloseCode::POLICY, self.to_string()),
            Self::Refused(code, reason) => (*code, reason.clone()),
            Self::Stopped => (CloseCode::NORMAL, String::new()),
        };
        Some(Close { code, reason: reason.into() })
    }
}

/// Names the limit, which no setting changes.
fn too_big(error: &CapacityError) -> String {
    match error {
        CapacityError::MessageTooLong { size, max_size } => {
            format!("a message of {size} bytes, and this client takes {max_size} at most")
        }
        error => error.to_string(),
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(Some(Close { code, reason })) if reason.is_empty() => {
                write!(f, "closed by the server ({code})")
            }
            Self::Closed(Some(Close { code, reason })) => {
                write!(f, "closed by the server ({code}: {})", escape::plain(reason))
            }
            Self::Closed(None) => write!(f, "closed by the server"),
            Self::Lost(Some(error)) => write!(f, "{error}"),
            Self::Lost(None) => write!(f, "the server left without a Close frame"),
            Self::NoPong(patience) => write!(f, "no Pong within {patience:?}"),
            Self::Refused(code, reason) => {
                write!(f, "closed with {code}: {}", escape::plain(reason))
            }
            Self::Stopped => write!(f, "closed with 1000: the client stops"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(code: u16, reason: &str) -> String {
        Ending::closed(Some(Close { code: CloseCode(code), reason: reason.into() })).to_string()
    }

    #[test]
    fn what_the_server_says_is_shown_without_harm() {
        assert_eq!(
            closed(1001, "the server stops"),
            "closed by the server (1001: the server stops)"
        );
        assert_eq!(closed(1000, ""), "closed by the server (1000)");
        assert_eq!(closed(4000, "\u{1b}[2J\n"), r"closed by the server (4000: \u001b[2J\n)");
    }

    #[test]
    fn the_server_hears_why_unless_it_is_gone() {
        let code = |ending: Ending| ending.close().map(|close| close.code.0);
        assert_eq!(code(Ending::Stopped), Some(1000));
        assert_eq!(code(Ending::NoPong(Duration::from_secs(1))), Some(1008));
        assert_eq!(code(Ending::of(Error::Utf8(String::new()))), Some(1007));
        assert_eq!(code(Ending::of(ProtocolError::MaskedFrameFromServer.into())), Some(1002));
        assert_eq!(code(Ending::of(ProtocolError::ResetWithoutClosingHandshake.into())), None);
        assert_eq!(code(Ending::Closed(None)), None);
    }

    #[test]
    fn a_message_over_the_limit_is_told_with_both_figures() {
        let error = CapacityError::MessageTooLong { size: 17, max_size: 16 };
        assert_eq!(
            Ending::of(error.into()).to_string(),
            "closed with 1009: a message of 17 bytes, and this client takes 16 at most"
        );
    }

    #[test]
    fn the_end_of_tls_without_a_word_is_that_of_a_connection() {
        let cut = io::Error::new(io::ErrorKind::UnexpectedEof, "no close_notify");
        assert_eq!(Ending::of(cut.into()).to_string(), "the server left without a Close frame");
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        assert_eq!(Ending::of(reset.into()).to_string(), "connection reset");
    }
}
