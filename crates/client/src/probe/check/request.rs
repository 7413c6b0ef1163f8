//! The opening handshake without a library: malformed requests, and each line of the answer.

use std::time::Duration;
use std::{fmt, io};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::sleep;

use crate::format::header_name;
use crate::net::upgrade::{HttpRequest, shortened};

/// Most bytes of an answer's head.
const MAX_HEAD: usize = 64 * 1024;

/// The pause between two bytes that have to arrive apart.
pub(super) const BETWEEN_PIECES: Duration = Duration::from_millis(1);

/// The difference from the usual request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// No difference.
    None,
    /// The method.
    Method(&'static str),
    /// The version of HTTP.
    Http(&'static str),
    /// A header is missing.
    Without(&'static str),
    /// A header has another value.
    Value(&'static str, &'static str),
    /// Case-insensitive names and values have another case, and `Connection` is a list.
    Spelling,
    /// Each byte is sent alone.
    Pieces,
}

/// A request, line by line.
#[derive(Clone, Debug)]
pub(super) struct Request {
    start: String,
    headers: Vec<(String, Vec<u8>)>,
    in_pieces: bool,
}

/// The head of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    /// The status line.
    pub(super) line: String,
    pub(super) status: u16,
    headers: Vec<(String, String)>,
}

/// The answer to a request.
#[derive(Debug)]
pub(super) enum Answer {
    /// A head, and the bytes after it.
    Head(Head, Vec<u8>),
    /// Bytes that are not HTTP.
    Other(Vec<u8>),
    /// The end of the stream, with the error if there was one.
    End(Option<io::Error>),
}

impl Change {
    /// Whether the server has to upgrade the request.
    pub(super) fn is_valid(self) -> bool {
        matches!(self, Self::None | Self::Spelling | Self::Pieces)
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("the usual request"),
            Self::Method(method) => write!(f, "a {method}"),
            Self::Http(version) => write!(f, "a request in {version}"),
            Self::Without(name) => write!(f, "a request without {name}"),
            Self::Value(name, value) => write!(f, "{name}: {value}"),
            Self::Spelling => f.write_str("upgrade: WebSocket and connection: keep-alive, upgrade"),
            Self::Pieces => f.write_str("the usual request byte by byte"),
        }
    }
}

impl Request {
    /// The request with this change.
    pub(super) fn new(usual: &HttpRequest, change: Change) -> Self {
        let (mut method, mut version) = ("GET", "HTTP/1.1");
        let names = usual.headers().iter();
        let mut headers: Vec<_> = names
            .map(|(name, value)| (header_name(name.as_str()), value.as_bytes().to_vec()))
            .collect();
        match change {
            Change::None | Change::Pieces => {}
            Change::Method(other) => {
                method = other;
                headers.push(("Content-Length".into(), b"0".to_vec()));
            }
            Change::Http(other) => version = other,
            Change::Without(name) => headers.retain(|header| header.0 != name),
            Change::Value(name, other) => {
                let line = headers.iter_mut().filter(|header| header.0 == name);
                line.for_each(|header| header.1 = other.into());
            }
            Change::Spelling => {
                for (name, value) in &mut headers {
                    match name.as_str() {
                        "Upgrade" => *value = b"WebSocket".to_vec(),
                        "Connection" => *value = b"keep-alive, upgrade".to_vec(),
                        _ => {}
                    }
                    name.make_ascii_lowercase();
                }
            }
        }
        let start = format!("{method} {} {version}", usual.uri());
        Self { start, headers, in_pieces: change == Change::Pieces }
    }

    /// The value of a header.
    pub(super) fn value(&self, name: &str) -> Option<&[u8]> {
        let mut headers = self.headers.iter();
        let found = headers.find(|header| header.0.eq_ignore_ascii_case(name));
        found.map(|header| header.1.as_slice())
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{}\r\n", self.start).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes
    }

    /// Sends the request, and reads the answer. Interim answers are skipped.
    pub(super) async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut S,
    ) -> Answer {
        // After a failed write, the answer of the server may still be readable.
        let _ = self.send(stream).await;
        let mut bytes = Vec::new();
        loop {
            while let Some(end) = end_of_head(&bytes) {
                let rest = bytes.split_off(end);
                match Head::parse(&bytes) {
                    Some(Head { status: 100 | 102..=199, .. }) => bytes = rest,
                    Some(head) => return Answer::Head(head, rest),
                    None => return Answer::Other(bytes),
                }
            }
            if bytes.len() > MAX_HEAD || !b"HTTP/".starts_with(&bytes[..bytes.len().min(5)]) {
                return Answer::Other(bytes);
            }
            match stream.read_buf(&mut bytes).await {
                Ok(0) => return Answer::End(None),
                Ok(_) => {}
                Err(error) => return Answer::End(Some(error)),
            }
        }
    }

    async fn send<S: AsyncWrite + Unpin>(&self, stream: &mut S) -> io::Result<()> {
        let bytes = self.to_bytes();
        if !self.in_pieces {
            stream.write_all(&bytes).await?;
            return stream.flush().await;
        }
        for byte in bytes {
            stream.write_all(&[byte]).await?;
            stream.flush().await?;
            sleep(BETWEEN_PIECES).await;
        }
        Ok(())
    }
}

