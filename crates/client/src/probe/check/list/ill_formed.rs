//! Checks that break RFC 6455, which a server has to refuse.

use super::{Case, Check, Expected, ExpectedAnswer, Failure, Sent, check, frames};
use crate::probe::check::Outcome::{Failed, Passed, Warned};
use crate::probe::check::request::Change;

/// The server has to fail the connection with one of `codes`. The RFC demands this, or it forbids
/// the frame to the sender and has the receiver validate frames (section 10.7).
const fn failure(codes: &'static [u16]) -> Expected {
    Expected::Failed(Failure { codes, accepted: Failed, no_close: Warned })
}

const PROTOCOL: Expected = failure(&[1002]);
const NOT_UTF8: Expected = failure(&[1007]);

/// Section 5.1: the Close frame is optional.
const NOT_MASKED: Expected =
    Expected::Failed(Failure { codes: &[1002], accepted: Failed, no_close: Passed });

/// Section 5.2 demands the shortest form of a length, but not that a server refuses another one.
const NOT_MINIMAL: Expected =
    Expected::Failed(Failure { codes: &[1002], accepted: Warned, no_close: Warned });

/// Section 7.4.2 reserves the code for future versions.
const RESERVED_CODE: Expected = NOT_MINIMAL;

/// Bytes of frames: the first byte, with the opcode, and the payload.
type Frames = &'static [(u8, &'static [u8])];

const fn header(id: &'static str, rule: &'static str, sent: Frames) -> Check {
    check(id, "5.2", rule, frames(sent, PROTOCOL))
}

const fn protocol(
    id: &'static str,
    section: &'static str,
    rule: &'static str,
    sent: Frames,
) -> Check {
    check(id, section, rule, frames(sent, PROTOCOL))
}

const fn utf8(id: &'static str, rule: &'static str, sent: Frames) -> Check {
    check(id, "8.1", rule, frames(sent, NOT_UTF8))
}

const fn close(id: &'static str, rule: &'static str, sent: Frames) -> Check {
    check(id, "7.4.1", rule, frames(sent, PROTOCOL))
}

const fn refused(
    id: &'static str,
    rule: &'static str,
    change: Change,
    expected: ExpectedAnswer,
) -> Check {
    check(id, "4.2.1", rule, Case::Request(change, expected))
}

