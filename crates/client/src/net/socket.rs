//! A WebSocket over the codec of `proto`. It shows what tungstenite hides: single frames, the bytes
//! of a frame, and the exact end of a connection.

use std::{io, mem};

use proto::frame::{Close, CloseCode, Decoder, Mask, Message, Opcode, Role, encode, encode_close};
use proto::limits::CLOSE_TIMEOUT;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy, sink};
use tokio::time::timeout;

use super::ending::Ending;
use super::stream::Stream;

/// Size of a read after one that filled the buffer, in bytes.
const READ: usize = 16 * 1024;

/// Size of any other read, in bytes.
const FIRST_READ: usize = 512;

/// The client's end of a WebSocket.
#[derive(Debug)]
pub struct Socket<S = Stream> {
    stream: S,
    decoder: Decoder,
    /// Received bytes; the bytes before `start` are decoded.
    input: Vec<u8>,
    start: usize,
    /// Bytes that the stream has not accepted yet.
    output: Vec<u8>,
    /// Whether a Close frame was sent, which is the last frame (RFC 6455, section 5.5.1).
    is_closing: bool,
}

/// An unpredictable masking key (RFC 6455, section 5.3).
pub(crate) fn mask() -> Mask {
    Mask(rand::random())
}

impl<S> Socket<S> {
    /// A socket over an upgraded stream. `early` holds the bytes received together with the answer;
    /// messages may have `max_message` bytes.
    pub(crate) fn new(stream: S, early: Vec<u8>, max_message: usize) -> Self {
        let decoder = Decoder::new(Role::Client, max_message);
        Self { stream, decoder, input: early, start: 0, output: Vec::new(), is_closing: false }
    }

    /// The stream below.
    pub(crate) fn stream(&self) -> &S {
        &self.stream
    }

    /// Received bytes that are not decoded; after an error of the protocol, those since the frame or
    /// message that broke it.
    pub(crate) fn undecoded(&self) -> &[u8] {
        &self.input[self.start..]
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
    /// The next message. Answers Ping and Close frames. Cancel-safe: dropping the future loses
    /// nothing.
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
        let is_filled = !self.input.is_empty() && self.input.len() == self.input.capacity();
        self.input.drain(..self.start);
        self.start = 0;
        // Thousands of quiet connections must hold little memory.
        self.input.reserve(if is_filled { READ } else { FIRST_READ });
        match self.stream.read_buf(&mut self.input).await {
            Ok(0) => Err(Ending::Lost(None)),
            Ok(_) => Ok(()),
            Err(error) => Err(Ending::of_io(error)),
        }
    }

    /// Answers a Close frame with the same status code, unless a Close frame was sent before (RFC
    /// 6455, section 5.5.1).
    async fn answer_close(&mut self, close: Option<Close<'static>>) -> Ending {
        if !mem::replace(&mut self.is_closing, true) {
            let code = close.as_ref().map_or(CloseCode::NORMAL, |close| close.code);
            encode_close(&mut self.output, code, "", Some(mask()));
        }
        // The server may be gone already; its Close frame is how the connection ended.
        let _ = timeout(CLOSE_TIMEOUT, self.flush()).await;
        Ending::Closed(close)
    }

    /// Sends a message in one frame, or a control frame.
    ///
    /// # Errors
    /// How the connection ended.
    pub async fn send(&mut self, opcode: Opcode, payload: &[u8]) -> Result<(), Ending> {
        self.is_closing |= opcode == Opcode::Close;
        encode(&mut self.output, opcode, payload, Some(mask()));
        self.flush().await.map_err(Ending::of_io)
    }

    /// Sends bytes unchanged, which need not be valid frames.
    ///
    /// # Errors
    /// How the connection ended.
    pub async fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), Ending> {
        self.output.extend_from_slice(bytes);
        self.flush().await.map_err(Ending::of_io)
    }

    /// The Close frame that the server sent before it reset the connection during a send, if any.
    pub(crate) async fn last_close(&mut self) -> Option<Ending> {
        self.output.clear();
        loop {
            match self.decode() {
                Ok(Some(Message::Close(close))) => return Some(Ending::Closed(close)),
                Ok(Some(_)) => {}
                Ok(None) => self.read().await.ok()?,
                Err(_) => return None,
            }
        }
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

    /// Waits until the server ends the stream, and drops the bytes that still arrive.
    ///
    /// # Errors
    /// When the stream ends in another way, such as a reset.
    pub(crate) async fn end(&mut self) -> io::Result<()> {
        copy(&mut self.stream, &mut sink()).await.map(|_| ())
    }

    /// Closes the connection with the Close frame of `ending`, within [`CLOSE_TIMEOUT`].
    pub async fn close(mut self, ending: &Ending) {
        if let Some(Close { code, reason }) = ending.close()
            && !mem::replace(&mut self.is_closing, true)
        {
            encode_close(&mut self.output, code, &reason, Some(mask()));
        }
        // After an error there is nothing left to close.
        let _ = timeout(CLOSE_TIMEOUT, async {
            self.flush().await?;
            while self.receive().await.is_ok() {}
            // The kernel resets a connection that is closed with unread bytes, and the server may
            // then lose the Close frame.
            self.stream.shutdown().await?;
            self.end().await
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
    async fn messages_are_received_in_order_and_pings_answered() {
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
    async fn each_end_has_its_ending() {
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
    async fn one_close_frame_is_sent_and_the_end_awaited() {
        let (mut socket, mut far) = pair(b"");
        socket.send(Opcode::Close, b"\x03\xe8").await.unwrap();
        far.write_all(b"\x88\x02\x03\xe8rest").await.unwrap();
        let ending = socket.receive().await.unwrap_err();
        assert_eq!(ending.to_string(), "closed by the server (1000)");
        far.shutdown().await.unwrap();
        socket.end().await.unwrap();
        socket.close(&Ending::Stopped).await;
        let mut sent = Vec::new();
        far.read_to_end(&mut sent).await.unwrap();
        assert_eq!((sent.len(), &sent[..2]), (8, &b"\x88\x82"[..]));
    }

    #[tokio::test]
    async fn a_close_frame_before_a_reset_is_found() {
        for (sent, has_close) in [(&b"\x81\x01x\x88\x02\x03\xf1"[..], true), (b"\x81\x01x", false)]
        {
            let (mut socket, mut far) = pair(b"");
            far.write_all(sent).await.unwrap();
            drop(far);
            assert!(matches!(socket.send(Opcode::Text, b"x").await, Err(Ending::Lost(_))));
            let close = socket.last_close().await.map(|ending| ending.to_string());
            assert_eq!(close.as_deref(), has_close.then_some("closed by the server (1009)"));
        }
    }

    #[tokio::test]
    async fn a_receive_that_is_dropped_loses_nothing() {
        let (mut socket, mut far) = pair(b"\x81\x02h");
        assert!(timeout(std::time::Duration::from_millis(1), socket.receive()).await.is_err());
        far.write_all(b"i").await.unwrap();
        assert_eq!(socket.receive().await.unwrap(), Message::Text("hi".into()));
    }
}
