//! The closing handshake (RFC 6455, section 7.1).

use futures_util::{SinkExt, StreamExt};
use proto::limits::CLOSE_TIMEOUT;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, copy, sink};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::ending::Ending;

/// Closes a connection as its ending asks for; takes [`CLOSE_TIMEOUT`] at most. What the server
/// still says meanwhile is for `late`.
pub(crate) async fn close<S: AsyncRead + AsyncWrite + Unpin>(
    mut socket: WebSocketStream<S>,
    ending: &Ending,
    mut late: impl AsyncFnMut(Message),
) {
    // Whatever fails here, the connection is over.
    let _ = timeout(CLOSE_TIMEOUT, async {
        match ending.frame() {
            Some(frame) => socket.close(Some(frame)).await?,
            None => socket.flush().await?,
        }
        while let Some(Ok(message)) = socket.next().await {
            late(message).await;
        }
        // Closing a socket with unread bytes in it resets the connection, which would take the Close frame back.
        let mut stream = socket.into_inner();
        stream.shutdown().await?;
        copy(&mut stream, &mut sink()).await?;
        Ok::<_, Error>(())
    })
    .await;
}
