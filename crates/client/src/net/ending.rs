//! Why a connection ends, and the Close frame that the client sends then.

use std::fmt;
use std::io;
use std::time::Duration;

use proto::escape;
use proto::frame::{self, Close, CloseCode};
use tokio_tungstenite::tungstenite::error::{CapacityError, Error, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::tls;

/// Why a connection ends.
#[derive(Debug)]
pub enum Ending {
    /// The server sent a Close frame, mostly with a code and a reason.
    Closed(Option<Close<'static>>),
    /// The stream ended without a Close frame; `None` for an orderly end.
    Lost(Option<io::Error>),
    /// No Pong came, or a frame could not be sent, within this time (`PONG_TIMEOUT`).
    NoPong(Duration),
    /// The client closes the connection, with this code (RFC 6455, section 7.4.1) and reason.
    Refused(CloseCode, String),
    /// The client itself is done: a stop signal, the reply to the last ping of `--count`, or the end
    /// of a measurement.
    Stopped,
}

impl Ending {
    /// The ending for a Close frame of the server.
    pub(crate) fn closed(close: Option<Close<'_>>) -> Self {
        Self::Closed(close.map(Close::into_owned))
    }

    /// The ending for a Close frame that tungstenite received.
    pub(crate) fn closed_by(frame: Option<CloseFrame>) -> Self {
        let close = |CloseFrame { code, reason }| Close {
            code: CloseCode(code.into()),
            reason: reason.as_str().to_owned().into(),
        };
        Self::Closed(frame.map(close))
    }

    /// The ending for an error of tungstenite, which sends no Close frame by itself.
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

    /// The ending for an error of the stream.
    pub(crate) fn of_io(error: io::Error) -> Self {
        match error.downcast() {
            // The stream decodes compressed messages, so a protocol error may be inside.
            Ok(error) => Self::of_frame(error),
            // A TLS connection ended without a close_notify alert (RFC 8446, section 6.1).
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Self::Lost(None),
            Err(error) => Self::Lost(Some(error)),
        }
    }

    /// The ending for a frame that violates the protocol.
    pub(crate) fn of_frame(error: frame::Error) -> Self {
        Self::Refused(error.close_code(), error.to_string())
    }

    /// The Close frame with which the client begins the closing handshake; `None` if the server has
    /// closed or is gone.
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

/// Explains a limit of the client, which no setting changes.
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
            Self::Lost(Some(error)) if tls::is_violation(error) => {
                write!(f, "an error of TLS: {}", escape::plain(&error.to_string()))
            }
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
    fn control_characters_in_a_reason_are_escaped() {
        assert_eq!(
            closed(1001, "the server stops"),
            "closed by the server (1001: the server stops)"
        );
        assert_eq!(closed(1000, ""), "closed by the server (1000)");
        assert_eq!(closed(4000, "\u{1b}[2J\n"), r"closed by the server (4000: \u001b[2J\n)");
    }

    #[test]
    fn the_server_gets_a_close_code_unless_it_is_gone() {
        let code = |ending: Ending| ending.close().map(|close| close.code.0);
        assert_eq!(code(Ending::Stopped), Some(1000));
        assert_eq!(code(Ending::NoPong(Duration::from_secs(1))), Some(1008));
        assert_eq!(code(Ending::of(Error::Utf8(String::new()))), Some(1007));
        assert_eq!(code(Ending::of(ProtocolError::MaskedFrameFromServer.into())), Some(1002));
        assert_eq!(code(Ending::of(ProtocolError::ResetWithoutClosingHandshake.into())), None);
        assert_eq!(code(Ending::Closed(None)), None);
    }

    #[test]
    fn the_error_about_a_long_message_has_its_size_and_the_limit() {
        let error = CapacityError::MessageTooLong { size: 17, max_size: 16 };
        assert_eq!(
            Ending::of(error.into()).to_string(),
            "closed with 1009: a message of 17 bytes, and this client takes 16 at most"
        );
    }

    #[test]
    fn tls_that_ends_without_a_close_notify_is_lost() {
        let cut = io::Error::new(io::ErrorKind::UnexpectedEof, "no close_notify");
        assert_eq!(Ending::of(cut.into()).to_string(), "the server left without a Close frame");
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        assert_eq!(Ending::of(reset.into()).to_string(), "connection reset");
    }
}