/// The offset after the empty line that ends a head.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    const END: &[u8] = b"\r\n\r\n";
    bytes.windows(END.len()).position(|bytes| bytes == END).map(|at| at + END.len())
}

impl Head {
    /// Parses a status line and the header lines below.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let mut lines = text.split("\r\n");
        let line = lines.next()?.to_owned();
        let status = line.strip_prefix("HTTP/")?.split(' ').nth(1)?.parse().ok()?;
        let headers = lines.filter_map(|line| line.split_once(':'));
        let headers = headers.map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
        Some(Self { headers: headers.collect(), line, status })
    }

    /// The values of a header, a line each.
    pub(super) fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let lines = self.headers.iter().filter(move |header| header.0.eq_ignore_ascii_case(name));
        lines.map(|header| header.1.as_str())
    }

    /// The elements of a list header over all its lines (RFC 9110, section 5.6.1).
    pub(super) fn elements<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let elements = self.values(name).flat_map(|value| value.split(','));
        elements.map(str::trim).filter(|element| !element.is_empty())
    }

    /// The lines of a header as they came, safe to print.
    pub(super) fn shown(&self, name: &str) -> String {
        let lines: Vec<_> = self.values(name).map(|value| format!("{name}: {value}")).collect();
        if lines.is_empty() { format!("no {name}") } else { shortened(&lines.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::duplex;

    fn usual() -> HttpRequest {
        let options = crate::net::upgrade::RequestOptions::default();
        crate::net::upgrade::request(&"ws://host/path?x=1".parse().unwrap(), &options).unwrap()
    }

    fn written(change: Change) -> String {
        String::from_utf8(Request::new(&usual(), change).to_bytes()).unwrap()
    }

    #[test]
    fn a_change_affects_nothing_else() {
        let request = written(Change::None);
        assert!(request.starts_with("GET /path?x=1 HTTP/1.1\r\nHost: host\r\n"), "{request}");
        assert!(request.contains("\r\nSec-WebSocket-Key: "), "{request}");
        assert!(request.ends_with("\r\nSec-WebSocket-Version: 13\r\n\r\n"), "{request}");
        for (change, line) in [
            (Change::Method("POST"), "POST /path?x=1 HTTP/1.1"),
            (Change::Http("HTTP/1.0"), "GET /path?x=1 HTTP/1.0"),
            (Change::Value("Upgrade", "h2c"), "Upgrade: h2c"),
            (Change::Spelling, "upgrade: WebSocket"),
            (Change::Spelling, "connection: keep-alive, upgrade"),
        ] {
            assert!(written(change).split("\r\n").any(|other| other == line), "{change:?}");
        }
        let without = written(Change::Without("Sec-WebSocket-Key"));
        assert!(!without.contains("Key"), "{without}");
        assert_eq!(without.lines().count() + 1, request.lines().count());
    }

    async fn answered(answer: &[u8]) -> Answer {
        let (mut near, mut far) = duplex(1 << 20);
        far.write_all(answer).await.unwrap();
        far.shutdown().await.unwrap();
        Request::new(&usual(), Change::None).exchange(&mut near).await
    }

    #[tokio::test]
    async fn interim_answers_are_skipped_and_early_bytes_kept() {
        let bytes = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 101 Yes\r\nA: b\r\na:c , d\r\n\r\n\x81\x00";
        let Answer::Head(head, early) = answered(bytes).await else { panic!("no head") };
        assert_eq!((head.status, head.line.as_str()), (101, "HTTP/1.1 101 Yes"));
        assert_eq!(head.elements("A").collect::<Vec<_>>(), ["b", "c", "d"]);
        assert_eq!(head.shown("A"), "A: b, A: c , d");
        assert_eq!(head.shown("B"), "no B");
        assert_eq!(early, b"\x81\x00");
    }

    #[tokio::test]
    async fn an_answer_that_is_not_http_differs_from_the_end_of_the_stream() {
        for other in [&b"SSH-2.0\r\n"[..], b"HTTP/1.1\r\n\r\n", b"HTTP/1.1 x\r\n\r\n"] {
            assert!(matches!(answered(other).await, Answer::Other(_)), "{other:?}");
        }
        for cut in [&b""[..], b"HT", b"HTTP/1.1 101 x\r\nA: b\r\n"] {
            assert!(matches!(answered(cut).await, Answer::End(None)), "{cut:?}");
        }
        let endless = [&b"HTTP/1.1 101 x\r\n"[..], &b"a".repeat(MAX_HEAD)].concat();
        assert!(matches!(answered(&endless).await, Answer::Other(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_in_pieces_is_the_same_request() {
        let (mut near, mut far) = duplex(4096);
        let request = Request::new(&usual(), Change::Pieces);
        request.send(&mut near).await.unwrap();
        drop(near);
        let mut arrived = Vec::new();
        far.read_to_end(&mut arrived).await.unwrap();
        assert_eq!(arrived, request.to_bytes());
    }
}
