//! A tunnel through an HTTP proxy (CONNECT; RFC 9110, section 9.3.6).

use std::error::Error as _;
use std::io;

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::header::{
    HOST, HeaderMap, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, WWW_AUTHENTICATE,
};
use hyper::{Error, Method, Request, StatusCode, Uri};
use proto::escape;

use super::Target;
use crate::net::credentials::Credentials;
use crate::net::error::ConnectError;
use crate::net::fault::Fault;
use crate::net::http::Exchange;
use crate::net::stream::Stream;
use crate::net::tls::hung_up;
use crate::net::upgrade::{AnswerCheck, Inspected, header_text, refusal, unauthorized};

/// Asks the HTTP proxy at the other end of `stream` to connect to a server.
///
/// # Errors
/// Why the proxy did not connect, and what to do.
pub(super) async fn tunnel(
    stream: Stream,
    target: &Target,
    credentials: Option<&Credentials>,
) -> Result<Stream, ConnectError> {
    let request = request(&target.to_string(), credentials)?;
    // Checked like a TLS stream: the advice to use wss:// would be wrong for a proxy.
    let stream = Inspected::new(stream, AnswerCheck::new(false));
    let (mut exchange, answer) =
        Exchange::ask(stream, request).await.map_err(|error| unanswered(&error))?;
    if !answer.status().is_success() {
        let cause = explain(answer.status(), answer.headers(), target, credentials.is_some());
        let refusal = exchange.run(refusal(answer)).await;
        return Err(ConnectError::from(cause).of(Fault::ProxyRefused(refusal)));
    }
    let (stream, early) = exchange.into_stream();
    if !early.is_empty() {
        let cause = format!(
            "what answers at {target} speaks before it is asked, as no WebSocket server does"
        );
        return Err(cause.into());
    }
    Ok(stream.into_inner())
}

fn request(
    authority: &str,
    credentials: Option<&Credentials>,
) -> Result<Request<Empty<Bytes>>, String> {
    let unusable = |error: hyper::http::Error| format!("{authority} cannot be asked for: {error}");
    let uri = Uri::builder().authority(authority).build().map_err(unusable)?;
    let host = HeaderValue::try_from(authority).map_err(|error| unusable(error.into()))?;
    let mut request = Request::new(Empty::new());
    *request.method_mut() = Method::CONNECT;
    *request.uri_mut() = uri;
    request.headers_mut().insert(HOST, host);
    if let Some(credentials) = credentials {
        request.headers_mut().insert(PROXY_AUTHORIZATION, credentials.to_header());
    }
    Ok(request)
}

/// Why there was no answer.
fn unanswered(error: &Error) -> String {
    if let Some(cause) = error.source().and_then(|source| source.downcast_ref::<Error>()) {
        return unanswered(cause);
    }
    match error.source().and_then(|source| source.downcast_ref::<io::Error>()) {
        Some(io) if !hung_up(io) => io.to_string(),
        None if error.is_parse() => {
            format!("no HTTP proxy answers there: {}", escape::plain(&error.to_string()))
        }
        _ => "it hung up without an answer to CONNECT: is that an HTTP proxy, and without TLS (https://)?".into(),
    }
}

/// Why the proxy did not connect, and what to do.
fn explain(
    status: StatusCode,
    headers: &HeaderMap,
    target: &Target,
    has_credentials: bool,
) -> String {
    let answered = format!("it answered {status} to CONNECT {target}");
    // tinyproxy answers 401 to a wrong password.
    if [StatusCode::PROXY_AUTHENTICATION_REQUIRED, StatusCode::UNAUTHORIZED].contains(&status) {
        let challenge = header_text(headers, &PROXY_AUTHENTICATE)
            .or_else(|| header_text(headers, &WWW_AUTHENTICATE));
        let example = "http://USER:PASSWORD@PROXY:PORT";
        return unauthorized(&answered, challenge, has_credentials, example);
    }
    let cause = match status.as_u16() {
        403 | 405 => {
            "its rules do not allow that: many proxies tunnel to port 443 alone (ConnectPort of tinyproxy, SSL_ports of squid)"
        }
        500..=599 => "it could not reach the server: is its name and port right for the proxy?",
        _ => "is that a proxy for tunnels?",
    };
    format!("{answered}: {cause}")
}
