//! permessage-deflate (RFC 7692) as a stream below a WebSocket: over a [`Deflate`], tungstenite and
//! the codec of `proto` read and write uncompressed frames, while the server receives and sends
//! compressed messages.

use std::cell::RefCell;
use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use proto::deflate::{Deflater, Inflater, Params, Window};
use proto::frame::{
    Decoder, Error, Header, Message, Opcode, Role, encode, encode_close, encode_deflated,
};
use proto::limits::MAX_REPLY;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Size of a read, in bytes.
const READ: usize = 8 * 1024;

/// The compressor and the decompressor.
#[derive(Default)]
struct Codec {
    deflater: Deflater,
    inflater: Inflater,
}

thread_local! {
    /// Shared by all connections of a thread, as no state outlives the call for a message.
    static CODEC: RefCell<Codec> = RefCell::default();
}

/// A stream to a server that agreed to compression.
#[derive(Debug)]
pub struct Deflate<S> {
    stream: S,
    received: Received,
    sent: Sent,
}

/// The direction from the server.
#[derive(Debug)]
struct Received {
    decoder: Decoder,
    /// Earlier data that a message may refer to, if the server keeps a window between messages.
    window: Option<Window>,
    /// Uncompressed frames; the bytes before `start` were read.
    plain: Vec<u8>,
    start: usize,
    state: State,
}

/// Whether the frames of the server are decoded.
#[derive(Debug)]
enum State {
    Decoding,
    /// The next read fails with this error.
    Failed(Error),
    /// After an error, bytes are passed on unchanged.
    Raw,
}

/// The direction to the server.
#[derive(Debug)]
struct Sent {
    /// Base-2 logarithm of the longest distance in a compressed message.
    window_bits: u8,
    /// The beginning of an uncompressed frame that is not complete yet.
    plain: Vec<u8>,
    /// Whether a frame could not be parsed. From there on, bytes are passed on unchanged.
    is_raw: bool,
    /// Bytes that the stream has not accepted yet.
    output: Vec<u8>,
}

impl<S> Deflate<S> {
    /// The stream below.
    pub(super) fn get_ref(&self) -> &S {
        &self.stream
    }

    /// Compression over an upgraded stream. `early` holds the bytes received together with the
    /// answer.
    pub(super) fn new(stream: S, mut early: Vec<u8>, agreed: Params) -> Self {
        let window = (!agreed.server.no_context_takeover).then(Window::default);
        let mut received = Received {
            decoder: Decoder::new(Role::Client, MAX_REPLY).with_deflate(),
            window,
            plain: Vec::new(),
            start: 0,
            state: State::Decoding,
        };
        received.decode(&mut early);
        let sent = Sent {
            window_bits: agreed.client.window_bits(),
            plain: Vec::new(),
            is_raw: false,
            output: Vec::new(),
        };
        Self { stream, received, sent }
    }
}

impl Received {
    /// Decodes bytes of the server into uncompressed frames.
    fn decode(&mut self, mut bytes: &mut [u8]) {
        loop {
            let pushed = match self.decoder.decode(&mut bytes) {
                Ok(Some(message)) => self.push(&message),
                Ok(None) => return,
                Err(error) => Err(error),
            };
            if let Err(error) = pushed {
                self.state = State::Failed(error);
                return;
            }
        }
    }

    fn push(&mut self, message: &Message<'_>) -> Result<(), Error> {
        let Self { window, plain, .. } = self;
        if let Message::Deflated(opcode, payload) = message {
            return CODEC.with_borrow_mut(|Codec { inflater, .. }| {
                let message = inflater.message(*opcode, payload, MAX_REPLY, window.as_mut());
                message.map(|message| push_plain(plain, &message))?;
                inflater.trim();
                Ok(())
            });
        }
        push_plain(plain, message);
        Ok(())
    }

    /// Copies uncompressed frames to `buf`. Returns whether there were any.
    fn read(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let left = &self.plain[self.start..];
        let len = left.len().min(buf.remaining());
        buf.put_slice(&left[..len]);
        self.start += len;
        if self.start == self.plain.len() {
            self.plain = Vec::new();
            self.start = 0;
        }
        len > 0
    }
}

/// Appends an uncompressed message as a frame.
fn push_plain(out: &mut Vec<u8>, message: &Message<'_>) {
    match message {
        Message::Text(text) => encode(out, Opcode::Text, text.as_bytes(), None),
        Message::Binary(bytes) => encode(out, Opcode::Binary, bytes, None),
        Message::Ping(payload) => encode(out, Opcode::Ping, payload, None),
        Message::Pong(payload) => encode(out, Opcode::Pong, payload, None),
        Message::Close(Some(close)) => encode_close(out, close.code, &close.reason, None),
        Message::Close(None) => encode(out, Opcode::Close, b"", None),
        // Decompressed by `Received::push` already.
        Message::Deflated(..) => {}
    }
}

