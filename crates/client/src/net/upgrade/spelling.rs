//! Header names as RFC 6455 spells them.
//!
//! Header names have no case (RFC 9110, section 5.1), but servers made by hand often search the
//! request for `Sec-WebSocket-Key` as it stands in RFC 6455. hyper writes `Sec-Websocket-Key`.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const WRITTEN: &[u8] = b"Sec-Websocket-";
const SPELLED: &[u8] = b"Sec-WebSocket-";

/// A stream on which the names `Sec-WebSocket-*` are written as RFC 6455 spells them.
#[derive(Debug)]
pub(super) struct Spelling<S>(S);

impl<S> Spelling<S> {
    pub(super) fn new(stream: S) -> Self {
        Self(stream)
    }

    pub(super) fn into_inner(self) -> S {
        self.0
    }
}

/// The bytes with the right spelling, if they have the other. Both are of one length, so a count
/// of written bytes means the same in either.
fn respelled(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut respelled = bytes.to_vec();
    let mut from = 0;
    while let Some(found) = respelled[from..].windows(WRITTEN.len()).position(|w| w == WRITTEN) {
        from += found;
        respelled[from..from + SPELLED.len()].copy_from_slice(SPELLED);
    }
    (from > 0).then_some(respelled)
}

impl<S: AsyncRead + Unpin> AsyncRead for Spelling<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Spelling<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let respelled = respelled(bytes);
        Pin::new(&mut self.0).poll_write(cx, respelled.as_deref().unwrap_or(bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_names_of_rfc_6455_change() {
        let written =
            b"GET / HTTP/1.1\r\nHost: x\r\nSec-Websocket-Key: k\r\nSec-Websocket-Version: 13\r\n";
        let spelled =
            b"GET / HTTP/1.1\r\nHost: x\r\nSec-WebSocket-Key: k\r\nSec-WebSocket-Version: 13\r\n";
        assert_eq!(respelled(written).as_deref(), Some(&spelled[..]));
        assert_eq!(respelled(spelled), None);
        assert_eq!(respelled(b""), None);
    }
}
