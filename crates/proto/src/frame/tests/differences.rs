//! Where the codec differs from tungstenite 0.30. Each row has a test below, which shows what both
//! do. A dash means that tungstenite waits for more bytes.
//!
//! | bytes of the peer | codec | tungstenite | source |
//! | --- | --- | --- | --- |
//! | a length in more bytes than it needs | 1002 | accepted | RFC 6455, 5.2 |
//! | a length above 2^63 - 1 | 1002 | 1009 | RFC 6455, 5.2 |
//! | a flaw in a header, its payload still to come | 1002 | - | earlier |
//! | a flaw in the first byte, without the second | 1002 | - | earlier |
//! | a header with a flaw and a length above the limit | 1002 | 1009 | the flaw is seen first |
//! | fragments above the limit, the last one still to come | 1009 | - | earlier |
//! | text that is not UTF-8, in a frame that is cut behind the wrong byte | 1007 | - | earlier |
//! | a Close frame with the code 1014 | accepted | 1002 | registered at IANA as "Bad Gateway" |

use super::*;

/// The result of decoding: the messages, or the close code of an error.
type Decoded = Result<Vec<Message<'static>>, u16>;

const NOTHING_YET: Decoded = Ok(Vec::new());

fn result(outcome: Outcome) -> Decoded {
    outcome.failed.map_or(Ok(outcome.messages), |code| Err(code.0))
}

/// Compares what the codec and tungstenite make of bytes that a peer sends to `role`.
#[track_caller]
fn assert_differ(role: Role, bytes: &[u8], codec: &Decoded, other: &Decoded) {
    assert_eq!(&result(decoded(role, bytes, &[usize::MAX])), codec, "the codec, at once");
    assert_eq!(&result(decoded(role, bytes, &[1])), codec, "the codec, byte by byte");
    assert_eq!(&result(tungstenite::decoded(role, bytes)), other, "tungstenite");
}

fn text(text: &str) -> Decoded {
    Ok(vec![Message::Text(text.to_owned().into())])
}

#[test]
fn a_length_has_to_be_in_its_shortest_form() {
    let short_in_16_bits = [&[0x81, 126, 0, 2][..], b"hi"].concat();
    assert_differ(Role::Client, &short_in_16_bits, &Err(1002), &text("hi"));
    let short_in_64_bits = [&[0x81, 127, 0, 0, 0, 0, 0, 0, 0, 2][..], b"hi"].concat();
    assert_differ(Role::Client, &short_in_64_bits, &Err(1002), &text("hi"));
    let masked = [0x81, 0x80 | 126, 0, 2, 0, 0, 0, 0, b'h', b'i'];
    assert_differ(Role::Server, &masked, &Err(1002), &text("hi"));
}

#[test]
fn a_length_has_no_more_than_63_bits() {
    let bytes = [0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0];
    assert_differ(Role::Client, &bytes, &Err(1002), &Err(1009));
}

#[test]
fn a_flaw_in_a_header_is_refused_before_the_payload_has_come() {
    let header = |first, role| Raw::new(first, b"payload").bytes(role)[..6].to_vec();
    for first in [0xc1, 0xa2, 0x91, 0x09, 0x80] {
        for role in [Role::Server, Role::Client] {
            assert_differ(role, &header(first, role), &Err(1002), &NOTHING_YET);
        }
    }
    let wrong_mask = |role| {
        let frame = Raw { has_wrong_mask: true, ..Raw::new(0x81, b"payload") };
        frame.bytes(role)[..6].to_vec()
    };
    assert_differ(Role::Server, &wrong_mask(Role::Server), &Err(1002), &NOTHING_YET);
    assert_differ(Role::Client, &wrong_mask(Role::Client), &Err(1002), &NOTHING_YET);
    let long_control = [0x89, 126, 0, 126];
    assert_differ(Role::Client, &long_control, &Err(1002), &NOTHING_YET);
    let second_message = [0x01, 1, b'a', 0x81, 1];
    assert_differ(Role::Client, &second_message, &Err(1002), &NOTHING_YET);
}

#[test]
fn a_flaw_in_the_first_byte_is_refused_without_the_second() {
    for first in [0xc1, 0x83, 0x8b, 0x08] {
        for role in [Role::Server, Role::Client] {
            assert_differ(role, &[first], &Err(1002), &NOTHING_YET);
        }
    }
}

#[test]
fn a_flaw_counts_before_the_limit_on_messages() {
    let reserved_bit = Raw::new(0xc1, &[b'x'; MAX + 1]);
    assert_differ(Role::Client, &reserved_bit.bytes(Role::Client), &Err(1002), &Err(1009));
    assert_differ(Role::Server, &reserved_bit.bytes(Role::Server), &Err(1002), &Err(1009));
    let long_control = Raw::new(0x89, &[b'x'; MAX + 1]);
    assert_differ(Role::Client, &long_control.bytes(Role::Client), &Err(1002), &Err(1009));
}

#[test]
fn fragments_are_too_long_as_soon_as_a_header_says_so() {
    let frames = [Raw::new(0x02, &[0; MAX]), Raw::new(0x80, b"x")];
    for role in [Role::Server, Role::Client] {
        let mut bytes = stream_of(&frames, role);
        bytes.pop();
        assert_differ(role, &bytes, &Err(1009), &NOTHING_YET);
    }
}

#[test]
fn text_is_refused_at_the_first_byte_that_cannot_be_utf_8() {
    let frame = Raw::new(0x81, b"abc\xffdef");
    for role in [Role::Server, Role::Client] {
        let bytes = frame.bytes(role);
        let up_to_the_wrong_byte = &bytes[..bytes.len() - 3];
        assert_differ(role, up_to_the_wrong_byte, &Err(1007), &NOTHING_YET);
        let before = &bytes[..bytes.len() - 4];
        assert_eq!(result(decoded(role, before, &[1])), NOTHING_YET);
    }
}

#[test]
fn a_character_that_is_cut_may_be_completed() {
    let mut bytes = Raw::new(0x81, "é".as_bytes()).bytes(Role::Server);
    bytes.pop();
    assert_eq!(result(decoded(Role::Server, &bytes, &[usize::MAX])), NOTHING_YET);
}

#[test]
fn the_code_1014_may_be_received() {
    let bytes = Raw::new(0x88, &1014_u16.to_be_bytes()).bytes(Role::Client);
    let close = Close { code: CloseCode(1014), reason: "".into() };
    let accepted = Ok(vec![Message::Close(Some(close))]);
    assert_differ(Role::Client, &bytes, &accepted, &Err(1002));
}
