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
mod transcript;

use std::error::Error as _;
use std::{io, mem};

use hyper::StatusCode;
use hyper::header::{
    CONNECTION, HeaderMap, HeaderName, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use proto::deflate::Params;
use proto::escape;
use tokio::io::{AsyncRead, AsyncWrite};

use super::deflate::Deflate;
use super::error::ConnectError;
use super::fault::{Fault, Refusal};
use super::http::Exchange;
use super::stream::Stream;
use super::tls::{Connector, hung_up};
use super::url::ServerUrl;
use answer::SPEAKS_TLS;
pub(crate) use request::HttpRequest;
use request::Request;
pub use request::RequestOptions;
use spelling::Spelling;
use switch::Answer;
pub(crate) use transcript::Transcript;
use transcript::{Noted, Notes};

pub(super) use answer::AnswerCheck;
pub(crate) use answer::is_http2;
pub(crate) use refusal::shortened;
pub(super) use refusal::{refusal, shown};

/// The headers that make a request one for an upgrade.
pub(super) const OWN_HEADERS: [HeaderName; 6] = [
    CONNECTION,
    SEC_WEBSOCKET_EXTENSIONS,
    SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION,
    UPGRADE,
];

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
    /// Request and answer as they went over the wire.
    pub(crate) transcript: Transcript,
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
    let notes = Notes::default();
    let stream = AnswerCheck::new(Noted::new(stream, notes.clone()), tls.is_none());
    let failed =
        |error| ConnectError::from(explain(&error, tls)).of(fault(&error, notes.take().received));
    let (mut exchange, mut answer) =
        Exchange::ask(Spelling::new(stream), request.to_http()).await.map_err(failed)?;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(exchange.run(refusal::explain(answer, request.has_credentials())).await);
    }
    let checked = switch::check(&request, answer.version(), answer.headers());
    let Answer { subprotocol, deflate } = match checked {
        Ok(checked) => checked,
        Err(fault) => {
            let cause = format!("no valid WebSocket handshake: {fault}");
            let refusal = Refusal {
                version: answer.version(),
                status: answer.status(),
                headers: mem::take(answer.headers_mut()),
                body: String::new(),
            };
            let is_about_extension = fault.is_about_extension();
            let fault = Fault::BadSwitch { answer: refusal.into(), is_about_extension };
            return Err(ConnectError::from(cause).of(fault));
        }
    };
    let (stream, early) = exchange.into_stream();
    let headers = mem::take(answer.headers_mut());
    let agreed = Agreed { subprotocol, deflate, headers, transcript: notes.take() };
    let stream = stream.into_inner().into_inner().into_inner();
    Ok((Upgraded { stream, early }, agreed))
}

/// The innermost error of hyper: what ends the connection before the request is sent cancels the
/// request.
fn innermost(error: &hyper::Error) -> &hyper::Error {
    match error.source().and_then(|source| source.downcast_ref::<hyper::Error>()) {
        Some(cause) => innermost(cause),
        None => error,
    }
}

/// What kind of error it is; `received` is what the server said.
fn fault(error: &hyper::Error, received: Vec<u8>) -> Fault {
    let error = innermost(error);
    let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    match io {
        Some(io) if io.get_ref().is_some_and(|error| error.to_string() == SPEAKS_TLS) => Fault::Tls,
        // Who says something else than HTTP mostly hangs up as well.
        _ if !received.is_empty() => Fault::NotHttp(received),
        Some(io) if !hung_up(io) => Fault::Other,
        Some(_) => Fault::HungUp,
        None if has_hung_up(error) => Fault::HungUp,
        None => Fault::NotHttp(received),
    }
}

fn has_hung_up(error: &hyper::Error) -> bool {
    error.is_incomplete_message() || error.is_canceled() || error.is_closed()
}

/// Why there was no answer.
fn explain(error: &hyper::Error, tls: Option<&Connector>) -> String {
    let error = innermost(error);
    let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    match io {
        Some(io) if hung_up(io) => left(tls),
        Some(io) => tls.and_then(|tls| tls.explain(io)).unwrap_or_else(|| io.to_string()),
        None if has_hung_up(error) => left(tls),
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
