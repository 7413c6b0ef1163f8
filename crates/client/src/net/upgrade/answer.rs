//! The first bytes of an answer, which tell whether the server speaks HTTP at all.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use proto::escape;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// First byte of an alert (RFC 8446, section 5.1), which no answer to a plain request begins with.
const ALERT: u8 = 21;

/// What the error of an alert says.
pub(super) const SPEAKS_TLS: &str = "the server speaks TLS there: use wss:// for it";

/// What an answer begins with (RFC 9112, section 4).
const HTTP: &[u8] = b"HTTP/";

/// What the error of an answer in HTTP/2 says.
const SPEAKS_HTTP2: &str = "the server answered a request in HTTP/1.1 with HTTP/2 alone";

/// Most bytes that are shown of what is not HTTP.
const SHOWN: usize = 60;

/// A stream that takes an answer for an error which is no HTTP, or an alert of TLS.
#[derive(Debug)]
pub(in crate::net) struct AnswerCheck<S> {
    stream: S,
    is_plain: bool,
    /// How much of [`HTTP`] was received.
    received: usize,
}

/// Whether an answer begins with a SETTINGS or GOAWAY frame of HTTP/2 (RFC 9113, section 4.1).
pub(crate) fn is_http2(bytes: &[u8]) -> bool {
    const SETTINGS: u8 = 4;
    const GOAWAY: u8 = 7;
    matches!(bytes, [0, 0, _, SETTINGS | GOAWAY, _, 0, 0, 0, 0, ..])
}

impl<S> AnswerCheck<S> {
    /// A stream on which nothing was received yet; `is_plain` without TLS on it.
    pub(in crate::net) fn new(stream: S, is_plain: bool) -> Self {
        Self { stream, is_plain, received: 0 }
    }

    pub(in crate::net) fn into_inner(self) -> S {
        self.stream
    }

    fn check(&mut self, bytes: &[u8]) -> io::Result<()> {
        // Empty lines before an answer are none of it.
        let is_empty = |byte: &u8| self.received == 0 && b"\r\n".contains(byte);
        let start = bytes.iter().position(|byte| !is_empty(byte)).unwrap_or(bytes.len());
        let (bytes, rest) = (&bytes[start..], &HTTP[self.received..]);
        let length = bytes.len().min(rest.len());
        if bytes[..length] == rest[..length] {
            self.received += length;
            return Ok(());
        }
        if self.is_plain && self.received == 0 && bytes[0] == ALERT {
            return Err(io::Error::other(SPEAKS_TLS));
        }
        if self.received == 0 && is_http2(bytes) {
            return Err(io::Error::other(SPEAKS_HTTP2));
        }
        let text = [&HTTP[..self.received], &bytes[..bytes.len().min(SHOWN)]].concat();
        let text = String::from_utf8_lossy(&text);
        let line = escape::plain(text.lines().next().unwrap_or_default());
        Err(io::Error::other(format!("no HTTP server is there: it answered \"{line}\"")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for AnswerCheck<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let start = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        Poll::Ready(self.check(&buf.filled()[start..]))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for AnswerCheck<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
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

    /// What is told of an answer that comes in these pieces.
    fn told(is_plain: bool, pieces: &[&[u8]]) -> Option<String> {
        let mut check = AnswerCheck::new((), is_plain);
        pieces.iter().find_map(|piece| check.check(piece).err()).map(|error| error.to_string())
    }

    #[test]
    fn http_in_any_pieces_is_an_answer() {
        for pieces in [
            &[&b"HTTP/1.1 101 Switching Protocols\r\n"[..]][..],
            &[b"H", b"TT", b"P/", b"\x15", b"SSH"],
            &[b"\r", b"\n", b"\r\nHT", b"TP/1.1"],
            &[b""],
        ] {
            assert_eq!(told(true, pieces), None, "{pieces:?}");
        }
    }

    #[test]
    fn an_alert_of_tls_is_told_to_who_speaks_plain() {
        let alert: &[&[u8]] = &[&[ALERT, 3, 3, 0, 2]];
        let tls = "the server speaks TLS there: use wss:// for it";
        assert_eq!(told(true, alert).as_deref(), Some(tls));
        let other = told(false, alert).unwrap();
        assert!(other.starts_with("no HTTP server is there: "), "{other}");
    }

    #[test]
    fn frames_of_http2_are_named_in_place_of_shown() {
        for frame in [&b"\0\0\x12\x04\0\0\0\0\0\0\x03"[..], b"\0\0\x08\x07\0\0\0\0\0"] {
            assert_eq!(told(true, &[frame]).as_deref(), Some(SPEAKS_HTTP2), "{frame:?}");
        }
        assert_ne!(told(true, &[b"\0\0\x12\x01\0\0\0\0\0"]).as_deref(), Some(SPEAKS_HTTP2));
    }

    #[test]
    fn what_is_not_http_is_shown() {
        for (pieces, shown) in [
            (&[&b"SSH-2.0-OpenSSH_9.2\r\nmore"[..]][..], "SSH-2.0-OpenSSH_9.2"),
            (&[b"\r\n220 mail\r\n"], "220 mail"),
            (&[b"HT", b"ML"], "HTML"),
            (&[b"\x1b[2J"], r"\u001b[2J"),
            (&[&[b'x'; 99]], &"x".repeat(60)),
        ] {
            let expected = format!("no HTTP server is there: it answered \"{shown}\"");
            assert_eq!(told(true, pieces), Some(expected));
        }
    }
}
