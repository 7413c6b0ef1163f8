//! Checks that keep RFC 6455, as every client may.

use super::{Case, Check, Expected, ExpectedAnswer, Part, Sent, check, frames};
use crate::probe::check::request::Change;

/// The payload of the longest control frame.
const LONGEST: &[u8] = &[b'p'; 125];

const fn answer(id: &'static str, rule: &'static str, part: Part) -> Check {
    check(id, "4.2.2", rule, Case::Answer(part))
}

/// The checks, in the order of the report.
pub(in super::super) const WELL_FORMED: &[Check] = &[
    // The opening handshake.
    answer("status", "the answer is HTTP/1.1 101", Part::Status),
    answer("upgrade", "the answer has Upgrade: websocket", Part::Upgrade),
    answer("connection", "the answer has Connection: Upgrade", Part::Connection),
    answer("accept", "Sec-WebSocket-Accept belongs to the key", Part::Accept),
    answer("subprotocol", "the subprotocol is one that was offered, or none", Part::Subprotocol),
    check(
        "extension",
        "9.1",
        "no extension is used that was not offered",
        Case::Answer(Part::Extensions),
    ),
    check(
        "version",
        "4.4",
        "another version is refused with the header Sec-WebSocket-Version",
        Case::Request(Change::Value("Sec-WebSocket-Version", "99"), ExpectedAnswer::Versions),
    ),
    check(
        "spelling",
        "4.2.1",
        "names of headers and their tokens have no case, Connection is a list",
        Case::Request(Change::Spelling, ExpectedAnswer::Upgrade),
    ),
    check(
        "request-in-pieces",
        "4.2.1",
        "a request that arrives byte by byte is served",
        Case::Request(Change::Pieces, ExpectedAnswer::Upgrade),
    ),
    // Control frames.
    check(
        "ping",
        "5.5.2",
        "the Pong repeats the payload",
        frames(&[(0x89, b"ping")], Expected::Pong(b"ping")),
    ),
    check(
        "ping-empty",
        "5.5.2",
        "a Ping without a payload is answered",
        frames(&[(0x89, b"")], Expected::Pong(b"")),
    ),
    check(
        "ping-longest",
        "5.5.2",
        "the Pong repeats a payload of 125 bytes",
        frames(&[(0x89, LONGEST)], Expected::Pong(LONGEST)),
    ),
    check(
        "ping-in-pieces",
        "5.2",
        "a frame that arrives byte by byte is answered",
        Case::Frames(Sent::Pieces(0x89, b"pieces"), Expected::Pong(b"pieces")),
    ),
    check(
        "unmasked",
        "5.1",
        "the server does not mask its frames",
        frames(&[(0x89, b"mask")], Expected::Unmasked(b"mask")),
    ),
    check(
        "pong-unasked",
        "5.5.3",
        "a Pong that nobody asked for is taken",
        frames(&[(0x8a, b"unasked")], Expected::Held),
    ),
    // Messages.
    check("text", "5.6", "a text message is taken", frames(&[(0x81, b"a text")], Expected::Held)),
    check(
        "length-16",
        "5.2",
        "a length in 16 bits is understood",
        Case::Frames(Sent::Text(300), Expected::Held),
    ),
    check(
        "length-64",
        "5.2",
        "a length in 64 bits is understood",
        Case::Frames(Sent::Text(65_536), Expected::Held),
    ),
    check(
        "fragments",
        "5.4",
        "a message in fragments is taken",
        frames(
            &[(0x01, b"in "), (0x00, b"three "), (0x80, b"parts")],
            Expected::Accepted("in three parts", None),
        ),
    ),
    check(
        "fragments-empty",
        "5.4",
        "fragments may be empty",
        frames(&[(0x01, b""), (0x00, b"full"), (0x80, b"")], Expected::Accepted("full", None)),
    ),
    check(
        "ping-between",
        "5.4",
        "a Ping between two fragments is answered",
        frames(
            &[(0x01, b"left "), (0x89, b"between"), (0x80, b"right")],
            Expected::Accepted("left right", Some(b"between")),
        ),
    ),
    check(
        "utf8-between",
        "5.6",
        "a character may be cut by the border of two fragments",
        frames(&[(0x01, b"\xe2\x82"), (0x80, b"\xac 5")], Expected::Accepted("\u{20ac} 5", None)),
    ),
    // The closing handshake.
    check(
        "close",
        "5.5.1",
        "a Close frame is answered with the same code",
        frames(&[(0x88, b"\x03\xe8")], Expected::Closed(Some(1000))),
    ),
    check(
        "close-empty",
        "5.5.1",
        "a Close frame without a code is answered",
        frames(&[(0x88, b"")], Expected::Closed(None)),
    ),
    check(
        "close-private",
        "7.4.2",
        "a Close frame with a private code and a reason is answered with that code",
        frames(&[(0x88, b"\x0f\xa1bye")], Expected::Closed(Some(4001))),
    ),
    check(
        "close-end",
        "5.5.1",
        "after the closing handshake the server ends TCP",
        frames(&[(0x88, b"\x03\xe9")], Expected::End),
    ),
];
