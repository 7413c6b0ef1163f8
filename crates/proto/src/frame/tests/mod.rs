//! Tests of the codec: rules one by one here, random streams decoded by tungstenite as well in
//! [`beside_tungstenite`].

mod beside_tungstenite;
mod differences;
mod streams;
mod tungstenite;

use std::borrow::Cow;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Longest message, in bytes.
const MAX: usize = 1000;

/// The masking key of all frames here.
const KEY: [u8; 4] = [0x12, 0xa5, 0x00, 0xff];

/// The result of decoding a stream: the messages, and the close code of the error after them.
#[derive(Debug, PartialEq)]
struct Outcome {
    messages: Vec<Message<'static>>,
    failed: Option<CloseCode>,
}

/// A frame, with every bit as the test wants it.
#[derive(Clone, Debug)]
struct Raw {
    first: u8,
    /// Whether the masking is wrong for the role: present where forbidden, missing where required.
    has_wrong_mask: bool,
    payload: Vec<u8>,
}

impl Raw {
    fn new(first: u8, payload: &[u8]) -> Self {
        Self { first, has_wrong_mask: false, payload: payload.into() }
    }

    /// The frame as it is sent to the end with this role.
    fn bytes(&self, to: Role) -> Vec<u8> {
        let is_masked = (to == Role::Server) != self.has_wrong_mask;
        let mask = if is_masked { 0x80 } else { 0 };
        let mut bytes = vec![self.first];
        match self.payload.len() {
            len @ ..126 => bytes.push(mask | len as u8),
            len @ ..0x1_0000 => {
                bytes.push(mask | 126);
                bytes.extend((len as u16).to_be_bytes());
            }
            len => {
                bytes.push(mask | 127);
                bytes.extend((len as u64).to_be_bytes());
            }
        }
        if is_masked {
            bytes.extend(KEY);
        }
        let key = KEY.into_iter().cycle().map(|key| if is_masked { key } else { 0 });
        bytes.extend(self.payload.iter().zip(key).map(|(byte, key)| byte ^ key));
        bytes
    }
}

fn stream_of(frames: &[Raw], to: Role) -> Vec<u8> {
    frames.iter().flat_map(|frame| frame.bytes(to)).collect()
}

/// Decodes `stream` in pieces of these sizes, over and over. A text message that repeats the one
/// before goes through [`Decoder::take_text`].
fn decoded(role: Role, stream: &[u8], sizes: &[usize]) -> Outcome {
    let mut decoder = Decoder::new(role, MAX);
    let mut messages = Vec::new();
    let mut last = String::new();
    let mut rest = stream;
    for &size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, behind) = rest.split_at(size.min(rest.len()));
        rest = behind;
        let mut piece = piece.to_vec();
        let mut input = &mut piece[..];
        loop {
            if !last.is_empty() && decoder.take_text(&mut input, last.as_bytes()) {
                messages.push(Message::Text(last.clone().into()));
                continue;
            }
            match decoder.decode(&mut input) {
                Ok(Some(message)) => messages.push(message.into_owned()),
                Ok(None) => break,
                Err(error) => return Outcome { messages, failed: Some(error.close_code()) },
            }
            if let Some(Message::Text(text)) = messages.last() {
                last = text.to_string();
            }
            if matches!(messages.last(), Some(Message::Close(_))) {
                return Outcome { messages, failed: None };
            }
        }
        assert!(input.is_empty(), "{} bytes were left", input.len());
        assert!(decoder.buffered() <= MAX + 128, "{}", decoder.buffered());
    }
    Outcome { messages, failed: None }
}

#[test]
fn a_whole_message_is_borrowed() {
    let mut bytes = Raw::new(0x81, b"text").bytes(Role::Server);
    let mut decoder = Decoder::new(Role::Server, MAX);
    let mut input = &mut bytes[..];
    assert!(matches!(decoder.decode(&mut input), Ok(Some(Message::Text(Cow::Borrowed("text"))))));
    assert!(!decoder.has_partial());
    assert_eq!(decoder.buffered(), 0);
}

#[test]
fn each_rule_of_a_header_has_its_error() {
    use Violation::*;
    for (role, bytes, violation) in [
        (Role::Server, &[0xc1][..], ReservedBits),
        (Role::Client, &[0x91], ReservedBits),
        (Role::Server, &[0x83], ReservedOpcode(3)),
        (Role::Client, &[0x8f], ReservedOpcode(15)),
        (Role::Server, &[0x09], FragmentedControl),
        (Role::Server, &[0x81, 0x05], NotMasked),
        (Role::Client, &[0x81, 0x85], Masked),
        (Role::Server, &[0x89, 0xfe], LongControl),
        (Role::Client, &[0x8a, 0x7f], LongControl),
        (Role::Server, &[0x81, 0xfe, 0, 125], Length),
        (Role::Client, &[0x81, 0x7f, 0, 0, 0, 0, 0, 0, 0xff, 0xff], Length),
        (Role::Server, &[0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0], Length),
        (Role::Server, &[0x80, 0x85, 1, 2, 3, 4], NothingToContinue),
        (Role::Client, &[0x80, 0x05], NothingToContinue),
    ] {
        let mut decoder = Decoder::new(role, MAX);
        let mut input = bytes.to_vec();
        assert_eq!(decoder.decode(&mut &mut input[..]), Err(violation.into()), "{bytes:x?}");
    }
}

proptest! {
    #[test]
    fn a_text_is_taken_only_where_it_is_whole_and_the_same(
        texts in vec(prop_oneof!["[ab]{1,3}", Just("é".repeat(9)), Just("x".repeat(300))], 1..20),
        role in prop_oneof![Just(Role::Server), Just(Role::Client)],
        sizes in vec(1..40usize, 1..5),
    ) {
        let frames: Vec<_> = texts.iter().map(|text| Raw::new(0x81, text.as_bytes())).collect();
        let messages = texts.into_iter().map(|text| Message::Text(text.into())).collect();
        let stream = stream_of(&frames, role);
        prop_assert_eq!(decoded(role, &stream, &sizes), Outcome { messages, failed: None });
    }
}

#[test]
fn only_a_text_in_one_frame_is_taken() {
    for (frames, is_taken) in [
        (&[Raw::new(0x81, b"text")][..], true),
        (&[Raw::new(0x82, b"text")], false),
        (&[Raw::new(0x89, b"text")], false),
        (&[Raw::new(0x01, b"te"), Raw::new(0x80, b"xt")], false),
        (&[Raw::new(0x81, b"texT")], false),
        (&[Raw::new(0xc1, b"text")], false),
        (&[Raw { has_wrong_mask: true, ..Raw::new(0x81, b"text") }], false),
    ] {
        let mut bytes = stream_of(frames, Role::Server);
        let before = bytes.clone();
        let mut input = &mut bytes[..];
        let decoder = Decoder::new(Role::Server, MAX);
        assert_eq!(decoder.take_text(&mut input, b"text"), is_taken, "{frames:x?}");
        assert_eq!(input, if is_taken { &[][..] } else { &before });
    }
}

#[test]
fn an_announced_length_takes_no_memory() {
    let mut decoder = Decoder::new(Role::Server, usize::MAX);
    let mut bytes = vec![0x82, 0xff, 0, 0, 0x10, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5];
    assert_eq!(decoder.decode(&mut &mut bytes[..]), Ok(None));
    assert!(decoder.has_partial() && decoder.buffered() < 100, "{}", decoder.buffered());
}
