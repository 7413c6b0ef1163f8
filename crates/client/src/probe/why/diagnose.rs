//! Finds the rows of the table of causes that a failure fits.

use hyper::header::{
    ACCEPT_RANGES, HeaderMap, HeaderName, LAST_MODIFIED, LOCATION, RETRY_AFTER,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};

use super::answer::{author, intermediaries, lower};
use crate::net::fault::{Fault, Refusal, Step};
use crate::net::upgrade::is_http2;
use crate::probe::diagnosis::Intermediary;

/// The known facts about a failure.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case<'a> {
    pub(super) fault: &'a Fault,
    /// The step that failed.
    pub(super) step: Option<Step>,
    /// The answer to a request without the upgrade.
    pub(super) plain: Option<&'a Refusal>,
    /// Whether another `Origin` connects.
    pub(super) origin_helps: bool,
}

/// The diagnosis of a failure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Diagnosis {
    /// Rows of the table, the likeliest first; none if the failure is unknown.
    pub(super) rows: Vec<u8>,
    /// The intermediaries that the answer identifies.
    pub(super) intermediaries: Vec<Intermediary>,
    /// The evidence for the rows.
    pub(super) evidence: Option<String>,
}

/// Rows, and the evidence for them.
type Found = (&'static [u8], Option<&'static str>);

/// The rows that a failure fits.
pub(super) fn diagnose(case: Case<'_>) -> Diagnosis {
    let (answer, (rows, evidence)) = match case.fault {
        Fault::Refused(refusal) => (Some(refusal), refused(refusal, case)),
        Fault::ProxyRefused(refusal) => (Some(refusal), (refused_by_proxy(refusal), None)),
        Fault::BadSwitch { answer, is_about_extension } => {
            let rows: &[u8] = if *is_about_extension { &[29] } else { &[37] };
            (Some(answer), (rows, None))
        }
        Fault::HungUp if case.step == Some(Step::Tls) => (None, (&[30][..], None)),
        fault => (None, without_answer(fault)),
    };
    let intermediaries =
        answer.map(|answer| intermediaries(&answer.headers, &answer.body)).unwrap_or_default();
    let by_itself = || {
        let author = answer.and_then(|answer| author(answer))?;
        Some(format!("the answer is {author}'s own, not that of a server behind it"))
    };
    let evidence = evidence.map(str::to_owned).or_else(by_itself);
    Diagnosis { rows: rows.to_vec(), intermediaries, evidence }
}

fn without_answer(fault: &Fault) -> Found {
    let rows: &[u8] = match fault {
        Fault::NoName => &[32],
        Fault::Unreachable { is_refused: true } => &[33],
        Fault::Unreachable { is_refused: false } => &[34],
        Fault::Silent => &[35],
        Fault::HungUp => &[36],
        Fault::NotTls | Fault::Tls => &[30],
        Fault::Certificate { is_unknown: true } => &[31],
        Fault::Certificate { is_unknown: false } => &[39],
        // Some servers answer HTTP/2 with a status line.
        Fault::NotHttp(bytes) if is_http2(bytes) || bytes.starts_with(b"HTTP/2") => {
            return (&[27], Some("the answer is one of HTTP/2"));
        }
        _ => &[],
    };
    (rows, None)
}

/// The answer of a forward proxy to CONNECT.
fn refused_by_proxy(refusal: &Refusal) -> &'static [u8] {
    match refusal.status.as_u16() {
        // tinyproxy answers 401 to a wrong password.
        401 | 407 => &[21],
        403 | 405 => &[28],
        429 => &[25],
        502..=504 => &[26],
        _ => &[],
    }
}

fn refused(refusal: &Refusal, case: Case<'_>) -> Found {
    let body = lower(refusal.body.as_bytes());
    if speaks_tls(&body) {
        return (&[30], Some("the answer says that this port speaks TLS"));
    }
    match refusal.status.as_u16() {
        300..=399 if refusal.headers.contains_key(LOCATION) => (&[20], None),
        401 | 407 => (&[21], None),
        403 => forbidden(refusal, &body, case),
        404 => not_found(refusal, &body, case),
        429 => (&[25], None),
        464 => (&[27], None),
        // 520 to 524 are those of Cloudflare.
        502 | 504 | 520..=524 => (&[26], None),
        503 => unavailable(refusal, &body),
        400 if body.contains("session id unknown") => (&[24], None),
        200 | 400 | 426 | 505 => without_upgrade(refusal, &body, case),
        _ => (&[], None),
    }
}

/// Whether the answer says that the port speaks TLS, as those of nginx, Apache, and Go do.
fn speaks_tls(body: &str) -> bool {
    [
        "plain http request was sent to https port",
        "speaking plain http to an ssl-enabled server port",
        "sent an http request to an https server",
        // This project's server.
        "this port speaks tls",
    ]
    .iter()
    .any(|text| body.contains(text))
}

/// How libraries name the headers of an upgrade.
const NAMED: [&str; 7] = [
    "upgrade header",
    "upgrade hdr",
    "\"upgrade\"",
    "'upgrade'",
    "contain upgrade",
    "connection header",
    "\"connection\"",
];

/// Words of libraries about a missing header.
const FAULTS: [&str; 8] =
    ["missing", "invalid", "empty", "bad ", "no ", "not found", "does not contain", "expected"];

