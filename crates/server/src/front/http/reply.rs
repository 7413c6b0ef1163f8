//! The replies to requests that do not become a WebSocket.

use std::borrow::Cow;
use std::net::IpAddr;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Method, Response, StatusCode};
use proto::{escape, path};

use super::origin::Origins;
use crate::front::page;
use crate::observe::CONTENT_TYPE;
use crate::service::Service;

/// A reply in full.
pub(super) type Reply = Response<Cow<'static, str>>;

/// How much of the client's own text is repeated in a reply, in bytes.
const REPEATED: usize = 200;

/// The reply as hyper sends it.
pub(super) fn body(reply: Reply) -> Response<Full<Bytes>> {
    reply.map(|body| match body {
        Cow::Borrowed(text) => Full::from(text),
        Cow::Owned(text) => Full::from(text),
    })
}

fn reply(status: StatusCode, kind: &'static str, body: impl Into<Cow<'static, str>>) -> Reply {
    let mut reply = Response::new(body.into());
    *reply.status_mut() = status;
    for (name, value) in [
        (header::CONTENT_TYPE, kind),
        (header::CONNECTION, "close"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        reply.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    reply
}

pub(super) fn text(status: StatusCode, body: impl Into<Cow<'static, str>>) -> Reply {
    reply(status, "text/plain; charset=utf-8", body)
}

pub(super) fn metrics(text: String) -> Reply {
    reply(StatusCode::OK, CONTENT_TYPE, text)
}

pub(super) fn json(text: String) -> Reply {
    reply(StatusCode::OK, "application/json", text)
}

/// The page for browsers, which may neither be framed nor ask for anything from elsewhere.
pub(super) fn page() -> Reply {
    let page = page::page();
    let mut reply = reply(StatusCode::OK, "text/html; charset=utf-8", page.body);
    for (name, value) in [
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, page.csp),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // A page that is cross-origin isolated has a clock of 5 µs instead of 100.
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-embedder-policy"), "require-corp"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        reply.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    reply
}

pub(super) fn not_found(path: &str, services: impl Iterator<Item = Service>) -> Reply {
    let path = shown(path);
    let mut body = format!("There is no {path} here. The paths of this server:\n");
    for service in services {
        let (path, about) = (service.path(), service.about());
        body.push_str(&format!("  {path:<10} WebSocket: {about}\n"));
    }
    for (path, about) in [
        (path::PING, "in a browser: a page to try all of this"),
        (path::HEALTH, "whether the server can do its work"),
        (path::METRICS, "what it counts, for Prometheus"),
    ] {
        body.push_str(&format!("  {path:<10} {about}\n"));
    }
    text(StatusCode::NOT_FOUND, body)
}

pub(super) fn not_an_upgrade() -> Reply {
    upgrade_required("This path speaks WebSocket: connect with ws:// in place of http://.")
}

/// The methods of every path.
const ALLOWED: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");

pub(super) fn wrong_method(method: &Method) -> Reply {
    let mut reply =
        text(StatusCode::METHOD_NOT_ALLOWED, format!("{method} is not allowed here, GET is.\n"));
    reply.headers_mut().insert(header::ALLOW, ALLOWED);
    reply
}

pub(super) fn options() -> Reply {
    let mut reply = text(StatusCode::NO_CONTENT, "");
    reply.headers_mut().remove(header::CONTENT_TYPE);
    reply.headers_mut().insert(header::ALLOW, ALLOWED);
    reply
}

pub(super) fn bad_host() -> Reply {
    text(
        StatusCode::BAD_REQUEST,
        "A request has to have one Host header, with a host and its port (RFC 9112, section 3.2).\n",
    )
}

fn upgrade_required(why: &str) -> Reply {
    let mut reply = text(StatusCode::UPGRADE_REQUIRED, format!("{why}\n"));
    reply.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    reply.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    reply
}

/// RFC 6455, section 4.4: a version that is not spoken is answered with the one that is.
pub(super) fn wrong_version() -> Reply {
    upgrade_required("This server speaks version 13 of WebSocket (RFC 6455).")
}

pub(super) fn bad_upgrade(why: &str) -> Reply {
    text(StatusCode::BAD_REQUEST, format!("This is no valid WebSocket upgrade: {why}.\n"))
}

pub(super) fn wrong_origin(origin: &HeaderValue, allowed: &Origins) -> Reply {
    let origin = shown(&String::from_utf8_lossy(origin.as_bytes()));
    let why = format!("Pages of {origin} may not connect here; ALLOWED_ORIGINS is {allowed}.\n");
    text(StatusCode::FORBIDDEN, why)
}

pub(super) fn too_many(max: usize) -> Reply {
    busy(format!(
        "All {max} connections of this server (MAX_CONNECTIONS) are taken; try again later.\n"
    ))
}

pub(super) fn too_many_of_address(address: IpAddr, max: usize) -> Reply {
    busy(format!(
        "All {max} connections for one address (MAX_PER_ADDRESS) are taken by {address}; close one, or try again later.\n"
    ))
}

fn busy(why: String) -> Reply {
    let mut reply = text(StatusCode::SERVICE_UNAVAILABLE, why);
    reply.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    reply
}

/// The beginning of a client's text, escaped.
fn shown(text: &str) -> String {
    escape::plain(&text[..text.floor_char_boundary(REPEATED)])
}
