//! How a connection ends, and the Close frame that the server gets.

use std::fmt;
use std::io;
use std::time::Duration;

use proto::escape;
use tokio_tungstenite::tungstenite::error::{Error, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

/// Why a connection ends.
#[derive(Debug)]
pub enum Ending {
    /// The server closed it, with a code and a reason as a rule.
    Closed(Option<CloseFrame>),
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
    /// What an error of the WebSocket layer means for the server. tungstenite itself sends no
    /// Close frame then.
    pub(crate) fn of(error: Error) -> Self {
        match error {
            Error::ConnectionClosed | Error::AlreadyClosed => Self::Closed(None),
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Self::Lost(None),
            // What a TLS connection calls its end without a close_notify.
            Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => Self::Lost(None),
            Error::Io(error) => Self::Lost(Some(error)),
            Error::Capacity(error) => Self::Refused(CloseCode::Size, error.to_string()),
            Error::Utf8(_) => Self::Refused(CloseCode::Invalid, "the text is not UTF-8".into()),
            error => Self::Refused(CloseCode::Protocol, error.to_string()),
        }
    }

    /// The Close frame that the client begins the closing handshake with, if it does.
    pub(crate) fn frame(&self) -> Option<CloseFrame> {
        let (code, reason) = match self {
            Self::Closed(_) | Self::Lost(_) => return None,
            Self::NoPong(_) => (CloseCode::Policy, self.to_string()),
            Self::Refused(code, reason) => (*code, reason.clone()),
            Self::Stopped => (CloseCode::Normal, String::new()),
        };
        Some(CloseFrame { code, reason: short(&reason).into() })
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
            Self::Closed(Some(CloseFrame { code, reason })) if reason.is_empty() => {
                write!(f, "closed by the server ({})", u16::from(*code))
            }
            Self::Closed(Some(CloseFrame { code, reason })) => {
                write!(f, "closed by the server ({}: {})", u16::from(*code), escape::plain(reason))
            }
            Self::Closed(None) => write!(f, "closed by the server"),
            Self::Lost(Some(error)) => write!(f, "{error}"),
            Self::Lost(None) => write!(f, "the server left without a Close frame"),
            Self::NoPong(patience) => write!(f, "no Pong within {patience:?}"),
            Self::Refused(code, reason) => {
                write!(f, "closed with {}: {}", u16::from(*code), escape::plain(reason))
            }
            Self::Stopped => write!(f, "closed with 1000: the client stops"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(code: u16, reason: &str) -> String {
        Ending::Closed(Some(CloseFrame { code: code.into(), reason: reason.into() })).to_string()
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
    fn a_reason_fits_into_a_control_frame() {
        let frame = Ending::Refused(CloseCode::Protocol, "é".repeat(100)).frame().unwrap();
        assert_eq!(frame.reason.as_str(), "é".repeat(61));
    }

    #[test]
    fn the_server_hears_why_unless_it_is_gone() {
        let code = |ending: Ending| ending.frame().map(|frame| u16::from(frame.code));
        assert_eq!(code(Ending::Stopped), Some(1000));
        assert_eq!(code(Ending::NoPong(Duration::from_secs(1))), Some(1008));
        assert_eq!(code(Ending::of(Error::Utf8(String::new()))), Some(1007));
        assert_eq!(code(Ending::of(ProtocolError::MaskedFrameFromServer.into())), Some(1002));
        assert_eq!(code(Ending::of(ProtocolError::ResetWithoutClosingHandshake.into())), None);
        assert_eq!(code(Ending::Closed(None)), None);
    }

    #[test]
    fn the_end_of_tls_without_a_word_is_that_of_a_connection() {
        let cut = io::Error::new(io::ErrorKind::UnexpectedEof, "no close_notify");
        assert_eq!(Ending::of(cut.into()).to_string(), "the server left without a Close frame");
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        assert_eq!(Ending::of(reset.into()).to_string(), "connection reset");
    }
}
