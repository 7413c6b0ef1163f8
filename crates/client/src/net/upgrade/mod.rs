//! The opening handshake of RFC 6455, section 4, over HTTP/1.1.
//!
//! hyper sends the request and reads the answer: it skips interim answers (100, 103), joins folded
//! lines and takes an answer in any number of pieces. `request` makes the request, `switch` checks
//! an answer of status 101, and `refusal` explains any other answer. On their way, `inspect` lets
//! `spelling` correct the header names of the request, `answer` check the first bytes of the
//! answer, and `transcript` record both.

mod answer;
mod inspect;
mod refusal;
mod request;
mod spelling;
mod switch;
mod transcript;

use std::borrow::Cow;
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
use spelling::respelled;
use switch::Agreement;
use transcript::Recorder;
pub(crate) use transcript::Transcript;

pub(super) use answer::AnswerCheck;
pub(crate) use answer::is_http2;
use inspect::Inspect;
pub(super) use inspect::Inspected;
pub(crate) use refusal::shortened;
pub(super) use refusal::{header_text, refusal, unauthorized};

/// The headers that ask for the upgrade.
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
    /// Bytes received together with the answer: the beginning of the server's first frames.
    pub(crate) early: Vec<u8>,
}

impl Upgraded<Stream> {
    /// The stream with messages compressed, if the server agreed to compression.
    pub(super) fn compressed(self, agreed: Option<Params>) -> Self {
        let Some(params) = agreed else { return self };
        let stream = Deflate::new(self.stream, self.early, params);
        Self { stream: Stream::Deflate(Box::new(stream)), early: Vec::new() }
    }
}

/// The result of a successful handshake.
#[derive(Debug)]
pub(crate) struct Agreed {
    /// The subprotocol that the server chose.
    pub(crate) subprotocol: Option<String>,
    /// The parameters of compression, if the server agreed to compression.
    pub(crate) deflate: Option<Params>,
    /// The headers of the answer.
    pub(crate) headers: HeaderMap,
    /// Request and answer as they went over the wire.
    pub(crate) transcript: Transcript,
}

/// The upgrade request for this URL, with a new key.
///
/// # Errors
/// When the URL cannot be put into a request, which its parser rules out.
pub(crate) fn request(
    url: &ServerUrl,
    options: &RequestOptions,
) -> Result<HttpRequest, ConnectError> {
    Request::new(url, options).map(|request| request.to_http())
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
    let recorder = Recorder::default();
    let inspector =
        Handshake { recorder: recorder.clone(), answer: AnswerCheck::new(tls.is_none()) };
    let (mut exchange, mut answer) =
        Exchange::ask(Inspected::new(stream, inspector), request.to_http())
            .await
            .map_err(|error| no_answer(&error, tls, recorder.take().received))?;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(exchange.run(refusal::explain(answer, url, request.has_credentials())).await);
    }
    let checked = switch::check(&request, answer.version(), answer.headers());
    let Agreement { subprotocol, deflate } = match checked {
        Ok(agreement) => agreement,
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
    let agreed = Agreed { subprotocol, deflate, headers, transcript: recorder.take() };
    Ok((Upgraded { stream: stream.into_inner(), early }, agreed))
}

/// Why there was no answer; `received` is what the server sent.
fn no_answer(error: &hyper::Error, tls: Option<&Connector>, received: Vec<u8>) -> ConnectError {
    let error = innermost(error);
    let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    let hung_up = match io {
        Some(io) => hung_up(io),
        None => error.is_incomplete_message() || error.is_canceled() || error.is_closed(),
    };
    let hint = if tls.is_none() { "; if it speaks TLS there, use wss:// for it" } else { "" };
    let cause = match io {
        _ if hung_up => format!("the server hung up during the handshake{hint}"),
        Some(io) => tls.and_then(|tls| tls.explain(io)).unwrap_or_else(|| io.to_string()),
        None => format!("no WebSocket server: {}", escape::plain(&error.to_string())),
    };
    let speaks_tls = |io: &io::Error| io.get_ref().is_some_and(|e| e.to_string() == SPEAKS_TLS);
    ConnectError::from(cause).of(match io {
        Some(io) if speaks_tls(io) => Fault::Tls,
        // A server of another protocol often hangs up after its answer.
        _ if !received.is_empty() => Fault::NotHttp(received),
        _ if hung_up => Fault::HungUp,
        Some(_) => Fault::Other,
        None => Fault::NotHttp(received),
    })
}

/// The innermost hyper error: a connection that ends before the request is sent cancels the
/// request, and hyper wraps the cause.
fn innermost(error: &hyper::Error) -> &hyper::Error {
    match error.source().and_then(|source| source.downcast_ref::<hyper::Error>()) {
        Some(cause) => innermost(cause),
        None => error,
    }
}

/// Inspects a handshake: records the bytes, checks the first ones of the answer, and spells the
/// header names of the request.
struct Handshake {
    recorder: Recorder,
    answer: AnswerCheck,
}

impl Inspect for Handshake {
    fn outgoing<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        respelled(bytes)
    }

    fn sent(&mut self, bytes: &[u8]) {
        self.recorder.sent(bytes);
    }

    fn received(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.recorder.received(bytes)?;
        self.answer.received(bytes)
    }
}
