//! The checks: what each sends, and what RFC 6455 has to say about the answer.

use super::Outcome::{self, Failed, Passed, Warned};
use super::request::Change;

/// A rule of RFC 6455 and how it is checked.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) id: &'static str,
    /// Section of RFC 6455.
    pub(super) section: &'static str,
    /// The rule, for a person.
    pub(super) rule: &'static str,
    pub(super) trial: Trial,
    /// Whether what is sent keeps the RFC.
    pub(super) is_well_formed: bool,
}

/// What is sent, and what has to come of it.
#[derive(Debug)]
pub(super) enum Trial {
    /// The usual request, and a part of the answer.
    Answer(Part),
    /// A request with a change.
    Request(Change, Due),
    /// Frames after the upgrade.
    Frames(Sent, Wanted),
}

/// A part of the answer to a request for the upgrade (RFC 6455, section 4.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Status,
    Accept,
    Upgrade,
    Connection,
    Subprotocol,
    Extensions,
}

/// The answer that a request is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// The upgrade.
    Upgrade,
    /// An error (RFC 6455, section 4.2.1).
    Refusal,
    /// No upgrade: the request is an ordinary one of HTTP (RFC 9110, section 7.8).
    NoUpgrade,
    /// An error that names the versions of the server (RFC 6455, section 4.4).
    Versions,
}

/// Frames to send.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sent {
    /// Masked frames of less than 65,536 bytes: their first byte and their payload.
    Masked(&'static [(u8, &'static [u8])]),
    /// The same, each byte written alone.
    Pieces(u8, &'static [u8]),
    /// Bytes as they stand here.
    Raw(&'static [u8]),
    /// A text of so many letters.
    Text(usize),
}

/// What has to come of frames.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wanted {
    /// A Pong with this payload.
    Pong(&'static [u8]),
    /// The same, in a frame that is not masked.
    Unmasked(&'static [u8]),
    /// The connection goes on.
    Held,
    /// This text is taken whole; before its last fragment a Ping with this payload is answered.
    Taken(&'static str, Option<&'static [u8]>),
    /// A Close frame, with this code unless that is `None`.
    Closed(Option<u16>),
    /// A closing handshake, and then the end of TCP.
    End,
    /// The connection fails (RFC 6455, section 7.1.7).
    Failed(Failure),
    /// The same, and TCP ends.
    FailedEnd,
    /// A message that is announced and not sent is refused with 1009.
    Limit,
}

/// How a connection has to fail.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failure {
    /// The codes that say why.
    pub(super) codes: &'static [u16],
    /// What it is if the server takes the frame instead, or answers nothing.
    pub(super) taken: Outcome,
    /// What it is if the connection ends without a Close frame.
    pub(super) bare: Outcome,
}

/// RFC 6455 demands of the receiver that the connection fails, or of the sender not to send the
/// frame, and of the receiver to validate what comes (section 10.7).
const fn failure(codes: &'static [u16]) -> Wanted {
    Wanted::Failed(Failure { codes, taken: Failed, bare: Warned })
}

const PROTOCOL: Wanted = failure(&[1002]);
const NOT_UTF8: Wanted = failure(&[1007]);

/// Section 5.1: a server MAY send a Close frame then.
const NOT_MASKED: Wanted = Wanted::Failed(Failure { codes: &[1002], taken: Failed, bare: Passed });

/// Section 5.2 says how a client writes a length, and not what a server does otherwise; the
/// message is clear.
const NOT_MINIMAL: Wanted = Wanted::Failed(Failure { codes: &[1002], taken: Warned, bare: Warned });

/// Section 7.4.2 reserves the code for the future.
const RESERVED_CODE: Wanted = NOT_MINIMAL;

/// The payload of the longest control frame.
const LONGEST: &[u8] = &[b'p'; 125];

const fn well(id: &'static str, section: &'static str, rule: &'static str, trial: Trial) -> Check {
    Check { id, section, rule, trial, is_well_formed: true }
}

const fn ill(id: &'static str, section: &'static str, rule: &'static str, trial: Trial) -> Check {
    Check { id, section, rule, trial, is_well_formed: false }
}

const fn frames(frames: &'static [(u8, &'static [u8])], wanted: Wanted) -> Trial {
    Trial::Frames(Sent::Masked(frames), wanted)
}

