//! The closing handshake (RFC 6455, section 7.1).

use futures_util::{SinkExt, StreamExt};
use proto::frame::{Close, MAX_CONTROL_PAYLOAD};
use proto::limits::CLOSE_TIMEOUT;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, copy, sink};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::ending::Ending;

/// Closes a connection with the Close frame of `ending`, within [`CLOSE_TIMEOUT`]. Calls `late`
/// with each message that still arrives.
pub(crate) async fn close<S: AsyncRead + AsyncWrite + Unpin>(
    mut socket: WebSocketStream<S>,
    ending: &Ending,
    mut late: impl AsyncFnMut(Message),
) {
    // After an error there is nothing left to close.
    let _ = timeout(CLOSE_TIMEOUT, async {
        match ending.close() {
            Some(close) => socket.close(Some(close_frame(&close))).await?,
            None => socket.flush().await?,
        }
        while let Some(Ok(message)) = socket.next().await {
            late(message).await;
        }
        // The kernel resets a connection that is closed with unread bytes, and the server may then
        // lose the Close frame.
        let mut stream = socket.into_inner();
        stream.shutdown().await?;
        copy(&mut stream, &mut sink()).await?;
        Ok::<_, Error>(())
    })
    .await;
}

/// The Close frame for tungstenite, with the reason cut to fit into a control frame (RFC 6455,
/// section 5.5).
fn close_frame(Close { code, reason }: &Close<'_>) -> CloseFrame {
    const MAX_REASON: usize = MAX_CONTROL_PAYLOAD - 2;
    let reason = &reason[..reason.floor_char_boundary(MAX_REASON)];
    CloseFrame { code: code.0.into(), reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::frame::CloseCode;

    #[test]
    fn a_reason_fits_into_a_control_frame() {
        let close = Close { code: CloseCode::PROTOCOL, reason: "é".repeat(100).into() };
        assert_eq!(close_frame(&close).reason.as_str(), "é".repeat(61));
    }
}
