//! The head of a request as it arrived, for `/probe`: hyper tells neither the spelling of header names
//! nor the order of headers. Heads of requests for other paths are not kept.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use proto::path;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::MAX_HEAD;

/// A stream that keeps a copy of the head of its request.
#[derive(Debug)]
pub(super) struct Captured<S> {
    stream: S,
    /// The path whose requests are kept, and the head so far; `None` once the head is not wanted.
    kept: Option<(&'static str, Vec<u8>)>,
}

impl<S> Captured<S> {
    /// Keeps requests whose path begins with `path`, if there is one.
    pub(super) fn new(stream: S, path: Option<&'static str>) -> Self {
        Self { stream, kept: path.map(|path| (path, Vec::new())) }
    }

    /// The stream, and the head; empty if the head was not wanted.
    pub(super) fn into_parts(self) -> (S, Vec<u8>) {
        (self.stream, self.kept.map(|(_, head)| head).unwrap_or_default())
    }

    fn keep(&mut self, bytes: &[u8]) {
        let Some((path, head)) = &mut self.kept else { return };
        let room = MAX_HEAD.saturating_sub(head.len());
        head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if !may_ask_for(path, head) {
            self.kept = None;
        }
    }
}

/// Whether a head, of which a part may be missing, can be that of a GET request for a path that
/// begins with `path`, or for a whole URL, as requests to proxies have (RFC 9112, section 3.2.2):
/// any target that does not begin with a slash.
fn may_ask_for(path: &str, head: &[u8]) -> bool {
    let blank = head.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    let begins = |head: &[u8], text: &str| head.iter().zip(text.as_bytes()).all(|(a, b)| a == b);
    let (method, target) = head[blank..].split_at((head.len() - blank).min(GET.len()));
    begins(method, GET) && (begins(target, path) || !target.starts_with(b"/"))
}

const GET: &str = "GET ";

/// The beginning of the paths whose requests are kept. `is_default`: the service `/probe` is at `/`
/// too (`DEFAULT_SERVICE`).
pub(super) fn wanted(is_default: bool) -> &'static str {
    if is_default { path::PING } else { path::PROBE }
}

impl<S: AsyncRead + Unpin> AsyncRead for Captured<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        self.keep(&buf.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Captured<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
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
    use tokio::io::AsyncReadExt;

    /// The captured head of a request that arrives in parts of this length.
    async fn kept(request: &str, part: usize, path: Option<&'static str>) -> String {
        let mut captured = Captured::new(request.as_bytes(), path);
        let mut buffer = vec![0; part];
        let mut arrived = String::new();
        while let len @ 1.. = captured.read(&mut buffer).await.unwrap() {
            arrived.push_str(str::from_utf8(&buffer[..len]).unwrap());
        }
        assert_eq!(arrived, request);
        String::from_utf8(captured.into_parts().1).unwrap()
    }

    #[tokio::test]
    async fn requests_for_the_path_are_kept_and_no_others() {
        for part in [1, 3, 100] {
            for request in [
                "GET /probe HTTP/1.1\r\nHost: a\r\n\r\n",
                "\r\n\r\nGET /probe?a HTTP/1.1\r\n\r\n",
                "GET http://a/probe HTTP/1.1\r\n\r\n",
                "GET WS://a/probe HTTP/1.1\r\n\r\n",
            ] {
                assert_eq!(kept(request, part, Some(wanted(false))).await, request);
                assert_eq!(kept(request, part, None).await, "");
            }
            for request in ["GET / HTTP/1.1\r\n\r\n", "GET /prose HTTP/1.1\r\n", "POST /probe HTTP"]
            {
                assert_eq!(kept(request, part, Some(wanted(false))).await, "");
            }
        }
        let request = "GET /?a HTTP/1.1\r\n\r\n";
        assert_eq!(kept(request, 2, Some(wanted(true))).await, request);
    }

    #[tokio::test]
    async fn a_captured_head_is_bounded() {
        let request = format!("GET /probe HTTP/1.1\r\n{}", "a".repeat(2 * MAX_HEAD));
        assert_eq!(kept(&request, 1000, Some(path::PROBE)).await.len(), MAX_HEAD);
    }
}