const fn opcode(
    id: &'static str,
    rule: &'static str,
    frame: &'static [(u8, &'static [u8])],
) -> Check {
    ill(id, "5.2", rule, frames(frame, PROTOCOL))
}

const fn close(
    id: &'static str,
    rule: &'static str,
    frame: &'static [(u8, &'static [u8])],
) -> Check {
    ill(id, "7.4.1", rule, frames(frame, PROTOCOL))
}

const fn refused(id: &'static str, rule: &'static str, change: Change, due: Due) -> Check {
    ill(id, "4.2.1", rule, Trial::Request(change, due))
}

/// All checks, in the order of the report.
pub(super) const CHECKS: &[Check] = &[
    // The opening handshake.
    well("status", "4.2.2", "the answer is HTTP/1.1 101", Trial::Answer(Part::Status)),
    well("upgrade", "4.2.2", "the answer has Upgrade: websocket", Trial::Answer(Part::Upgrade)),
    well(
        "connection",
        "4.2.2",
        "the answer has Connection: Upgrade",
        Trial::Answer(Part::Connection),
    ),
    well("accept", "4.2.2", "Sec-WebSocket-Accept belongs to the key", Trial::Answer(Part::Accept)),
    well(
        "subprotocol",
        "4.2.2",
        "the subprotocol is one that was offered, or none",
        Trial::Answer(Part::Subprotocol),
    ),
    well(
        "extension",
        "9.1",
        "no extension is used that was not offered",
        Trial::Answer(Part::Extensions),
    ),
    well(
        "version",
        "4.4",
        "another version is refused with the header Sec-WebSocket-Version",
        Trial::Request(Change::Value("Sec-WebSocket-Version", "99"), Due::Versions),
    ),
    well(
        "spelling",
        "4.2.1",
        "names of headers and their tokens have no case, Connection is a list",
        Trial::Request(Change::Spelling, Due::Upgrade),
    ),
    well(
        "request-in-pieces",
        "4.2.1",
        "a request that arrives byte by byte is served",
        Trial::Request(Change::Pieces, Due::Upgrade),
    ),
    // Control frames.
    well(
        "ping",
        "5.5.2",
        "the Pong repeats the payload",
        frames(&[(0x89, b"ping")], Wanted::Pong(b"ping")),
    ),
    well(
        "ping-empty",
        "5.5.2",
        "a Ping without a payload is answered",
        frames(&[(0x89, b"")], Wanted::Pong(b"")),
    ),
    well(
        "ping-longest",
        "5.5.2",
        "the Pong repeats a payload of 125 bytes",
        frames(&[(0x89, LONGEST)], Wanted::Pong(LONGEST)),
    ),
    well(
        "ping-in-pieces",
        "5.2",
        "a frame that arrives byte by byte is answered",
        Trial::Frames(Sent::Pieces(0x89, b"pieces"), Wanted::Pong(b"pieces")),
    ),
    well(
        "unmasked",
        "5.1",
        "the server does not mask its frames",
        frames(&[(0x89, b"mask")], Wanted::Unmasked(b"mask")),
    ),
    well(
        "pong-unasked",
        "5.5.3",
        "a Pong that nobody asked for is taken",
        frames(&[(0x8a, b"unasked")], Wanted::Held),
    ),
    // Messages.
    well("text", "5.6", "a text message is taken", frames(&[(0x81, b"a text")], Wanted::Held)),
    well(
        "length-16",
        "5.2",
        "a length in 16 bits is understood",
        Trial::Frames(Sent::Text(300), Wanted::Held),
    ),
    well(
        "length-64",
        "5.2",
        "a length in 64 bits is understood",
        Trial::Frames(Sent::Text(65_536), Wanted::Held),
    ),
    well(
        "fragments",
        "5.4",
        "a message in fragments is taken",
        frames(
            &[(0x01, b"in "), (0x00, b"three "), (0x80, b"parts")],
            Wanted::Taken("in three parts", None),
        ),
    ),
    well(
        "fragments-empty",
        "5.4",
        "fragments may be empty",
        frames(&[(0x01, b""), (0x00, b"full"), (0x80, b"")], Wanted::Taken("full", None)),
    ),
    well(
        "ping-between",
        "5.4",
        "a Ping between two fragments is answered",
        frames(
            &[(0x01, b"left "), (0x89, b"between"), (0x80, b"right")],
            Wanted::Taken("left right", Some(b"between")),
        ),
    ),
    well(
        "utf8-between",
        "8.1",
        "a character may be cut by the border of two fragments",
        frames(&[(0x01, b"\xe2\x82"), (0x80, b"\xac 5")], Wanted::Taken("\u{20ac} 5", None)),
    ),
    // The closing handshake.
    well(
        "close",
        "5.5.1",
        "a Close frame is answered with the same code",
        frames(&[(0x88, b"\x03\xe8")], Wanted::Closed(Some(1000))),
    ),
    well(
        "close-empty",
        "5.5.1",
        "a Close frame without a code is answered",
        frames(&[(0x88, b"")], Wanted::Closed(None)),
    ),
    well(
        "close-private",
        "7.4.2",
        "a Close frame with a private code and a reason is answered with that code",
        frames(&[(0x88, b"\x0f\xa1bye")], Wanted::Closed(Some(4001))),
    ),
    well(
        "close-end",
        "7.1.1",
        "after the closing handshake the server ends TCP",
        frames(&[(0x88, b"\x03\xe9")], Wanted::End),
    ),
    // Requests that are to be refused.
    refused(
        "no-key",
        "a request without Sec-WebSocket-Key is refused",
        Change::Without("Sec-WebSocket-Key"),
        Due::Refusal,
    ),
    refused(
        "key-short",
        "a key of less than 16 bytes is refused",
        Change::Value("Sec-WebSocket-Key", "c2hvcnQ="),
        Due::Refusal,
    ),
    refused(
        "key-not-base64",
        "a key that is not base64 is refused",
        Change::Value("Sec-WebSocket-Key", "!!!!!!!!!!!!!!!!!!!!!!=="),
        Due::Refusal,
    ),
    refused(
        "no-version",
        "a request without Sec-WebSocket-Version is refused",
        Change::Without("Sec-WebSocket-Version"),
        Due::Refusal,
    ),
    refused("no-host", "a request without Host is refused", Change::Without("Host"), Due::Refusal),
    refused(
        "other-upgrade",
        "Upgrade: h2c is not upgraded to WebSocket",
        Change::Value("Upgrade", "h2c"),
        Due::NoUpgrade,
    ),
    refused(
        "no-connection",
        "a request without Connection: Upgrade is not upgraded",
        Change::Value("Connection", "keep-alive"),
        Due::NoUpgrade,
    ),
    refused("post", "a POST is not upgraded", Change::Method("POST"), Due::NoUpgrade),
    refused(
        "http-1.0",
        "a request in HTTP/1.0 is not upgraded",
        Change::Http("HTTP/1.0"),
        Due::NoUpgrade,
    ),
    // Frames whose header breaks a rule.
    ill(
        "rsv1",
        "5.2",
        "a frame with RSV1 set fails the connection",
        frames(&[(0xc1, b"rsv1")], PROTOCOL),
    ),
    ill(
        "rsv2",
        "5.2",
        "a frame with RSV2 set fails the connection",
        frames(&[(0xa1, b"rsv2")], PROTOCOL),
    ),
    ill(
        "rsv3",
        "5.2",
        "a frame with RSV3 set fails the connection",
        frames(&[(0x91, b"rsv3")], PROTOCOL),
    ),
    opcode("opcode-3", "the reserved opcode 3 fails the connection", &[(0x83, b"opcode")]),
    opcode("opcode-4", "the reserved opcode 4 fails the connection", &[(0x84, b"opcode")]),
    opcode("opcode-5", "the reserved opcode 5 fails the connection", &[(0x85, b"opcode")]),
    opcode("opcode-6", "the reserved opcode 6 fails the connection", &[(0x86, b"opcode")]),
    opcode("opcode-7", "the reserved opcode 7 fails the connection", &[(0x87, b"opcode")]),
    opcode("opcode-b", "the reserved opcode B fails the connection", &[(0x8b, b"opcode")]),
    opcode("opcode-c", "the reserved opcode C fails the connection", &[(0x8c, b"opcode")]),
    opcode("opcode-d", "the reserved opcode D fails the connection", &[(0x8d, b"opcode")]),
    opcode("opcode-e", "the reserved opcode E fails the connection", &[(0x8e, b"opcode")]),
    opcode("opcode-f", "the reserved opcode F fails the connection", &[(0x8f, b"opcode")]),
    ill(
        "no-mask",
        "5.1",
        "a frame without a mask closes the connection",
        Trial::Frames(Sent::Raw(b"\x81\x07no mask"), NOT_MASKED),
    ),
    ill(
        "length-16-long",
        "5.2",
        "a length of 5 in 16 bits is refused",
        Trial::Frames(Sent::Raw(b"\x81\xfe\0\x05\0\0\0\0sixty"), NOT_MINIMAL),
    ),
    ill(
        "length-64-long",
        "5.2",
        "a length of 5 in 64 bits is refused",
        Trial::Frames(Sent::Raw(b"\x81\xff\0\0\0\0\0\0\0\x05\0\0\0\0sixty"), NOT_MINIMAL),
    ),
    ill(
        "length-highest-bit",
        "5.2",
        "a length with the highest of its 64 bits set fails the connection",
        Trial::Frames(
            Sent::Raw(b"\x81\xff\x80\0\0\0\0\0\0\x05\0\0\0\0above"),
            failure(&[1002, 1009]),
        ),
    ),
    // Frames in an order that breaks a rule.
    ill(
        "control-long",
        "5.5",
        "a control frame of 126 bytes fails the connection",
        frames(&[(0x89, &[b'p'; 126])], PROTOCOL),
    ),
    ill(
        "control-fragmented",
        "5.5",
        "a control frame in fragments fails the connection",
        frames(&[(0x09, b"half"), (0x80, b"ping")], PROTOCOL),
    ),
    ill(
        "continuation-alone",
        "5.4",
        "a continuation of nothing fails the connection",
        frames(&[(0x80, b"alone")], PROTOCOL),
    ),
    ill(
        "message-within",
        "5.4",
        "a message within an unfinished one fails the connection",
        frames(&[(0x01, b"outer"), (0x81, b"inner")], PROTOCOL),
    ),
    // Text that is not UTF-8.
    ill(
        "utf8",
        "8.1",
        "a text with a byte that is never UTF-8 fails the connection",
        frames(&[(0x81, b"byte \xff")], NOT_UTF8),
    ),
    ill(
        "utf8-overlong",
        "8.1",
        "a text with an overlong character fails the connection",
        frames(&[(0x81, b"overlong \xc0\xaf")], NOT_UTF8),
    ),
    ill(
        "utf8-surrogate",
        "8.1",
        "a text with a surrogate fails the connection",
        frames(&[(0x81, b"surrogate \xed\xa0\x80")], NOT_UTF8),
    ),
    ill(
        "utf8-cut",
        "8.1",
        "a text that ends within a character fails the connection",
        frames(&[(0x81, b"cut \xe2\x82")], NOT_UTF8),
    ),
    ill(
        "utf8-fragment",
        "8.1",
        "a first fragment that is not UTF-8 fails the connection",
        frames(&[(0x01, b"first \xff"), (0x80, b"second")], NOT_UTF8),
    ),
    // Close frames that must not be sent.
    ill(
        "close-one-byte",
        "5.5.1",
        "a Close frame of one byte is not taken",
        frames(&[(0x88, b"\x03")], PROTOCOL),
    ),
    ill(
        "close-utf8",
        "5.5.1",
        "a Close frame whose reason is not UTF-8 is not taken",
        frames(&[(0x88, b"\x03\xe8reason \xff")], failure(&[1007, 1002])),
    ),
    close("close-999", "a Close frame with code 999 is not taken", &[(0x88, b"\x03\xe7")]),
    close("close-1004", "a Close frame with code 1004 is not taken", &[(0x88, b"\x03\xec")]),
    close("close-1005", "a Close frame with code 1005 is not taken", &[(0x88, b"\x03\xed")]),
    close("close-1006", "a Close frame with code 1006 is not taken", &[(0x88, b"\x03\xee")]),
    close("close-1015", "a Close frame with code 1015 is not taken", &[(0x88, b"\x03\xf7")]),
    ill(
        "close-2999",
        "7.4.2",
        "a Close frame with the reserved code 2999 is not taken",
        frames(&[(0x88, b"\x0b\xb7")], RESERVED_CODE),
    ),
    // What a server has to withstand.
    ill(
        "limit-frame",
        "10.4",
        "a text that announces a terabyte is refused before it comes",
        Trial::Frames(Sent::Raw(b"\x81\xff\0\0\x01\0\0\0\0\0\0\0\0\0begin"), Wanted::Limit),
    ),
    ill(
        "limit-message",
        "10.4",
        "a fragment that announces a terabyte more is refused before it comes",
        Trial::Frames(
            Sent::Raw(b"\x01\x85\0\0\0\0begin\x80\xff\0\0\x01\0\0\0\0\0\0\0\0\0more"),
            Wanted::Limit,
        ),
    ),
    ill(
        "fail-end",
        "7.1.7",
        "a server that fails the connection ends TCP",
        frames(&[(0xf3, b"all wrong")], Wanted::FailedEnd),
    ),
];

