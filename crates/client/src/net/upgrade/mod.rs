//! The opening handshake of RFC 6455, section 4, over HTTP/1.1.
//!
//! hyper sends the request and reads the answer: it skips interim answers (100, 103), joins folded
//! lines and takes an answer in any number of pieces. [`request`] is what is asked for,
//! [`switch`] checks what a server that agrees has to say, and [`refusal`] puts any other answer
//! into words.

mod refusal;
mod request;
mod spelling;
mod switch;

use std::error::Error as _;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use proto::escape;
use tokio::io::{AsyncRead, AsyncWrite};

use super::error::ConnectError;
use super::tls::{Connector, hung_up};
use super::url::ServerUrl;
use request::Request;
use spelling::Spelling;

/// Most bytes of an answer's head.
const MAX_HEAD: usize = 64 * 1024;

/// Most header lines of an answer.
const MAX_HEADERS: usize = 256;

/// A stream after the upgrade.
#[derive(Debug)]
pub(crate) struct Upgraded<S> {
    pub(crate) stream: S,
    /// Bytes that came right behind the answer: the beginning of the server's first frames.
    pub(crate) early: Vec<u8>,
}

/// Asks the server at the other end of `stream` for the upgrade to WebSocket.
///
/// # Errors
/// Why the server did not agree, or did in a way that RFC 6455 forbids.
pub(crate) async fn upgrade<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    url: &ServerUrl,
    tls: Option<&Connector>,
) -> Result<Upgraded<S>, ConnectError> {
    let request = Request::new(url)?;
    let io = TokioIo::new(Spelling::new(stream));
    let failed = |error| ConnectError::from(explain(&error, tls));
    let (mut sender, connection) = builder().handshake(io).await.map_err(failed)?;
    let mut driver = Driver { connection, is_over: false };
    let answer = driver.run(sender.send_request(request.to_http())).await.map_err(failed)?;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(driver.run(refusal::explain(answer)).await);
    }
    switch::check(&request, answer.version(), answer.headers())
        .map_err(|fault| ConnectError::from(format!("no valid WebSocket handshake: {fault}")))?;
    let parts = driver.connection.into_parts();
    Ok(Upgraded { stream: parts.io.into_inner().into_inner(), early: parts.read_buf.to_vec() })
}

fn builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .title_case_headers(true)
        .allow_obsolete_multiline_headers_in_responses(true)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD)
        // One buffer for the whole request, which `Spelling` looks through.
        .writev(false);
    builder
}

/// Runs the HTTP connection while something waits for what comes over it.
struct Driver<S: AsyncRead + AsyncWrite + Unpin> {
    connection: http1::Connection<TokioIo<Spelling<S>>, Empty<Bytes>>,
    is_over: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    async fn run<T>(&mut self, exchange: impl Future<Output = T>) -> T {
        let mut exchange = pin!(exchange);
        poll_fn(|cx| self.poll_with(cx, exchange.as_mut())).await
    }

    fn poll_with<T>(
        &mut self,
        cx: &mut Context<'_>,
        exchange: Pin<&mut impl Future<Output = T>>,
    ) -> Poll<T> {
        // The exchange gets the errors of the connection too.
        self.is_over = self.is_over || self.connection.poll_without_shutdown(cx).is_ready();
        exchange.poll(cx)
    }
}

/// The answer of a server.
type Answer = Response<Incoming>;

/// Why there was no answer.
fn explain(error: &hyper::Error, tls: Option<&Connector>) -> String {
    // What ends the connection before the request is sent cancels the request.
    if let Some(cause) = error.source().and_then(|source| source.downcast_ref::<hyper::Error>()) {
        return explain(cause, tls);
    }
    let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    match io {
        Some(io) if hung_up(io) => left(tls),
        Some(io) => tls.and_then(|tls| tls.explain(io)).unwrap_or_else(|| io.to_string()),
        None if error.is_incomplete_message() || error.is_canceled() || error.is_closed() => {
            left(tls)
        }
        None => format!("no WebSocket server: {}", escape::plain(&error.to_string())),
    }
}

fn left(tls: Option<&Connector>) -> String {
    let hint = match tls {
        Some(_) => "",
        None => "; if it speaks TLS there, use wss:// for it",
    };
    format!("the server hung up during the handshake{hint}")
}
