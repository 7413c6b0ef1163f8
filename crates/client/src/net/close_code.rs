//! A stream below a WebSocket of tungstenite that refuses Close frames with a code that must not be
//! sent. tungstenite replaces such a frame by one with 1002, as if the server had sent that one.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use proto::frame::{CloseCode, Error, Header, Opcode, Role, Violation};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream to a server, which checks the code of the server's Close frame.
#[derive(Debug)]
pub struct CloseCodeCheck<S> {
    stream: S,
    state: State,
    /// The beginning of a frame whose header, or code, is not complete yet.
    head: Vec<u8>,
    /// Bytes of the payload that are still to come.
    payload: u64,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Checking,
    /// The next read fails because of this code.
    Failed(CloseCode),
    /// Bytes are passed on unchecked: after a Close frame, or after an invalid one.
    Over,
}

impl<S> CloseCodeCheck<S> {
    /// A check of an upgraded stream. `early` holds the bytes received together with the answer;
    /// a Close frame that is refused is cut off.
    pub(super) fn new(stream: S, early: &mut Vec<u8>) -> Self {
        let mut check = Self { stream, state: State::Checking, head: Vec::new(), payload: 0 };
        early.truncate(check.check(early));
        check
    }

    /// The stream below.
    pub(super) fn get_ref(&self) -> &S {
        &self.stream
    }

    /// Returns the number of bytes before a Close frame that is refused.
    fn check(&mut self, bytes: &[u8]) -> usize {
        let (mut at, mut frame) = (0, 0);
        while at < bytes.len() && matches!(self.state, State::Checking) {
            if self.payload > 0 {
                let skipped = self.payload.min((bytes.len() - at) as u64);
                self.payload -= skipped;
                at += skipped as usize;
                continue;
            }
            if self.head.is_empty() {
                frame = at;
            }
            self.head.push(bytes[at]);
            at += 1;
            match Header::parse(&self.head, Role::Client, false) {
                Ok(None) => {}
                Ok(Some(header)) if header.opcode == Opcode::Close && header.payload >= 2 => {
                    let Some(&code) = self.head[header.size..].first_chunk() else { continue };
                    let code = CloseCode(u16::from_be_bytes(code));
                    if !code.may_be_sent() {
                        self.state = State::Failed(code);
                        return frame;
                    }
                    self.state = State::Over;
                }
                Ok(Some(header)) => {
                    self.payload = header.payload;
                    self.head.clear();
                }
                // tungstenite finds the violation as well.
                Err(_) => self.state = State::Over,
            }
        }
        bytes.len()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for CloseCodeCheck<S> {
    /// A code that must not be sent is an [`io::Error`] that holds an [`Error`].
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if let State::Checking = self.state {
            ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
            let kept = self.check(&buf.filled()[before..]);
            buf.set_filled(before + kept);
            if kept > 0 {
                return Poll::Ready(Ok(()));
            }
        }
        match self.state {
            // The end of the stream.
            State::Checking => Poll::Ready(Ok(())),
            State::Failed(code) => {
                self.state = State::Over;
                let error = Error::from(Violation::CloseCode(code));
                Poll::Ready(Err(io::Error::other(error)))
            }
            State::Over => Pin::new(&mut self.stream).poll_read(cx, buf),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for CloseCodeCheck<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    /// A message, a Ping frame, and a long message.
    fn frames() -> Vec<u8> {
        let long = [&b"\x82\x7e\x01\x00"[..], &[0x88; 256]].concat();
        [&b"\x81\x02hi\x89\x00"[..], &long].concat()
    }

    /// What is read of these bytes, of which the first `early` come with the answer and the rest in
    /// pieces of `size` bytes; and the error.
    async fn read(bytes: &[u8], early: usize, size: usize) -> (Vec<u8>, Option<String>) {
        let (near, mut far) = duplex(size);
        let (early, rest) = bytes.split_at(early);
        let mut read = early.to_vec();
        let mut stream = CloseCodeCheck::new(near, &mut read);
        let reading = async {
            let error = stream.read_to_end(&mut read).await.err();
            stream.read_to_end(&mut Vec::new()).await.unwrap();
            error.map(|error| error.to_string())
        };
        let writing = async {
            far.write_all(rest).await.unwrap();
            drop(far);
        };
        let (error, ()) = tokio::join!(reading, writing);
        (read, error)
    }

    #[tokio::test]
    async fn a_close_code_that_must_not_be_sent_is_an_error_after_the_frames_before() {
        let frames = frames();
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535] {
            let close = [&b"\x88\x07"[..], &u16::to_be_bytes(code), b"going"].concat();
            let bytes = [&frames[..], &close].concat();
            for (early, size) in [(0, 1024), (bytes.len(), 1), (3, 1024)] {
                let (read, error) = read(&bytes, early, size).await;
                assert_eq!(read, frames, "{code}");
                assert_eq!(error, Some(format!("close code {code} must not be sent")));
            }
            // The beginning of the Close frame was passed on already.
            let (read, error) = read(&bytes, 0, 1).await;
            assert!(read.starts_with(&frames) && read.len() < frames.len() + 4, "{read:?}");
            assert_eq!(error, Some(format!("close code {code} must not be sent")));
        }
    }

    #[tokio::test]
    async fn other_frames_are_passed_on_unchanged() {
        for close in
            [&b"\x88\x04\x03\xeaso"[..], b"\x88\x00", b"\x88\x01x", b"\xc1\x00\x88\x02\x00\x00"]
        {
            let bytes = [&frames(), close, b"rest"].concat();
            for size in [1, 3, 1024] {
                assert_eq!(read(&bytes, 0, size).await, (bytes.clone(), None), "{close:?}");
            }
        }
    }
}
