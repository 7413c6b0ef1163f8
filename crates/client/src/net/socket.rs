//! A WebSocket over the codec of `proto`: for what tungstenite hides, such as single frames, the
//! bytes of a frame, and the exact end of a connection.

use std::io;

use proto::frame::{Close, CloseCode, Decoder, Mask, Message, Opcode, Role, encode, encode_close};
use proto::limits::CLOSE_TIMEOUT;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy, sink};
use tokio::time::timeout;

use super::ending::Ending;
use super::stream::Stream;

/// Size of a read, in bytes.
const READ: usize = 16 * 1024;

/// The client's end of a WebSocket.
#[derive(Debug)]
pub struct Socket<S = Stream> {
    stream: S,
    decoder: Decoder,
    /// Received bytes; those before `start` are decoded.
    input: Vec<u8>,
    start: usize,
    /// Bytes that the stream has not taken yet.
    output: Vec<u8>,
}

/// An unpredictable masking key (RFC 6455, section 5.3).
pub(crate) fn mask() -> Mask {
    Mask(rand::random())
}

impl<S> Socket<S> {
    /// A socket over a stream whose upgrade is complete. `early` are the bytes that came right
    /// behind the answer; messages may have `max_message` bytes.
    pub(crate) fn new(stream: S, early: Vec<u8>, max_message: usize) -> Self {
        let decoder = Decoder::new(Role::Client, max_message);
        Self { stream, decoder, input: early, start: 0, output: Vec::new() }
    }

    /// The stream below.
    pub(crate) fn stream(&self) -> &S {
        &self.stream
    }

    /// The next message in the received bytes; `None` if more have to arrive.
    fn decode(&mut self) -> Result<Option<Message<'static>>, Ending> {
        let mut rest = &mut self.input[self.start..];
        let before = rest.len();
        let message = self.decoder.decode(&mut rest).map_err(Ending::of_frame)?;
        self.start += before - rest.len();
        Ok(message.map(Message::into_owned))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    /// The next message. Ping and Close frames are answered by the way. Nothing is lost if the
    /// future is dropped.
    ///
    /// # Errors
    /// How the connection ended.
    pub async fn receive(&mut self) -> Result<Message<'static>, Ending> {
        loop {
            self.flush().await.map_err(Ending::of_io)?;
            match self.decode()? {
                Some(Message::Ping(payload)) => {
                    encode(&mut self.output, Opcode::Pong, &payload, Some(mask()));
                    return Ok(Message::Ping(payload));
                }
                Some(Message::Close(close)) => return Err(self.answer_close(close).await),
                Some(message) => return Ok(message),
                None => self.read().await?,
            }
        }
    }

    async fn read(&mut self) -> Result<(), Ending> {
        self.input.drain(..self.start);
        self.start = 0;
        self.input.reserve(READ);
        match self.stream.read_buf(&mut self.input).await {
            Ok(0) => Err(Ending::Lost(None)),
            Ok(_) => Ok(()),
            Err(error) => Err(Ending::of_io(error)),
        }
    }

    /// A Close frame is answered with the same status code (RFC 6455, section 5.5.1).
    async fn answer_close(&mut self, close: Option<Close<'static>>) -> Ending {
        let code = close.as_ref().map_or(CloseCode::NORMAL, |close| close.code);
        encode_close(&mut self.output, code, "", Some(mask()));
        // The server may be gone already; its Close frame is how the connection ended.
        let _ = timeout(CLOSE_TIMEOUT, self.flush()).await;
        Ending::Closed(close)
    }

    /// Sends a message in one frame, or a control frame.
    ///
    /// # Errors
    /// How the connection ended.
    pub async fn send(&mut self, opcode: Opcode, payload: &[u8]) -> Result<(), Ending> {
        encode(&mut self.output, opcode, payload, Some(mask()));
        self.flush().await.map_err(Ending::of_io)
    }

    /// Sends bytes as they are, which need not be valid frames.
    ///
    /// # Errors
    /// How the connection ended.
    pub async fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), Ending> {
        self.output.extend_from_slice(bytes);
        self.flush().await.map_err(Ending::of_io)
    }

    async fn flush(&mut self) -> io::Result<()> {
        while !self.output.is_empty() {
            let written = self.stream.write(&self.output).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.output.drain(..written);
        }
        self.stream.flush().await
    }

    /// Closes the connection as its ending asks for; takes [`CLOSE_TIMEOUT`] at most.
    pub async fn close(mut self, ending: &Ending) {
        if let Some(Close { code, reason }) = ending.close() {
            encode_close(&mut self.output, code, &reason, Some(mask()));
        }
        // Whatever fails here, the connection is over.
        let _ = timeout(CLOSE_TIMEOUT, async {
            self.flush().await?;
            while self.receive().await.is_ok() {}
            // To close a socket with unread bytes in it resets the connection, and the Close frame
            // may then be lost on its way.
            self.stream.shutdown().await?;
            copy(&mut self.stream, &mut sink()).await
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{DuplexStream, duplex};

    fn pair(early: &[u8]) -> (Socket<DuplexStream>, DuplexStream) {
        let (near, far) = duplex(1024);
        (Socket::new(near, early.to_vec(), 100), far)
    }

    #[tokio::test]
    async fn messages_come_as_they_arrive() {
        let (mut socket, mut far) = pair(b"\x81\x02hi\x89");
        assert_eq!(socket.receive().await.unwrap(), Message::Text("hi".into()));
        far.write_all(b"\x01p\x82\x01b").await.unwrap();
        assert_eq!(socket.receive().await.unwrap(), Message::Ping(b"p"[..].into()));
        assert_eq!(socket.receive().await.unwrap(), Message::Binary(b"b"[..].into()));
        let mut pong = [0; 7];
        far.read_exact(&mut pong).await.unwrap();
        assert_eq!(pong[..2], [0x8a, 0x81]);
        assert_eq!(pong[6] ^ pong[2], b'p');
    }

    #[tokio::test]
    async fn the_end_is_told_as_it_was() {
        let (mut socket, mut far) = pair(b"");
        far.write_all(b"\x88\x04\x03\xe9so").await.unwrap();
        let ending = socket.receive().await.unwrap_err();
        assert_eq!(ending.to_string(), "closed by the server (1001: so)");
        let mut close = [0; 8];
        far.read_exact(&mut close).await.unwrap();
        assert_eq!(close[..2], [0x88, 0x82]);

        let (mut socket, far) = pair(b"");
        drop(far);
        assert!(matches!(socket.receive().await, Err(Ending::Lost(None))));

        let (mut socket, _far) = pair(b"\xc1\x00");
        assert!(matches!(socket.receive().await, Err(Ending::Refused(CloseCode::PROTOCOL, _))));
    }

    #[tokio::test]
    async fn a_receive_that_is_dropped_loses_nothing() {
        let (mut socket, mut far) = pair(b"\x81\x02h");
        assert!(timeout(std::time::Duration::from_millis(1), socket.receive()).await.is_err());
        far.write_all(b"i").await.unwrap();
        assert_eq!(socket.receive().await.unwrap(), Message::Text("hi".into()));
    }
}
