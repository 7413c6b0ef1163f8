//! The first bytes of an answer show whether the server speaks HTTP/1 at all.

use std::io;

use proto::escape;

use super::inspect::Inspect;

/// First byte of a TLS alert (RFC 8446, section 5.1). No HTTP answer begins with this byte.
const ALERT: u8 = 21;

/// The error text for a TLS alert.
pub(super) const SPEAKS_TLS: &str = "the server speaks TLS there: use wss:// for it";

/// The first bytes of an answer (RFC 9112, section 4).
const HTTP: &[u8] = b"HTTP/";

/// The error text for an answer in HTTP/2.
const SPEAKS_HTTP2: &str = "the server answered a request in HTTP/1.1 with HTTP/2 alone";

/// Most bytes of an answer in another protocol that are shown.
const SHOWN: usize = 60;

/// Fails the read of an answer that is not HTTP/1, with an error that names what was received.
#[derive(Debug)]
pub(in crate::net) struct AnswerCheck {
    is_plain: bool,
    /// Number of bytes of [`HTTP`] received.
    received: usize,
}

/// Whether an answer begins with a SETTINGS or GOAWAY frame of HTTP/2 (RFC 9113, section 4.1).
pub(crate) fn is_http2(bytes: &[u8]) -> bool {
    const SETTINGS: u8 = 4;
    const GOAWAY: u8 = 7;
    matches!(bytes, [0, 0, _, SETTINGS | GOAWAY, _, 0, 0, 0, 0, ..])
}

impl AnswerCheck {
    /// The check of a stream from which nothing was read yet. `is_plain` means that the stream is
    /// not TLS.
    pub(in crate::net) fn new(is_plain: bool) -> Self {
        Self { is_plain, received: 0 }
    }
}

impl Inspect for AnswerCheck {
    fn received(&mut self, bytes: &[u8]) -> io::Result<()> {
        // Empty lines before the status line are skipped, as hyper does.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The error for an answer that arrives in these pieces.
    fn error(is_plain: bool, pieces: &[&[u8]]) -> Option<String> {
        let mut check = AnswerCheck::new(is_plain);
        pieces.iter().find_map(|piece| check.received(piece).err()).map(|error| error.to_string())
    }

    #[test]
    fn http_in_any_pieces_is_an_answer() {
        for pieces in [
            &[&b"HTTP/1.1 101 Switching Protocols\r\n"[..]][..],
            &[b"H", b"TT", b"P/", b"\x15", b"SSH"],
            &[b"\r", b"\n", b"\r\nHT", b"TP/1.1"],
            &[b""],
        ] {
            assert_eq!(error(true, pieces), None, "{pieces:?}");
        }
    }

    #[test]
    fn a_tls_alert_is_named_where_the_client_speaks_without_tls() {
        let alert: &[&[u8]] = &[&[ALERT, 3, 3, 0, 2]];
        let tls = "the server speaks TLS there: use wss:// for it";
        assert_eq!(error(true, alert).as_deref(), Some(tls));
        let other = error(false, alert).unwrap();
        assert!(other.starts_with("no HTTP server is there: "), "{other}");
    }

    #[test]
    fn frames_of_http2_are_named() {
        for frame in [&b"\0\0\x12\x04\0\0\0\0\0\0\x03"[..], b"\0\0\x08\x07\0\0\0\0\0"] {
            assert_eq!(error(true, &[frame]).as_deref(), Some(SPEAKS_HTTP2), "{frame:?}");
        }
        assert_ne!(error(true, &[b"\0\0\x12\x01\0\0\0\0\0"]).as_deref(), Some(SPEAKS_HTTP2));
    }

    #[test]
    fn an_answer_that_is_not_http_is_shown() {
        for (pieces, shown) in [
            (&[&b"SSH-2.0-OpenSSH_9.2\r\nmore"[..]][..], "SSH-2.0-OpenSSH_9.2"),
            (&[b"\r\n220 mail\r\n"], "220 mail"),
            (&[b"HT", b"ML"], "HTML"),
            (&[b"\x1b[2J"], r"\u001b[2J"),
            (&[&[b'x'; 99]], &"x".repeat(60)),
        ] {
            let expected = format!("no HTTP server is there: it answered \"{shown}\"");
            assert_eq!(error(true, pieces), Some(expected));
        }
    }
}
