//! The hello, which is the first message: who the server is, and how the request for the upgrade
//! arrived.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use proto::limits::PROBE_PING_AFTER;
use proto::probe::{Arrived, Hello, VERSION};
use proto::secret;

use super::{Probes, json};
use crate::service::seconds;

/// A request for an upgrade, and what was agreed on.
#[derive(Clone, Copy, Debug)]
pub struct Opening<'a> {
    /// The head of the request, with or without bytes behind it.
    pub head: &'a [u8],
    /// The other end of the TCP connection.
    pub peer: SocketAddr,
    /// Whether the request came over TLS.
    pub is_secure: bool,
    /// The subprotocol that was agreed on.
    pub subprotocol: Option<&'a str>,
    /// The extensions that were agreed on.
    pub extensions: Option<&'a str>,
}

pub(super) fn text(opening: &Opening<'_>, probes: &Probes, connection: &str) -> String {
    let Opening { head, peer, is_secure, subprotocol, extensions } = *opening;
    let head = String::from_utf8_lossy(head);
    json(&Hello {
        hello: VERSION,
        instance: probes.instance.as_str().into(),
        started: probes.started,
        version: env!("CARGO_PKG_VERSION").into(),
        connection: connection.into(),
        request: arrived(&head),
        peer: peer.to_string().into(),
        tls: is_secure,
        subprotocol: subprotocol.map(Into::into),
        extensions: extensions.map(Into::into),
        silent_for: PROBE_PING_AFTER.as_secs_f64(),
    })
}

/// The lines of a request, without secrets. `head` is valid: it led to an upgrade.
fn arrived(head: &str) -> Arrived<'_> {
    let mut lines = head.lines().skip_while(|line| line.is_empty());
    let line = secret::shown_line(lines.next().unwrap_or_default());
    let headers = lines.map_while(|line| line.split_once(':')).map(|(name, value)| {
        let value = value.trim_matches([' ', '\t']);
        (name.into(), secret::shown(name, value))
    });
    Arrived { line, headers: headers.collect() }
}

/// The present Unix time, in seconds.
pub(super) fn now() -> f64 {
    seconds(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_shown_in_its_order_and_spelling_and_without_secrets() {
        let head = "\r\nGET /probe?key=%20&token=x HTTP/1.1\r\nhOST: a:1\r\nX-B:  b; q=\"1\" \t\r\nX-A:\r\nx-b: 2\r\ncookie: abc\r\n\r\nrest: 1\r\n";
        let Arrived { line, headers } = arrived(head);
        assert_eq!(line, "GET /probe?key=%20&token=(1-byte-secret) HTTP/1.1");
        let headers: Vec<_> = headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        let expected = [
            ("hOST", "a:1"),
            ("X-B", "b; q=\"1\""),
            ("X-A", ""),
            ("x-b", "2"),
            ("cookie", "(3-byte-secret)"),
        ];
        assert_eq!(headers, expected);
    }
}
