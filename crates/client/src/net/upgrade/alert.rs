//! A server that speaks TLS where the client does not.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// First byte of an alert (RFC 8446, section 5.1), which no answer to a plain request begins with.
const ALERT: u8 = 21;

/// What the error says.
pub(super) const SPEAKS_TLS: &str = "the server speaks TLS there: use wss:// for it";

/// A plain stream that takes an alert of TLS as its first answer for an error.
#[derive(Debug)]
pub(super) struct AlertCheck<S> {
    stream: S,
    is_unanswered: bool,
}

impl<S> AlertCheck<S> {
    /// A stream on which nothing was received yet; `is_plain` without TLS on it.
    pub(super) fn new(stream: S, is_plain: bool) -> Self {
        Self { stream, is_unanswered: is_plain }
    }

    pub(super) fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for AlertCheck<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let start = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if std::mem::take(&mut self.is_unanswered) && buf.filled().get(start) == Some(&ALERT) {
            return Poll::Ready(Err(io::Error::other(SPEAKS_TLS)));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for AlertCheck<S> {
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
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    #[tokio::test]
    async fn an_alert_is_noticed_in_the_first_answer_to_a_plain_request_alone() {
        for (is_plain, answers, noticed) in [
            (true, &[&[ALERT, 3, 3, 0, 2][..]][..], true),
            (true, &[b"H", &[ALERT]], false),
            (false, &[&[ALERT]], false),
        ] {
            let (near, mut far) = duplex(64);
            let mut near = AlertCheck::new(near, is_plain);
            let mut read = [0; 64];
            let mut last = Ok(0);
            for answer in answers {
                far.write_all(answer).await.unwrap();
                last = near.read(&mut read).await;
            }
            match last {
                Ok(length) => assert!(!noticed && length == 1, "{answers:?}"),
                Err(error) => {
                    assert!(noticed, "{answers:?}");
                    assert_eq!(error.to_string(), SPEAKS_TLS);
                }
            }
        }
    }
}
