//! The server's side of the opening handshake (RFC 6455, section 4.2).

use data_encoding::BASE64;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, StatusCode, Version};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::headers::{elements, has_element, is_token};
use super::reply::{self, Reply};

/// The only version of the protocol (RFC 6455, section 4.1, item 9).
const VERSION: &str = "13";

/// What client and server agreed on in the opening handshake.
#[derive(Clone, Debug)]
pub(super) struct Agreed {
    pub(super) subprotocol: Option<String>,
    pub(super) extensions: Option<String>,
}

impl Agreed {
    /// What the reply that accepts an upgrade says.
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

/// The reply that accepts an upgrade.
///
/// # Errors
/// The reply that refuses one that breaks RFC 6455, section 4.2.1.
pub(super) fn accept<B>(request: &Request<B>) -> Result<Reply, Box<Reply>> {
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
    // Item 4: a Connection header with the token "Upgrade". Item 3, the Upgrade header, is what
    // makes the request an upgrade in the first place.
    if !has_element(headers, &header::CONNECTION, "upgrade") {
        return Err(reply::bad_upgrade("the Connection header has to contain Upgrade").into());
    }
    // Item 6: the version; section 4.4 has the reply to another one.
    match single(headers, &header::SEC_WEBSOCKET_VERSION) {
        Ok(version) if version == VERSION => {}
        Ok(_) => return Err(reply::wrong_version().into()),
        Err(why) => return Err(reply::bad_upgrade(&why).into()),
    }
    // Item 5: the key, 16 bytes in base64.
    let key =
        single(headers, &header::SEC_WEBSOCKET_KEY).map_err(|why| reply::bad_upgrade(&why))?;
    if BASE64.decode(key.as_bytes()).is_ok_and(|key| key.len() == 16) {
        Ok(switching_protocols(key, first_protocol(headers)))
    } else {
        Err(reply::bad_upgrade("Sec-WebSocket-Key has to be 16 bytes in base64").into())
    }
}

/// The reply of section 4.2.2, item 5.
fn switching_protocols(key: &str, protocol: Option<&str>) -> Reply {
    let mut reply = Reply::new("".into());
    *reply.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = reply.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    let accept = derive_accept_key(key.as_bytes());
    let fields = [
        (header::SEC_WEBSOCKET_ACCEPT, Some(&*accept)),
        (header::SEC_WEBSOCKET_PROTOCOL, protocol),
    ];
    for (name, value) in fields {
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
            headers.insert(name, value);
        }
    }
    reply
}

/// The value of a header that has to stand in the request once.
fn single<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Result<&'a str, String> {
    let mut values = headers.get_all(name).iter();
    let title = title(name);
    match (values.next(), values.next()) {
        (Some(value), None) => {
            value.to_str().map(str::trim).map_err(|_| format!("{title} is not text"))
        }
        (None, _) => Err(format!("{title} is missing")),
        (Some(_), Some(_)) => Err(format!("{title} stands in it more than once")),
    }
}

/// The name of a header as people write it.
fn title(name: &header::HeaderName) -> &'static str {
    if name == header::SEC_WEBSOCKET_KEY { "Sec-WebSocket-Key" } else { "Sec-WebSocket-Version" }
}

/// The subprotocol that the client prefers: a browser that offers one and gets none hangs up.
fn first_protocol(headers: &HeaderMap) -> Option<&str> {
    elements(headers, &header::SEC_WEBSOCKET_PROTOCOL).next().filter(|first| is_token(first))
}