/// Whether a server says that it got no request for an upgrade, which means that the upgrade was lost
/// on the way.
fn misses_upgrade(body: &str) -> bool {
    [
        // This project's server.
        "connect with ws:// in place of http://",
        "upgrade: it needs http/1.1",
        "the connection header has to contain upgrade",
        // Libraries that name the kind of client that they expect.
        "cannot access a websocket server directly",
        "can \"upgrade\" only to \"websocket\"",
        "not using the websocket protocol",
    ]
    .iter()
    .any(|text| body.contains(text))
        || NAMED.iter().any(|part| body.contains(part))
            && FAULTS.iter().any(|fault| body.contains(fault))
}

/// Whether two answers are the same.
fn is_same(one: &Refusal, other: &Refusal) -> bool {
    one.status == other.status && one.body == other.body
}

const SAME: &str =
    "a request without an upgrade gets the same answer, so the upgrade seems not to arrive";
const MISSED: &str = "the server says that it was not asked for an upgrade, and it was";

/// Rows for an answer that looks like one to a request without an upgrade.
fn without_upgrade(refusal: &Refusal, body: &str, case: Case<'_>) -> Found {
    if misses_upgrade(body) {
        return (&[1], Some(MISSED));
    }
    if body.contains("<title>websocket ping/pong</title>") {
        return (&[1], Some("the answer is the page for browsers, which ask for no upgrade"));
    }
    if is_about_handshake(body) {
        return (
            &[37],
            Some("the answer is about a header of the handshake, which was sent right"),
        );
    }
    let is_same = case.plain.is_some_and(|plain| is_same(refusal, plain));
    let is_behind = !intermediaries(&refusal.headers, &refusal.body).is_empty();
    match refusal.status.as_u16() {
        426 if !offers(&refusal.headers, &UPGRADE, "websocket") => {
            (&[27], Some("the server wants an upgrade to another protocol"))
        }
        426 if !offers(&refusal.headers, &SEC_WEBSOCKET_VERSION, "13") => {
            (&[37], Some("the server wants another version of WebSocket"))
        }
        // The server, or the proxy itself, explains another error.
        400 if author(refusal).is_some() || !is_unexplained(body) || !is_behind => (&[], None),
        505 => (&[1], Some("the server does not take the HTTP version that it is asked with")),
        // A page of the proxy itself.
        200 if author(refusal).is_some() => (&[23], None),
        200 if is_same && is_file(&refusal.headers) => (&[23, 1], Some(SAME)),
        // The answer is also the same if the path has no WebSocket.
        200 if is_same && is_behind => (&[1, 23], Some(SAME)),
        200 if is_same => (&[23, 1], Some(SAME)),
        _ if is_same => (&[1], Some(SAME)),
        _ => (&[], None),
    }
}

/// Whether a server complains about another header of the handshake.
fn is_about_handshake(body: &str) -> bool {
    ["sec-websocket-key", "sec-websocket-version", "speaks version 13", "websocket version"]
        .iter()
        .any(|text| body.contains(text))
}

/// Whether a body explains nothing.
fn is_unexplained(body: &str) -> bool {
    ["", "bad request", "400 bad request", "400: bad request"].contains(&body.trim())
}

fn is_file(headers: &HeaderMap) -> bool {
    headers.contains_key(LAST_MODIFIED) || headers.contains_key(ACCEPT_RANGES)
}

/// Whether a list header of an answer contains `wanted`, or is missing.
fn offers(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> bool {
    let mut values = headers.get_all(name).iter();
    !headers.contains_key(name) || values.any(|value| lower(value.as_bytes()).contains(wanted))
}

fn not_found(refusal: &Refusal, body: &str, case: Case<'_>) -> Found {
    if misses_upgrade(body) {
        return (&[1], Some(MISSED));
    }
    // This project's server looks at the path first.
    if body.contains("the paths of this server:") || author(refusal).is_some() {
        return (&[23], None);
    }
    match case.plain {
        Some(plain) if is_same(refusal, plain) => (&[23, 1], Some(SAME)),
        Some(_) => (
            &[23],
            Some("a request without an upgrade gets another answer, so the upgrade arrives"),
        ),
        None => (&[23], None),
    }
}

fn forbidden(refusal: &Refusal, body: &str, case: Case<'_>) -> Found {
    let is_of =
        |intermediary| intermediaries(&refusal.headers, &refusal.body).contains(&intermediary);
    if case.origin_helps {
        return (&[22], Some("with another Origin it connects"));
    }
    if body.contains("origin") && !body.contains("could not be satisfied") {
        return (&[22], Some("the answer is about the origin"));
    }
    if is_of(Intermediary::Envoy) && body.is_empty() {
        return (&[1], Some("Envoy answers 403 to an upgrade that it has no upgrade_configs for"));
    }
    if is_of(Intermediary::CloudFront) && body.contains("could not be satisfied") {
        return (&[22, 27], None);
    }
    if author(refusal).is_some() { (&[38], None) } else { (&[22], None) }
}

fn unavailable(refusal: &Refusal, body: &str) -> Found {
    let is_full = ["too many", "taken", "limit", "capacity reached", "rate"]
        .iter()
        .any(|text| body.contains(text));
    match author(refusal) {
        // nginx at a limit, or ingress-nginx without a server behind it.
        Some(Intermediary::Nginx) => (&[25, 26], None),
        Some(_) => (&[26], None),
        None if is_full || refusal.headers.contains_key(RETRY_AFTER) => (&[25], None),
        None => (&[26, 25], None),
    }
}

#[cfg(test)]
mod tests;
