//! The opening handshake of RFC 6455, section 4, over HTTP/1.1.
//!
//! hyper sends the request and reads the answer: it skips interim answers (100, 103), joins folded
//! lines and takes an answer in any number of pieces. `request` is what is asked for,
//! `switch` checks what a server that agrees has to say, and `refusal` puts any other answer
//! into words.

mod answer;
mod refusal;
mod request;
mod spelling;
mod switch;

use std::error::Error as _;
use std::{io, mem};

use hyper::{HeaderMap, StatusCode};
use proto::deflate::Params;
use proto::escape;
use tokio::io::{AsyncRead, AsyncWrite};

use super::deflate::Deflate;
use super::error::ConnectError;
use super::http::Exchange;
use super::stream::Stream;
use super::tls::{Connector, hung_up};
use super::url::ServerUrl;
pub(crate) use request::HttpRequest;
use request::Request;
pub use request::RequestOptions;
use spelling::Spelling;
use switch::Answer;

pub(super) use answer::AnswerCheck;
pub(super) use refusal::{shortened, shown};

/// A stream after the upgrade.
#[derive(Debug)]
pub(crate) struct Upgraded<S> {
    pub(crate) stream: S,
    /// Bytes that came right behind the answer: the beginning of the server's first frames.
    pub(crate) early: Vec<u8>,
}

impl Upgraded<Stream> {
    /// The stream over which messages are compressed, if that was agreed on.
    pub(super) fn compressed(self, agreed: Option<Params>) -> Self {
        let Some(params) = agreed else { return self };
        let stream = Deflate::new(self.stream, self.early, params);
        Self { stream: Stream::Deflate(Box::new(stream)), early: Vec::new() }
    }
}

/// What a server agreed to.
#[derive(Debug)]
pub(crate) struct Agreed {
    /// The subprotocol that the server chose.
    pub(crate) subprotocol: Option<String>,
    /// How messages are compressed, if they are.
    pub(crate) deflate: Option<Params>,
    /// The headers of the answer.
    pub(crate) headers: HeaderMap,
}

/// The request for an upgrade at this URL, with a key of its own, to be written by hand.
///
/// # Errors
/// When the URL cannot be put into a request, which its parser rules out.
pub(crate) fn request(
    url: &ServerUrl,
    options: &RequestOptions,
) -> Result<HttpRequest, ConnectError> {
    Ok(Request::new(url, options)?.to_http())
}

/// Asks the server at the other end of `stream` for the upgrade to WebSocket.
///
/// # Errors
/// Why the server did not agree, or did in a way that RFC 6455 forbids.
pub(crate) async fn upgrade<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    url: &ServerUrl,
    options: &RequestOptions,
    tls: Option<&Connector>,
) -> Result<(Upgraded<S>, Agreed), ConnectError> {
    let request = Request::new(url, options)?;
    let stream = Spelling::new(AnswerCheck::new(stream, tls.is_none()));
    let failed = |error| ConnectError::from(explain(&error, tls));
    let (mut exchange, mut answer) =
        Exchange::ask(stream, request.to_http()).await.map_err(failed)?;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(exchange.run(refusal::explain(answer, request.has_credentials())).await);
    }
    let Answer { subprotocol, deflate } =
        switch::check(&request, answer.version(), answer.headers()).map_err(|fault| {
            ConnectError::from(format!("no valid WebSocket handshake: {fault}"))
        })?;
    let (stream, early) = exchange.into_stream();
    let agreed = Agreed { subprotocol, deflate, headers: mem::take(answer.headers_mut()) };
    Ok((Upgraded { stream: stream.into_inner().into_inner(), early }, agreed))
}

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
