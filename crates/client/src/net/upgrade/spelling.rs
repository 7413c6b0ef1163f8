//! Header names as RFC 6455 spells them.
//!
//! Header names have no case (RFC 9110, section 5.1), but some hand-written servers search the
//! request for the exact bytes `Sec-WebSocket-Key`. hyper writes `Sec-Websocket-Key`.

use std::borrow::Cow;

const HYPER: &[u8] = b"Sec-Websocket-";
const RFC_6455: &[u8] = b"Sec-WebSocket-";

/// The request with each name `Sec-WebSocket-*` as RFC 6455 spells it. The length stays the same.
pub(super) fn respelled(request: &[u8]) -> Cow<'_, [u8]> {
    let mut respelled = Cow::Borrowed(request);
    let mut from = 0;
    while let Some(at) = request[from..].windows(HYPER.len()).position(|name| name == HYPER) {
        let end = from + at + HYPER.len();
        respelled.to_mut()[from + at..end].copy_from_slice(RFC_6455);
        from = end;
    }
    respelled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_names_of_rfc_6455_change() {
        let hyper =
            b"GET / HTTP/1.1\r\nHost: x\r\nSec-Websocket-Key: k\r\nSec-Websocket-Version: 13\r\n";
        let rfc_6455 =
            b"GET / HTTP/1.1\r\nHost: x\r\nSec-WebSocket-Key: k\r\nSec-WebSocket-Version: 13\r\n";
        assert_eq!(respelled(hyper), &rfc_6455[..]);
        assert_eq!(respelled(rfc_6455), &rfc_6455[..]);
        assert_eq!(respelled(b""), &b""[..]);
    }
}
