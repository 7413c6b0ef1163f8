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

/// A reply with its whole body.
pub(super) type Reply = Response<Cow<'static, str>>;

/// Longest part of a client's text that a reply repeats, in bytes.
const MAX_REPEATED: usize = 200;

/// The reply as hyper sends it.
pub(super) fn body(reply: Reply) -> Response<Full<Bytes>> {
    reply.map(|body| match body {
        Cow::Borrowed(text) => Full::from(text),
        Cow::Owned(text) => Full::from(text),
    })
}

/// The reply with these headers added.
fn with<const N: usize>(mut reply: Reply, headers: [(HeaderName, &'static str); N]) -> Reply {
    for (name, value) in headers {
        reply.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    reply
}

fn reply(status: StatusCode, kind: &'static str, body: impl Into<Cow<'static, str>>) -> Reply {
    let mut reply = Response::new(body.into());
    *reply.status_mut() = status;
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONNECTION, "close"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    with(reply, headers)
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
    let headers = [
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, page.csp),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // Cross-origin isolation: the page's clock then has a resolution of 5 µs instead of 100.
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-embedder-policy"), "require-corp"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    with(reply(StatusCode::OK, "text/html; charset=utf-8", page.body), headers)
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
    upgrade_required(
        "This path speaks WebSocket: connect with ws:// in place of http://, and let each proxy pass Upgrade and Connection on.",
    )
}

/// The methods of every path.
const ALLOWED: [(HeaderName, &str); 1] = [(header::ALLOW, "GET, HEAD, OPTIONS")];

pub(super) fn wrong_method(method: &Method) -> Reply {
    let why = format!("{method} is not allowed here, GET is.\n");
    with(text(StatusCode::METHOD_NOT_ALLOWED, why), ALLOWED)
}

pub(super) fn options() -> Reply {
    let mut reply = with(text(StatusCode::NO_CONTENT, ""), ALLOWED);
    reply.headers_mut().remove(header::CONTENT_TYPE);
    reply
}

pub(super) fn bad_host() -> Reply {
    text(
        StatusCode::BAD_REQUEST,
        "A request has to have one Host header, with a host and perhaps a port up to 65535 (RFC 9112, section 3.2).\n",
    )
}

/// The reply to a target without a path, which GET and HEAD have to name.
pub(super) fn bad_target() -> Reply {
    text(
        StatusCode::BAD_REQUEST,
        "The target of a request has to be a path that begins with a slash, or a whole URL (RFC 9112, section 3.2).\n",
    )
}

fn upgrade_required(why: &str) -> Reply {
    let headers = [(header::UPGRADE, "websocket"), (header::SEC_WEBSOCKET_VERSION, "13")];
    with(text(StatusCode::UPGRADE_REQUIRED, format!("{why}\n")), headers)
}

/// The reply to another version of the protocol (RFC 6455, section 4.4).
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
    with(text(StatusCode::SERVICE_UNAVAILABLE, why), [(header::RETRY_AFTER, "1")])
}

/// The beginning of a client's text, escaped.
fn shown(text: &str) -> String {
    escape::plain(&text[..text.floor_char_boundary(MAX_REPEATED)])
}
