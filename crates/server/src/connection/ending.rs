//! How a connection ends, and the goodbye that the peer gets.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use proto::limits::CLOSE_TIMEOUT;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::error::{Error, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::Stream;
use super::session::Session;
use super::socket::Socket;
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
            // TLS that ends without a goodbye of its own.
            Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => Self::Lost(None),
            Error::Io(error) => Self::Lost(Some(error)),
            Error::Capacity(error) => Self::Unreadable(CloseCode::Size, error.to_string()),
            Error::Utf8(_) => Self::Unreadable(CloseCode::Invalid, "the text is not UTF-8".into()),
            Error::WriteBufferFull(_) => Self::NotReading,
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
    fn frame(&self) -> Option<CloseFrame> {
        let (code, reason) = match self {
            Self::Refused(refusal) => (refusal.code(), refusal.reason()),
            Self::Unreadable(code, reason) => (*code, reason.as_str()),
            Self::Stopping => (CloseCode::Away, "the server stops"),
            Self::Closed(_) | Self::Lost(_) | Self::NotReading => return None,
        };
        Some(CloseFrame { code, reason: short(reason).into() })
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

/// Says goodbye as the ending asks for, and closes the stream so that the peer can read it: a
/// socket that is dropped with unread bytes in it would take the goodbye back (RFC 6455,
/// section 7.1.1).
pub(super) async fn part<S: Stream>(session: &Session<S>, ending: &Ending) {
    if matches!(ending, Ending::NotReading | Ending::Lost(_)) {
        return;
    }
    // Pings that came before the end are answered before it. Whatever fails here and below, the
    // connection is over.
    poll_fn(|cx| session.state().poll_answered(cx)).await;
    let _ = session.state().send_delayed(None);
    if let Some(frame) = ending.frame() {
        let _ = session.state().socket.queue_close(Some(frame));
    }
    let is_readable = !matches!(ending, Ending::Unreadable(..));
    let closed = poll_fn(|cx| poll_closed(&mut session.state().socket, is_readable, cx));
    let _ = timeout(CLOSE_TIMEOUT, closed).await;
    let _ = timeout(CLOSE_TIMEOUT / 2, async {
        poll_fn(|cx| Pin::new(session.state().socket.wire_mut()).poll_shutdown(cx)).await?;
        poll_fn(|cx| poll_drained(session.state().socket.wire_mut(), cx)).await;
        Ok::<_, io::Error>(())
    })
    .await;
}

/// Waits until both sides have sent their Close frame, or the stream is unusable. What is not
/// readable is not read on: only the own Close frame is written then.
fn poll_closed<S: Stream>(
    socket: &mut Socket<S>,
    is_readable: bool,
    cx: &mut Context<'_>,
) -> Poll<()> {
    match socket.poll_flush(cx) {
        // The reply to a Close frame is written by reading on.
        Ok(true) if is_readable => while ready!(socket.poll_next(cx)).is_ok() {},
        Ok(false) => return Poll::Pending,
        Ok(true) | Err(_) => {}
    }
    Poll::Ready(())
}

/// Reads what still comes, up to the end of the stream.
fn poll_drained(stream: &mut (impl AsyncRead + Unpin), cx: &mut Context<'_>) -> Poll<()> {
    let mut bytes = [0; 512];
    loop {
        let mut buffer = ReadBuf::new(&mut bytes);
        let read = ready!(Pin::new(&mut *stream).poll_read(cx, &mut buffer));
        if read.is_err() || buffer.filled().is_empty() {
            return Poll::Ready(());
        }
    }
}