/// The checks, in the order of the report.
pub(in super::super) const ILL_FORMED: &[Check] = &[
    // Requests that are to be refused.
    refused(
        "no-key",
        "a request without Sec-WebSocket-Key is refused",
        Change::Without("Sec-WebSocket-Key"),
        ExpectedAnswer::Refusal,
    ),
    refused(
        "key-short",
        "a key of less than 16 bytes is refused",
        Change::Value("Sec-WebSocket-Key", "c2hvcnQ="),
        ExpectedAnswer::Refusal,
    ),
    refused(
        "key-not-base64",
        "a key that is not base64 is refused",
        Change::Value("Sec-WebSocket-Key", "!!!!!!!!!!!!!!!!!!!!!!=="),
        ExpectedAnswer::Refusal,
    ),
    refused(
        "no-version",
        "a request without Sec-WebSocket-Version is refused",
        Change::Without("Sec-WebSocket-Version"),
        ExpectedAnswer::Refusal,
    ),
    refused(
        "no-host",
        "a request without Host is refused",
        Change::Without("Host"),
        ExpectedAnswer::Refusal,
    ),
    refused(
        "other-upgrade",
        "Upgrade: h2c is not upgraded to WebSocket",
        Change::Value("Upgrade", "h2c"),
        ExpectedAnswer::NoUpgrade,
    ),
    refused(
        "no-connection",
        "a request without Connection: Upgrade is not upgraded",
        Change::Value("Connection", "keep-alive"),
        ExpectedAnswer::NoUpgrade,
    ),
    refused("post", "a POST is not upgraded", Change::Method("POST"), ExpectedAnswer::NoUpgrade),
    refused(
        "http-1.0",
        "a request in HTTP/1.0 is not upgraded",
        Change::Http("HTTP/1.0"),
        ExpectedAnswer::NoUpgrade,
    ),
    // Frames whose header breaks a rule.
    header("rsv1", "a frame with RSV1 set fails the connection", &[(0xc1, b"rsv1")]),
    header("rsv2", "a frame with RSV2 set fails the connection", &[(0xa1, b"rsv2")]),
    header("rsv3", "a frame with RSV3 set fails the connection", &[(0x91, b"rsv3")]),
    header("opcode-3", "the reserved opcode 3 fails the connection", &[(0x83, b"opcode")]),
    header("opcode-4", "the reserved opcode 4 fails the connection", &[(0x84, b"opcode")]),
    header("opcode-5", "the reserved opcode 5 fails the connection", &[(0x85, b"opcode")]),
    header("opcode-6", "the reserved opcode 6 fails the connection", &[(0x86, b"opcode")]),
    header("opcode-7", "the reserved opcode 7 fails the connection", &[(0x87, b"opcode")]),
    header("opcode-b", "the reserved opcode B fails the connection", &[(0x8b, b"opcode")]),
    header("opcode-c", "the reserved opcode C fails the connection", &[(0x8c, b"opcode")]),
    header("opcode-d", "the reserved opcode D fails the connection", &[(0x8d, b"opcode")]),
    header("opcode-e", "the reserved opcode E fails the connection", &[(0x8e, b"opcode")]),
    header("opcode-f", "the reserved opcode F fails the connection", &[(0x8f, b"opcode")]),
    check(
        "no-mask",
        "5.1",
        "a frame without a mask closes the connection",
        Case::Frames(Sent::Raw(b"\x81\x07no mask"), NOT_MASKED),
    ),
    check(
        "length-16-long",
        "5.2",
        "a length of 5 in 16 bits is refused",
        Case::Frames(Sent::Raw(b"\x81\xfe\0\x05\0\0\0\0sixty"), NOT_MINIMAL),
    ),
    check(
        "length-64-long",
        "5.2",
        "a length of 5 in 64 bits is refused",
        Case::Frames(Sent::Raw(b"\x81\xff\0\0\0\0\0\0\0\x05\0\0\0\0sixty"), NOT_MINIMAL),
    ),
    check(
        "length-highest-bit",
        "5.2",
        "a length with the highest of its 64 bits set fails the connection",
        Case::Frames(
            Sent::Raw(b"\x81\xff\x80\0\0\0\0\0\0\x05\0\0\0\0above"),
            failure(&[1002, 1009]),
        ),
    ),
    // Frames in an order that breaks a rule.
    protocol(
        "control-long",
        "5.5",
        "a control frame of 126 bytes fails the connection",
        &[(0x89, &[b'p'; 126])],
    ),
    protocol(
        "control-fragmented",
        "5.5",
        "a control frame in fragments fails the connection",
        &[(0x09, b"half"), (0x80, b"ping")],
    ),
    protocol(
        "continuation-alone",
        "5.4",
        "a continuation of nothing fails the connection",
        &[(0x80, b"alone")],
    ),
    protocol(
        "message-within",
        "5.4",
        "a message within an unfinished one fails the connection",
        &[(0x01, b"outer"), (0x81, b"inner")],
    ),
    // Text that is not UTF-8.
    utf8(
        "utf8",
        "a text with a byte that is never UTF-8 fails the connection",
        &[(0x81, b"byte \xff")],
    ),
    utf8(
        "utf8-overlong",
        "a text with an overlong character fails the connection",
        &[(0x81, b"overlong \xc0\xaf")],
    ),
    utf8(
        "utf8-surrogate",
        "a text with a surrogate fails the connection",
        &[(0x81, b"surrogate \xed\xa0\x80")],
    ),
    utf8(
        "utf8-cut",
        "a text that ends within a character fails the connection",
        &[(0x81, b"cut \xe2\x82")],
    ),
    utf8(
        "utf8-fragment",
        "a first fragment that is not UTF-8 fails the connection",
        &[(0x01, b"first \xff"), (0x80, b"second")],
    ),
    // Close frames that must not be sent.
    protocol(
        "close-one-byte",
        "5.5.1",
        "a Close frame of one byte is not taken",
        &[(0x88, b"\x03")],
    ),
    check(
        "close-utf8",
        "5.5.1",
        "a Close frame whose reason is not UTF-8 is not taken",
        frames(&[(0x88, b"\x03\xe8reason \xff")], failure(&[1007, 1002])),
    ),
    protocol(
        "close-999",
        "7.4.2",
        "a Close frame with code 999 is not taken",
        &[(0x88, b"\x03\xe7")],
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
    // Attacks that a server has to withstand.
    check(
        "limit-frame",
        "10.4",
        "a text that announces a terabyte is refused before it comes",
        Case::Frames(Sent::Raw(b"\x81\xff\0\0\x01\0\0\0\0\0\0\0\0\0begin"), Expected::Limit),
    ),
    check(
        "limit-message",
        "10.4",
        "a fragment that announces a terabyte more is refused before it comes",
        Case::Frames(
            Sent::Raw(b"\x01\x85\0\0\0\0begin\x80\xff\0\0\x01\0\0\0\0\0\0\0\0\0more"),
            Expected::Limit,
        ),
    ),
    check(
        "fail-end",
        "7.1.7",
        "a server that fails the connection ends TCP",
        frames(&[(0xf3, b"all wrong")], Expected::FailedEnd),
    ),
];
