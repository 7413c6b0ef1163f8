//! How a connection ends, and the goodbye that the peer gets.

use std::fmt;
use std::io;

use futures_util::{SinkExt, StreamExt};
use proto::limits::CLOSE_TIMEOUT;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{Error, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

/// Why a connection ends.
#[derive(Debug)]
pub enum Ending {
    /// The peer closed it, with this code.
    Closed(Option<u16>),
    /// It broke without a Close frame.
    Lost(Option<io::Error>),
    /// The peer does not read, so it gets no Close frame either.
    NotReading,
    /// The server closes it, with a code of RFC 6455, section 7.4.1, and the reason.
    Refused(CloseCode, String),
    /// The server stops.
    Stopping,
}

impl Ending {
    /// What an error of the WebSocket layer means for the peer. tungstenite itself sends no
    /// Close frame then.
    pub(super) fn of(error: Error) -> Self {
        match error {
            Error::ConnectionClosed | Error::AlreadyClosed => Self::Closed(None),
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Self::Lost(None),
            Error::Io(error) => Self::Lost(Some(error)),
            Error::Capacity(error) => Self::Refused(CloseCode::Size, error.to_string()),
            Error::Utf8(_) => Self::Refused(CloseCode::Invalid, "the text is not UTF-8".into()),
            Error::WriteBufferFull(_) => Self::NotReading,
            error => Self::Refused(CloseCode::Protocol, error.to_string()),
        }
    }

    /// The Close frame that the server begins the closing handshake with, if it does.
    fn frame(&self) -> Option<CloseFrame> {
        let (code, reason) = match self {
            Self::Refused(code, reason) => (*code, reason.as_str()),
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
            Self::Refused(code, reason) => write!(f, "closed with {}: {reason}", u16::from(*code)),
            Self::Stopping => write!(f, "closed with 1001: the server stops"),
        }
    }
}

/// Says goodbye as the ending asks for, and closes the stream so that the peer can read it: a
/// socket that is dropped with unread bytes in it would take the goodbye back (RFC 6455,
/// section 7.1.1).
pub(super) async fn part<S>(socket: &mut WebSocketStream<S>, ending: &Ending)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if matches!(ending, Ending::NotReading | Ending::Lost(_)) {
        return;
    }
    let frame = ending.frame();
    // Whatever fails here, the connection is over.
    let _ = within(async {
        match frame {
            Some(frame) => socket.close(Some(frame)).await?,
            None => socket.flush().await?,
        }
        while let Some(Ok(_)) = socket.next().await {}
        Ok::<_, Error>(())
    })
    .await;
    let stream = socket.get_mut();
    let _ = within(async {
        stream.shutdown().await?;
        drain(stream).await
    })
    .await;
}

/// Gives a step of the goodbye half of its time.
async fn within<T>(step: impl Future<Output = T>) -> Option<T> {
    timeout(CLOSE_TIMEOUT / 2, step).await.ok()
}

/// Reads what still comes, up to the end of the stream.
async fn drain(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    let mut bytes = [0; 512];
    while stream.read(&mut bytes).await? > 0 {}
    Ok(())
}
