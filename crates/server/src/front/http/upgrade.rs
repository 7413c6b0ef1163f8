//! The server's side of the opening handshake (RFC 6455, section 4.2).

use data_encoding::BASE64;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, StatusCode, Version};
use proto::deflate::Params;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::headers::{elements, has_element, is_token};
use super::reply::{self, Reply};

/// The only version of the protocol (RFC 6455, section 4.1, item 9).
const VERSION: &str = "13";

/// The subprotocol and the extensions that client and server agreed on.
#[derive(Clone, Debug)]
pub(super) struct Agreed {
    pub(super) subprotocol: Option<String>,
    pub(super) extensions: Option<String>,
}

impl Agreed {
    /// Subprotocol and extensions in the reply that accepts an upgrade.
    pub(super) fn of(reply: &Reply) -> Self {
        let said = |name| {
            let value: Option<&HeaderValue> = reply.headers().get(name);
            value.and_then(|value| value.to_str().ok()).map(Into::into)
        };
        Self {
            subprotocol: said(header::SEC_WEBSOCKET_PROTOCOL),
            extensions: said(header::SEC_WEBSOCKET_EXTENSIONS),
        }
    }
}

/// Whether a request asks for WebSocket. Another protocol that it offers is ignored, and so is an
/// upgrade that comes with OPTIONS (RFC 9110, section 7.8).
pub(super) fn is_wanted<B>(request: &Request<B>) -> bool {
    request.method() != Method::OPTIONS
        && has_element(request.headers(), &header::UPGRADE, "websocket")
}

/// Whether a request announces content, which would be taken for frames (RFC 9112, section 6).
fn has_content(headers: &HeaderMap) -> bool {
    let length = headers.get(header::CONTENT_LENGTH);
    headers.contains_key(header::TRANSFER_ENCODING) || length.is_some_and(|length| length != "0")
}

/// The reply that accepts an upgrade, and the parameters of compression, if the client offers them
/// and `compression` is on.
///
/// # Errors
/// If the request breaks RFC 6455, section 4.2.1; the error is the reply that refuses it.
pub(super) fn accept<B>(
    request: &Request<B>,
    compression: bool,
) -> Result<(Reply, Option<Params>), Box<Reply>> {
    let headers = request.headers();
    // Item 1: a GET request, HTTP/1.1 or higher.
    if request.method() != Method::GET {
        return Err(reply::wrong_method(request.method()).into());
    }
    if request.version() < Version::HTTP_11 {
        return Err(reply::bad_upgrade("it needs HTTP/1.1").into());
    }
    if has_content(headers) {
        return Err(reply::bad_upgrade("it may have no content").into());
    }
    // Item 4: a Connection header with the token "Upgrade". Item 3, the Upgrade header, was checked
    // by `is_wanted`.
    if !has_element(headers, &header::CONNECTION, "upgrade") {
        return Err(reply::bad_upgrade("the Connection header has to contain Upgrade").into());
    }
    // Item 6: the version; section 4.4 has the reply to another one.
    match single(headers, "Sec-WebSocket-Version") {
        Ok(version) if version == VERSION => {}
        Ok(_) => return Err(reply::wrong_version().into()),
        Err(why) => return Err(reply::bad_upgrade(&why).into()),
    }
    // Item 5: the key, 16 bytes in base64.
    let key = single(headers, "Sec-WebSocket-Key").map_err(|why| reply::bad_upgrade(&why))?;
    if !BASE64.decode(key.as_bytes()).is_ok_and(|key| key.len() == 16) {
        return Err(reply::bad_upgrade("Sec-WebSocket-Key has to be 16 bytes in base64").into());
    }
    let deflate = if compression { accepted_deflate(headers) } else { None };
    Ok((switching_protocols(key, first_protocol(headers), deflate), deflate))
}

/// The reply of section 4.2.2, item 5.
fn switching_protocols(key: &str, protocol: Option<&str>, deflate: Option<Params>) -> Reply {
    let mut reply = Reply::new("".into());
    *reply.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = reply.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    let accept = derive_accept_key(key.as_bytes());
    let extension = deflate.map(|deflate| deflate.to_string());
    let fields = [
        (header::SEC_WEBSOCKET_ACCEPT, Some(&*accept)),
        (header::SEC_WEBSOCKET_EXTENSIONS, extension.as_deref()),
        (header::SEC_WEBSOCKET_PROTOCOL, protocol),
    ];
    for (name, value) in fields {
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
            headers.insert(name, value);
        }
    }
    reply
}

/// The value of a header that the request must have exactly once.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, String> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => {
            value.to_str().map(str::trim).map_err(|_| format!("{name} is not text"))
        }
        (None, _) => Err(format!("{name} is missing")),
        (Some(_), Some(_)) => Err(format!("{name} stands in it more than once")),
    }
}

/// The offer of compression that the server accepts, if there is one (RFC 7692, section 5).
fn accepted_deflate(headers: &HeaderMap) -> Option<Params> {
    let offers = headers.get_all(header::SEC_WEBSOCKET_EXTENSIONS).into_iter();
    Params::accepted(offers.filter_map(|offer| offer.to_str().ok()))
}

/// The subprotocol that the client prefers. The services do not care, but a browser that offers
/// subprotocols and gets none hangs up.
fn first_protocol(headers: &HeaderMap) -> Option<&str> {
    elements(headers, &header::SEC_WEBSOCKET_PROTOCOL).next().filter(|first| is_token(first))
}
