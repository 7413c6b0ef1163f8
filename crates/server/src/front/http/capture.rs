//! The head of a request as it arrived, for `/probe`: hyper tells neither the spelling of names nor
//! the order of headers. What is no request for `/probe` is not kept.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use proto::path;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::MAX_HEAD;

/// A stream that keeps the head of its request.
#[derive(Debug)]
pub(super) struct Captured<S> {
    stream: S,
    /// `None` if it is not wanted.
    head: Option<Vec<u8>>,
    /// The path of the requests that are kept.
    path: Option<&'static str>,
}

impl<S> Captured<S> {
    /// Keeps requests whose path begins with `path`, if there is one.
    pub(super) fn new(stream: S, path: Option<&'static str>) -> Self {
        Self { stream, head: path.map(|_| Vec::new()), path }
    }

    /// The stream, and what was kept.
    pub(super) fn into_parts(self) -> (S, Vec<u8>) {
        (self.stream, self.head.unwrap_or_default())
    }

    fn keep(&mut self, bytes: &[u8]) {
        let (Some(head), Some(path)) = (&mut self.head, self.path) else { return };
        let room = MAX_HEAD.saturating_sub(head.len());
        head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if !may_ask_for(path, head) {
            self.head = None;
        }
    }
}

/// Whether a request, which may not have arrived in full, asks for a path, or for a URL as proxies
/// are asked (RFC 9112, section 3.2.2).
fn may_ask_for(path: &str, head: &[u8]) -> bool {
    let blank = head.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    let begins = |head: &[u8], text: &str| head.iter().zip(text.as_bytes()).all(|(a, b)| a == b);
    let (method, target) = head[blank..].split_at((head.len() - blank).min(GET.len()));
    begins(method, GET) && (begins(target, path) || begins(target, "http"))
}

const GET: &str = "GET ";

/// What the paths of requests that are kept begin with, where `/probe` is the service at `/` or is
/// not.
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

    /// What is kept of a request that arrives in parts of this length.
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
    async fn what_is_kept_is_bounded() {
        let request = format!("GET /probe HTTP/1.1\r\n{}", "a".repeat(2 * MAX_HEAD));
        assert_eq!(kept(&request, 1000, Some(path::PROBE)).await.len(), MAX_HEAD);
    }
}