#[cfg(test)]
mod tests {
    use super::super::trial::bytes;
    use super::*;
    use proto::frame::{Decoder, Role};
    use std::collections::BTreeSet;

    #[test]
    fn each_check_has_a_name_of_its_own() {
        let names: BTreeSet<_> = CHECKS.iter().map(|check| check.id).collect();
        assert_eq!(names.len(), CHECKS.len());
        let rules: BTreeSet<_> = CHECKS.iter().map(|check| check.rule).collect();
        assert_eq!(rules.len(), CHECKS.len());
    }

    /// The first error that the codec finds in the frames of a check, as a close code.
    fn fault(sent: Sent) -> Option<u16> {
        let mut decoder = Decoder::new(Role::Server, 65_536);
        let mut bytes = bytes(sent);
        let mut rest = bytes.as_mut_slice();
        loop {
            match decoder.decode(&mut rest) {
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(error) => return Some(error.close_code().0),
            }
        }
    }

    #[test]
    fn the_codec_takes_what_is_well_formed_and_refuses_the_rest_with_the_code() {
        for Check { id, trial, is_well_formed, .. } in CHECKS {
            let Trial::Frames(sent, wanted) = trial else { continue };
            let fault = fault(*sent);
            match wanted {
                Wanted::Failed(Failure { codes, .. }) => {
                    assert!(fault.is_some_and(|code| codes.contains(&code)), "{id}: {fault:?}");
                }
                Wanted::FailedEnd => assert_eq!(fault, Some(1002), "{id}"),
                Wanted::Limit => assert_eq!(fault, Some(1009), "{id}"),
                _ => assert_eq!(fault, None, "{id}"),
            }
            assert_eq!(fault.is_none(), *is_well_formed, "{id}");
        }
    }
}
