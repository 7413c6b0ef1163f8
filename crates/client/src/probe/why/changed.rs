//! Changes that intermediaries made in request and answer.

use std::borrow::Cow;

use proto::{probe, secret};
use serde::Serialize;

use crate::net::upgrade::shortened;

/// The head of a request or an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    /// The first line.
    pub(super) line: String,
    /// Names and values, in order and spelling.
    pub(super) headers: Vec<(String, String)>,
}

/// A header, or the first line, that did not arrive as it was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Change {
    /// `request` or `answer`.
    pub(super) r#in: &'static str,
    /// The name as sent, or as it arrived if the header was added; empty for the first line.
    pub(super) header: String,
    /// The value that was sent; `None` if the header was added.
    pub(super) sent: Option<String>,
    /// The value that arrived; `None` if the header was dropped.
    pub(super) arrived: Option<String>,
    /// The name that arrived, if it has changed or has another spelling.
    pub(super) arrived_as: Option<String>,
}

/// Headers that the answer of a server at `/probe` has by itself.
const OWN_HEADERS: [&str; 6] = [
    "upgrade",
    "connection",
    "sec-websocket-accept",
    "sec-websocket-protocol",
    "sec-websocket-extensions",
    "date",
];

impl Head {
    /// Parses a head. Secrets are replaced by their lengths, as at `/probe`.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let head = text.split("\r\n\r\n").next().unwrap_or_default();
        let mut lines = head.split("\r\n");
        let line = secret::shown_line(lines.next().unwrap_or_default()).into_owned();
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            let value = secret::shown(name, value.trim_matches([' ', '\t']));
            Some((name.to_owned(), value.into_owned()))
        };
        Self { line, headers: lines.filter_map(header).collect() }
    }

    /// The request as a server at `/probe` reports it.
    pub(super) fn arrived(request: &probe::Arrived<'_>) -> Self {
        let header = |(name, value): &(Cow<'_, str>, Cow<'_, str>)| {
            (name.to_string(), value.trim_matches([' ', '\t']).to_owned())
        };
        Self {
            line: request.line.to_string(),
            headers: request.headers.iter().map(header).collect(),
        }
    }

    /// The value of a header.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
    }
}

/// The head of the final answer, behind interim answers (RFC 9110, section 15.2).
pub(super) fn final_head(received: &[u8]) -> Head {
    let mut rest = received;
    loop {
        let head = Head::of(rest);
        let is_interim = [" 100", " 102", " 103"].iter().any(|code| head.line.contains(code));
        match rest.windows(4).position(|window| window == b"\r\n\r\n") {
            Some(end) if is_interim => rest = &rest[end + 4..],
            _ => return head,
        }
    }
}

/// The changes in a request.
pub(super) fn in_request(sent: &Head, arrived: &Head) -> Vec<Change> {
    let mut changes = Vec::new();
    if sent.line != arrived.line {
        changes.push(change("", Some(&sent.line), Some(&arrived.line), None));
    }
    let mut left: Vec<&(String, String)> = arrived.headers.iter().collect();
    let mut dropped = Vec::new();
    for header in &sent.headers {
        let (name, value) = header;
        let named: Vec<_> = positions(&left, |other| other.0.eq_ignore_ascii_case(name));
        let same = named.iter().copied().find(|&at| left[at].1 == *value);
        match same.or(named.first().copied()) {
            Some(at) => {
                let other = left.remove(at);
                // The values of these headers are case-insensitive.
                let is_token = ["connection", "upgrade"].iter().any(|own| bare(name) == *own);
                let is_same = other.1 == *value || is_token && other.1.eq_ignore_ascii_case(value);
                if other.0 != *name || !is_same {
                    changes.push(change(name, Some(value), Some(&other.1), Some(&other.0)));
                }
            }
            None => dropped.push(header),
        }
    }
    for (name, value) in dropped {
        let is_renamed =
            |other: &(String, String)| bare(&other.0) == bare(name) && other.1 == *value;
        match positions(&left, is_renamed).first() {
            Some(&at) => {
                let other = left.remove(at);
                changes.push(change(name, Some(value), Some(&other.1), Some(&other.0)));
            }
            None => changes.push(change(name, Some(value), None, None)),
        }
    }
    changes.extend(left.iter().map(|(name, value)| change(name, None, Some(value), None)));
    changes
}