impl Sent {
    /// Accepts uncompressed frames, cut anywhere. Compresses each message that is one frame, even
    /// if the message becomes longer: with `--compress` a user tests that compressed messages pass.
    fn take(&mut self, bytes: &[u8]) {
        self.plain.extend_from_slice(bytes);
        let mut plain = mem::take(&mut self.plain);
        let mut rest = &mut plain[..];
        while !self.is_raw {
            let header = match Header::parse(rest, Role::Server, false) {
                Ok(Some(header)) => header,
                Ok(None) => break,
                Err(_) => {
                    self.is_raw = true;
                    break;
                }
            };
            let len = usize::try_from(header.payload).unwrap_or(usize::MAX);
            let Some(len) = header.size.checked_add(len).filter(|len| *len <= rest.len()) else {
                break;
            };
            let (frame, behind) = rest.split_at_mut(len);
            self.push(header, frame);
            rest = behind;
        }
        if self.is_raw {
            self.output.extend_from_slice(rest);
        } else {
            self.plain = rest.to_vec();
        }
    }

    fn push(&mut self, header: Header, frame: &mut [u8]) {
        let Header { fin, opcode, mask, size, .. } = header;
        let is_message = fin && matches!(opcode, Opcode::Text | Opcode::Binary);
        let Some(key) = mask.filter(|_| is_message) else {
            return self.output.extend_from_slice(frame);
        };
        CODEC.with_borrow_mut(|Codec { deflater, .. }| {
            let message = &mut frame[size..];
            key.apply(message);
            match deflater.payload(message, self.window_bits) {
                Some(payload) => encode_deflated(&mut self.output, opcode, payload, mask),
                None => encode(&mut self.output, opcode, message, mask),
            }
            deflater.trim();
        });
    }
}

