//! One HTTP/1.1 request over a stream that becomes a WebSocket or a tunnel afterwards.

use std::future::poll_fn;
use std::pin::pin;

use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Error, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// Longest head of an answer, in bytes.
const MAX_HEAD: usize = 64 * 1024;

/// Most header lines of an answer.
const MAX_HEADERS: usize = 256;

/// The answer to a request.
pub(super) type Answer = Response<Incoming>;

/// An HTTP connection, which makes progress only while [`Exchange::run`] polls it.
pub(super) struct Exchange<S: AsyncRead + AsyncWrite + Unpin> {
    connection: http1::Connection<TokioIo<S>, Empty<Bytes>>,
    is_over: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Exchange<S> {
    /// Sends a request and waits for the head of the answer.
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

    /// Runs the connection until `waiting` completes.
    pub(super) async fn run<T>(&mut self, waiting: impl Future<Output = T>) -> T {
        let mut waiting = pin!(waiting);
        poll_fn(|cx| {
            // `waiting` returns the errors of the connection as well.
            self.is_over = self.is_over || self.connection.poll_without_shutdown(cx).is_ready();
            waiting.as_mut().poll(cx)
        })
        .await
    }

    /// The stream, and the bytes received together with the answer.
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
        // One write for the whole request, so that `upgrade::spelling` finds all names.
        .writev(false);
    builder
}