/// The headers that were added to the answer of a server at `/probe`.
pub(super) fn in_answer(head: &Head) -> Vec<Change> {
    let is_added = |(name, _): &&(String, String)| {
        !OWN_HEADERS.iter().any(|own| name.eq_ignore_ascii_case(own))
    };
    let added = head.headers.iter().filter(is_added);
    let added = added.map(|(name, value)| change(name, None, Some(value), None));
    added.map(|change| Change { r#in: "answer", ..change }).collect()
}

fn positions(
    headers: &[&(String, String)],
    is_wanted: impl Fn(&(String, String)) -> bool,
) -> Vec<usize> {
    (0..headers.len()).filter(|&at| is_wanted(headers[at])).collect()
}

/// A name without the differences that proxies make: case, and `_` for `-`.
fn bare(name: &str) -> String {
    name.to_ascii_lowercase().replace('_', "-")
}

fn change(
    name: &str,
    sent: Option<&String>,
    arrived: Option<&String>,
    arrived_as: Option<&String>,
) -> Change {
    Change {
        r#in: "request",
        header: shortened(name),
        sent: sent.map(|value| shortened(value)),
        arrived: arrived.map(|value| shortened(value)),
        arrived_as: arrived_as.filter(|other| *other != name).map(|name| shortened(name)),
    }
}

impl Change {
    /// Whether only the case of the name changed.
    fn is_spelling(&self) -> bool {
        self.sent == self.arrived
            && self.arrived_as.as_ref().is_some_and(|name| name.eq_ignore_ascii_case(&self.header))
    }

    fn line(&self) -> String {
        let Self { r#in, header, sent, arrived, arrived_as } = self;
        let name = if header.is_empty() { "the first line" } else { header };
        match (sent, arrived) {
            (Some(sent), Some(arrived)) if sent == arrived => {
                let other = arrived_as.as_deref().unwrap_or(name);
                format!("{in} {name} arrives as {other}")
            }
            (Some(sent), Some(arrived)) => format!("{in} {name}: {sent} arrives as {arrived}"),
            (Some(sent), None) if name.contains('_') => format!(
                "{in} {name}: {sent} is dropped (nginx drops names with _ unless underscores_in_headers is on)"
            ),
            (Some(sent), None) => format!("{in} {name}: {sent} is dropped"),
            (None, arrived) => {
                format!("{in} {name}: {} is added", arrived.as_deref().unwrap_or_default())
            }
        }
    }
}

/// The changes as lines; all names with another spelling share one line.
pub(super) fn lines(changes: &[Change]) -> Vec<String> {
    let (spelled, others): (Vec<_>, Vec<_>) = changes.iter().partition(|one| one.is_spelling());
    let mut lines: Vec<_> = others.iter().map(|change| change.line()).collect();
    match spelled.as_slice() {
        [] => {}
        [only] => lines.push(only.line()),
        [first, ..] => lines.push(format!(
            "request {} names are spelled in another way, such as {} as {}",
            spelled.len(),
            first.header,
            first.arrived_as.as_deref().unwrap_or_default()
        )),
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn changes(sent: &str, arrived: &str) -> Vec<String> {
        lines(&in_request(&Head::of(sent.as_bytes()), &Head::of(arrived.as_bytes())))
    }

    const SENT: &str = "GET /probe HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nX_Id: 7\r\nX-A: 1\r\nX-A: 2\r\nAuthorization: Basic dTpw\r\n\r\n";

    #[test]
    fn identical_headers_are_no_change() {
        assert_eq!(changes(SENT, SENT), [""; 0]);
        let in_other_order = "GET /probe HTTP/1.1\r\nX-A:2\r\nX-A:  1\r\nX_Id: 7\r\nUpgrade: websocket\r\nAuthorization: Basic dTpw\r\nHost: a";
        assert_eq!(changes(SENT, in_other_order), [""; 0]);
        assert_eq!(changes(SENT, &SENT.replace("websocket", "WebSocket")), [""; 0]);
    }

    #[test]
    fn each_kind_of_change_is_told() {
        for (from, to, told) in [
            ("Host: a", "Host: backends", "request Host: a arrives as backends"),
            (
                "X_Id: 7\r\n",
                "",
                "request X_Id: 7 is dropped (nginx drops names with _ unless underscores_in_headers is on)",
            ),
            (
                "Authorization: Basic dTpw\r\n",
                "",
                "request Authorization: (10-byte-secret) is dropped",
            ),
            ("X_Id: 7", "X-Id: 7", "request X_Id arrives as X-Id"),
            ("Host: a", "host: a", "request Host arrives as host"),
            ("Host: a", "host: b", "request Host: a arrives as b"),
            ("X-A: 2", "X-A: 3", "request X-A: 2 arrives as 3"),
            (
                "Host: a",
                "Host: a\r\nX-Forwarded-For: 10.0.0.1",
                "request X-Forwarded-For: 10.0.0.1 is added",
            ),
            (
                "GET /probe HTTP/1.1",
                "GET /x/probe HTTP/1.0",
                "request the first line: GET /probe HTTP/1.1 arrives as GET /x/probe HTTP/1.0",
            ),
            (
                "Basic dTpw",
                "Basic dTpwdTpw",
                "request Authorization: (10-byte-secret) arrives as (14-byte-secret)",
            ),
        ] {
            assert_eq!(changes(SENT, &SENT.replace(from, to)), [told], "{to}");
        }
    }

    #[test]
    fn many_names_in_another_spelling_are_one_line() {
        let (line, headers) = SENT.split_once("\r\n").unwrap();
        let lowered: Vec<_> = headers
            .split("\r\n")
            .map(|header| match header.split_once(':') {
                Some((name, value)) => format!("{}:{value}", name.to_lowercase()),
                None => String::new(),
            })
            .collect();
        let arrived = format!("{line}\r\n{}", lowered.join("\r\n"));
        assert_eq!(
            changes(SENT, &arrived),
            ["request 6 names are spelled in another way, such as Host as host"]
        );
    }

    #[test]
    fn other_headers_of_the_answer_were_added() {
        let received = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 101 Switching Protocols\r\nServer: nginx\r\nconnection: upgrade\r\nDate: now\r\n\r\n\x81";
        let head = final_head(received);
        assert_eq!(head.line, "HTTP/1.1 101 Switching Protocols");
        assert_eq!(lines(&in_answer(&head)), ["answer Server: nginx is added"]);
    }

    proptest! {
        #[test]
        fn no_head_panics(sent in any::<Vec<u8>>(), arrived in "[ :\r\na-cA-C_-]{0,60}") {
            let _ = final_head(&sent);
            let _ = lines(&in_request(&Head::of(&sent), &Head::of(arrived.as_bytes())));
        }
    }
}