impl<S: AsyncWrite + Unpin> Deflate<S> {
    /// Writes the output to the stream.
    fn write_output(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.sent.output.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.sent.output))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent.output.drain(..written);
        }
        self.sent.output = Vec::new();
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Deflate<S> {
    /// A protocol error of the server is an [`io::Error`] that holds an [`Error`].
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, received, .. } = &mut *self;
        loop {
            if received.read(buf) {
                return Poll::Ready(Ok(()));
            }
            match received.state {
                State::Decoding => {}
                State::Failed(error) => {
                    received.state = State::Raw;
                    return Poll::Ready(Err(io::Error::other(error)));
                }
                State::Raw => return Pin::new(stream).poll_read(cx, buf),
            }
            let mut block = [0; READ];
            let mut read = ReadBuf::new(&mut block);
            ready!(Pin::new(&mut *stream).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            received.decode(read.filled_mut());
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Deflate<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.write_output(cx))?;
        self.sent.take(buf);
        if let Poll::Ready(Err(error)) = self.write_output(cx) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.write_output(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.write_output(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::ending::Ending;
    use crate::net::socket::Socket;
    use proto::frame::CloseCode;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    /// The text `Hello`, and the same as a reference to an earlier message (RFC 7692, section
    /// 7.2.3).
    const HELLO: &[u8] = b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00";
    const AGAIN: &[u8] = b"\xc1\x05\xf2\x00\x11\x00\x00";

    fn agreed(answer: &str) -> Params {
        Params::agreed([answer].into_iter()).unwrap().unwrap()
    }

    fn pair(early: &[u8], answer: &str) -> (Socket<Deflate<DuplexStream>>, DuplexStream) {
        let (near, far) = duplex(1 << 17);
        let stream = Deflate::new(near, early.to_vec(), agreed(answer));
        (Socket::new(stream, Vec::new(), MAX_REPLY), far)
    }

    #[tokio::test]
    async fn messages_of_the_server_arrive_as_they_were() {
        let (mut socket, mut far) = pair(&HELLO[..3], "permessage-deflate");
        far.write_all(&[&HELLO[3..], AGAIN, b"\x81\x02hi"].concat()).await.unwrap();
        for text in ["Hello", "Hello", "hi"] {
            assert_eq!(socket.receive().await.unwrap(), Message::Text(text.into()));
        }
        // In fragments, with a Ping frame between them.
        let parts = [b"\x41\x03", &HELLO[2..5], b"\x89\x01p\x80\x04", &HELLO[5..]].concat();
        far.write_all(&parts).await.unwrap();
        assert_eq!(socket.receive().await.unwrap(), Message::Ping(b"p"[..].into()));
        assert_eq!(socket.receive().await.unwrap(), Message::Text("Hello".into()));
        far.write_all(b"\x88\x04\x03\xe9so").await.unwrap();
        let ending = socket.receive().await.unwrap_err();
        assert_eq!(ending.to_string(), "closed by the server (1001: so)");
    }

    #[tokio::test]
    async fn a_violation_of_the_extension_ends_the_connection_with_its_code() {
        const FRESH: &str = "permessage-deflate; server_no_context_takeover";
        for (bytes, code) in [
            (&b"\xc1\x02\xff\xff"[..], CloseCode::INVALID),
            (AGAIN, CloseCode::INVALID),
            (b"\xa1\x00", CloseCode::PROTOCOL),
            (b"\xc9\x00", CloseCode::PROTOCOL),
        ] {
            let (mut socket, mut far) = pair(HELLO, FRESH);
            far.write_all(bytes).await.unwrap();
            assert_eq!(socket.receive().await.unwrap(), Message::Text("Hello".into()));
            let ending = socket.receive().await.unwrap_err();
            assert!(matches!(&ending, Ending::Refused(own, _) if *own == code), "{ending:?}");
            let closed = async {
                let mut close = [0; 8];
                far.read_exact(&mut close).await.unwrap();
                let mask = proto::frame::Mask([close[2], close[3], close[4], close[5]]);
                mask.apply(&mut close[6..]);
                assert_eq!((close[0], &close[6..]), (0x88, &code.0.to_be_bytes()[..]));
                far.write_all(b"anything").await.unwrap();
                far.shutdown().await.unwrap();
            };
            tokio::join!(socket.close(&ending), closed);
        }
    }

    /// The messages that a server decodes, all of them compressed.
    async fn decoded(far: &mut DuplexStream, count: usize) -> Vec<Message<'static>> {
        let mut decoder = Decoder::new(Role::Server, MAX_REPLY).with_deflate();
        let mut inflater = Inflater::default();
        let mut messages = Vec::new();
        let mut byte = [0];
        while messages.len() < count {
            far.read_exact(&mut byte).await.unwrap();
            match decoder.decode(&mut &mut byte[..]).unwrap() {
                Some(Message::Deflated(opcode, payload)) => {
                    let message = inflater.message(opcode, &payload, MAX_REPLY, None).unwrap();
                    assert!(payload.len() < 600, "{}", payload.len());
                    messages.push(message.into_owned());
                }
                Some(other) => panic!("not compressed: {other:?}"),
                None => {}
            }
        }
        messages
    }

    #[tokio::test]
    async fn messages_of_the_client_are_compressed() {
        let (mut socket, mut far) = pair(b"", "permessage-deflate");
        let long = "long, ".repeat(10_000);
        for text in ["", "short", &long] {
            socket.send(Opcode::Text, text.as_bytes()).await.unwrap();
        }
        let sent = ["", "short", &long].map(|text| Message::Text(text.to_owned().into()));
        assert_eq!(decoded(&mut far, 3).await, sent);
        // Fragments, control frames and invalid frames pass unchanged.
        for frame in [
            &b"\x01\x81\0\0\0\0a"[..],
            b"\x89\x81\0\0\0\0p",
            b"\x80\x81\0\0\0\0b",
            b"\xf1\x81\0\0\0\0c",
            b"\x81",
        ] {
            socket.send_bytes(frame).await.unwrap();
            let mut arrived = vec![0; frame.len()];
            far.read_exact(&mut arrived).await.unwrap();
            assert_eq!(arrived, frame);
        }
    }

    #[tokio::test]
    async fn a_window_too_small_for_a_message_leaves_it_as_it_is() {
        let (mut socket, mut far) = pair(b"", "permessage-deflate; client_max_window_bits=8");
        for (len, first) in [(256, 0xc1), (257, 0x81)] {
            socket.send(Opcode::Text, &vec![b'x'; len]).await.unwrap();
            let mut header = [0; 2];
            far.read_exact(&mut header).await.unwrap();
            assert_eq!(header[0], first, "{len}");
            let rest = usize::from(header[1] & 0x7f) + 4;
            far.read_exact(&mut vec![0; rest]).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_close_frame_arrives_uncompressed() {
        let (socket, mut far) = pair(b"", "permessage-deflate");
        let closed = async {
            let mut header = [0; 6];
            far.read_exact(&mut header).await.unwrap();
            assert_eq!(header[..2], [0x88, 0x82]);
            drop(far);
        };
        tokio::join!(socket.close(&Ending::Stopped), closed);
    }
}
