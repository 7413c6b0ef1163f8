//! Differences of the codec from tungstenite 0.30: the codec keeps to the letter of RFC 6455, and
//! refuses a frame as soon as the bytes show the flaw.

use super::*;

/// The result of decoding: the messages, or the close code of an error.
type Decoded = Result<Vec<Message<'static>>, u16>;

/// No message yet: tungstenite waits for more bytes.
const NOTHING_YET: Decoded = Ok(Vec::new());

fn result(outcome: Outcome) -> Decoded {
    outcome.failed.map_or(Ok(outcome.messages), |code| Err(code.0))
}

/// Compares what the codec and tungstenite make of bytes that a peer sends to `role`.
#[track_caller]
fn assert_differ(why: &str, role: Role, bytes: &[u8], codec: &Decoded, other: &Decoded) {
    assert_eq!(&result(decoded(role, bytes, &[usize::MAX])), codec, "{why}: the codec, at once");
    assert_eq!(&result(decoded(role, bytes, &[1])), codec, "{why}: the codec, byte by byte");
    assert_eq!(&result(tungstenite::decoded(role, bytes)), other, "{why}: tungstenite");
}

#[test]
fn a_length_has_to_be_in_its_shortest_form_of_at_most_63_bits() {
    let hi = Ok(vec![Message::Text("hi".into())]);
    for (role, bytes, other) in [
        (Role::Client, &[0x81, 126, 0, 2, b'h', b'i'][..], &hi),
        (Role::Client, &[0x81, 127, 0, 0, 0, 0, 0, 0, 0, 2, b'h', b'i'], &hi),
        (Role::Server, &[0x81, 0x80 | 126, 0, 2, 0, 0, 0, 0, b'h', b'i'], &hi),
        (Role::Client, &[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], &Err(1009)),
    ] {
        assert_differ("RFC 6455, section 5.2", role, bytes, &Err(1002), other);
    }
}

#[test]
fn a_flaw_is_refused_before_the_payload_has_come_and_before_the_limit() {
    for role in [Role::Server, Role::Client] {
        let wrong_mask = Raw { has_wrong_mask: true, ..Raw::new(0x81, b"payload") };
        let flaws = [0xc1, 0xa2, 0x91, 0x09, 0x80].map(|first| Raw::new(first, b"payload"));
        for frame in flaws.iter().chain([&wrong_mask]) {
            assert_differ("header", role, &frame.bytes(role)[..6], &Err(1002), &NOTHING_YET);
        }
        for first in [0xc1, 0x83, 0x8b, 0x08] {
            assert_differ("first byte", role, &[first], &Err(1002), &NOTHING_YET);
        }
        for first in [0xc1, 0x89] {
            let too_long = Raw::new(first, &[b'x'; MAX + 1]).bytes(role);
            assert_differ("flaw and limit", role, &too_long, &Err(1002), &Err(1009));
        }
        let mut fragments = stream_of(&[Raw::new(0x02, &[0; MAX]), Raw::new(0x80, b"x")], role);
        fragments.pop();
        assert_differ("fragments above the limit", role, &fragments, &Err(1009), &NOTHING_YET);
    }
    for bytes in [[0x89, 126, 0, 126, 0], [0x01, 1, b'a', 0x81, 1]] {
        assert_differ("header", Role::Client, &bytes, &Err(1002), &NOTHING_YET);
    }
}

#[test]
fn text_is_refused_at_the_first_byte_that_cannot_be_utf_8() {
    for role in [Role::Server, Role::Client] {
        let bytes = Raw::new(0x81, b"abc\xffdef").bytes(role);
        let (before, up_to) = (&bytes[..bytes.len() - 4], &bytes[..bytes.len() - 3]);
        assert_eq!(result(decoded(role, before, &[1])), NOTHING_YET);
        assert_differ("not UTF-8", role, up_to, &Err(1007), &NOTHING_YET);
    }
    let cut_character = &Raw::new(0x81, "é".as_bytes()).bytes(Role::Client)[..3];
    assert_eq!(result(decoded(Role::Client, cut_character, &[usize::MAX])), NOTHING_YET);
}

#[test]
fn the_code_1014_may_be_received() {
    let bytes = Raw::new(0x88, &1014_u16.to_be_bytes()).bytes(Role::Client);
    let close = Close { code: CloseCode(1014), reason: "".into() };
    let accepted = Ok(vec![Message::Close(Some(close))]);
    let why = "registered at IANA as \"Bad Gateway\"";
    assert_differ(why, Role::Client, &bytes, &accepted, &Err(1002));
}
