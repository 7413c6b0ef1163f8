//! Checks that break RFC 6455: what a server has to refuse.

use super::{Check, Due, Failure, Sent, Trial, Wanted, check, frames};
use crate::probe::check::Outcome::{Failed, Passed, Warned};
use crate::probe::check::request::Change;

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

const fn opcode(
    id: &'static str,
    rule: &'static str,
    frame: &'static [(u8, &'static [u8])],
) -> Check {
    check(id, "5.2", rule, frames(frame, PROTOCOL))
}

const fn close(
    id: &'static str,
    rule: &'static str,
    frame: &'static [(u8, &'static [u8])],
) -> Check {
    check(id, "7.4.1", rule, frames(frame, PROTOCOL))
}

const fn refused(id: &'static str, rule: &'static str, change: Change, due: Due) -> Check {
    check(id, "4.2.1", rule, Trial::Request(change, due))
}

/// The checks, in the order of the report.
pub(in super::super) const ILL_FORMED: &[Check] = &[
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
    check(
        "rsv1",
        "5.2",
        "a frame with RSV1 set fails the connection",
        frames(&[(0xc1, b"rsv1")], PROTOCOL),
    ),
    check(
        "rsv2",
        "5.2",
        "a frame with RSV2 set fails the connection",
        frames(&[(0xa1, b"rsv2")], PROTOCOL),
    ),
    check(
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
    check(
        "no-mask",
        "5.1",
        "a frame without a mask closes the connection",
        Trial::Frames(Sent::Raw(b"\x81\x07no mask"), NOT_MASKED),
    ),
    check(
        "length-16-long",
        "5.2",
        "a length of 5 in 16 bits is refused",
        Trial::Frames(Sent::Raw(b"\x81\xfe\0\x05\0\0\0\0sixty"), NOT_MINIMAL),
    ),
    check(
        "length-64-long",
        "5.2",
        "a length of 5 in 64 bits is refused",
        Trial::Frames(Sent::Raw(b"\x81\xff\0\0\0\0\0\0\0\x05\0\0\0\0sixty"), NOT_MINIMAL),
    ),
    check(
        "length-highest-bit",
        "5.2",
        "a length with the highest of its 64 bits set fails the connection",
        Trial::Frames(
            Sent::Raw(b"\x81\xff\x80\0\0\0\0\0\0\x05\0\0\0\0above"),
            failure(&[1002, 1009]),
        ),
    ),
    // Frames in an order that breaks a rule.
    check(
        "control-long",
        "5.5",
        "a control frame of 126 bytes fails the connection",
        frames(&[(0x89, &[b'p'; 126])], PROTOCOL),
    ),
    check(
        "control-fragmented",
        "5.5",
        "a control frame in fragments fails the connection",
        frames(&[(0x09, b"half"), (0x80, b"ping")], PROTOCOL),
    ),
    check(
        "continuation-alone",
        "5.4",
        "a continuation of nothing fails the connection",
        frames(&[(0x80, b"alone")], PROTOCOL),
    ),
    check(
        "message-within",
        "5.4",
        "a message within an unfinished one fails the connection",
        frames(&[(0x01, b"outer"), (0x81, b"inner")], PROTOCOL),
    ),
    // Text that is not UTF-8.
    check(
        "utf8",
        "8.1",
        "a text with a byte that is never UTF-8 fails the connection",
        frames(&[(0x81, b"byte \xff")], NOT_UTF8),
    ),
    check(
        "utf8-overlong",
        "8.1",
        "a text with an overlong character fails the connection",
        frames(&[(0x81, b"overlong \xc0\xaf")], NOT_UTF8),
    ),
    check(
        "utf8-surrogate",
        "8.1",
        "a text with a surrogate fails the connection",
        frames(&[(0x81, b"surrogate \xed\xa0\x80")], NOT_UTF8),
    ),
    check(
        "utf8-cut",
        "8.1",
        "a text that ends within a character fails the connection",
        frames(&[(0x81, b"cut \xe2\x82")], NOT_UTF8),
    ),
    check(
        "utf8-fragment",
        "8.1",
        "a first fragment that is not UTF-8 fails the connection",
        frames(&[(0x01, b"first \xff"), (0x80, b"second")], NOT_UTF8),
    ),
    // Close frames that must not be sent.
    check(
        "close-one-byte",
        "5.5.1",
        "a Close frame of one byte is not taken",
        frames(&[(0x88, b"\x03")], PROTOCOL),
    ),
    check(
        "close-utf8",
        "5.5.1",
        "a Close frame whose reason is not UTF-8 is not taken",
        frames(&[(0x88, b"\x03\xe8reason \xff")], failure(&[1007, 1002])),
    ),
    check(
        "close-999",
        "7.4.2",
        "a Close frame with code 999 is not taken",
        frames(&[(0x88, b"\x03\xe7")], PROTOCOL),
    ),
    close("close-1004", "a Close frame with code 1004 is not taken", &[(0x88, b"\x03\xec")]),
    close("close-1005", "a Close frame with code 1005 is not taken", &[(0x88, b"\x03\xed")]),
    close("close-1006", "a Close frame with code 1006 is not taken", &[(0x88, b"\x03\xee")]),
    close("close-1015", "a Close frame with code 1015 is not taken", &[(0x88, b"\x03\xf7")]),
    check(
        "close-2999",
        "7.4.2",
        "a Close frame with the reserved code 2999 is not taken",
        frames(&[(0x88, b"\x0b\xb7")], RESERVED_CODE),
    ),
    // What a server has to withstand.
    check(
        "limit-frame",
        "10.4",
        "a text that announces a terabyte is refused before it comes",
        Trial::Frames(Sent::Raw(b"\x81\xff\0\0\x01\0\0\0\0\0\0\0\0\0begin"), Wanted::Limit),
    ),
    check(
        "limit-message",
        "10.4",
        "a fragment that announces a terabyte more is refused before it comes",
        Trial::Frames(
            Sent::Raw(b"\x01\x85\0\0\0\0begin\x80\xff\0\0\x01\0\0\0\0\0\0\0\0\0more"),
            Wanted::Limit,
        ),
    ),
    check(
        "fail-end",
        "7.1.7",
        "a server that fails the connection ends TCP",
        frames(&[(0xf3, b"all wrong")], Wanted::FailedEnd),
    ),
];
