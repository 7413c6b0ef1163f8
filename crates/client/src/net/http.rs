//! One request of HTTP/1.1 over a stream that is used for something else afterwards: a WebSocket,
//! or a tunnel through a proxy.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Error, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// Most bytes of an answer's head.
const MAX_HEAD: usize = 64 * 1024;

/// Most header lines of an answer.
const MAX_HEADERS: usize = 256;

/// The answer to a request.
pub(super) type Answer = Response<Incoming>;

/// Runs an HTTP connection while something waits for what comes over it.
pub(super) struct Exchange<S: AsyncRead + AsyncWrite + Unpin> {
    connection: http1::Connection<TokioIo<S>, Empty<Bytes>>,
    is_over: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Exchange<S> {
    /// Sends a request, and waits for the head of the answer.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(super) async fn ask(
        stream: S,
        request: Request<Empty<Bytes>>,
    ) -> Result<(Self, Answer), Error> {
        let (mut sender, connection) = builder().handshake(TokioIo::new(stream)).await?;
        let mut exchange = Self { connection, is_over: false };
        let answer = exchange.run(sender.send_request(request)).await?;
        Ok((exchange, answer))
    }

    /// Runs the connection until `waiting` is done.
    pub(super) async fn run<T>(&mut self, waiting: impl Future<Output = T>) -> T {
        let mut waiting = pin!(waiting);
        poll_fn(|cx| self.poll_with(cx, waiting.as_mut())).await
    }

    fn poll_with<T>(
        &mut self,
        cx: &mut Context<'_>,
        waiting: Pin<&mut impl Future<Output = T>>,
    ) -> Poll<T> {
        // What waits gets the errors of the connection too.
        self.is_over = self.is_over || self.connection.poll_without_shutdown(cx).is_ready();
        waiting.poll(cx)
    }

    /// The stream, and the bytes that came right behind the answer.
    pub(super) fn into_stream(self) -> (S, Vec<u8>) {
        let parts = self.connection.into_parts();
        (parts.io.into_inner(), parts.read_buf.to_vec())
    }
}

fn builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .title_case_headers(true)
        .allow_obsolete_multiline_headers_in_responses(true)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD)
        // One buffer for the whole request, which `upgrade::spelling` looks through.
        .writev(false);
    builder
}
