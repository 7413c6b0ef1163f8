//! The codec beside tungstenite's: random streams, valid and broken, cut anywhere.

use std::borrow::Cow;
use std::io::{self, Read, Write};

use proptest::prelude::*;
use proptest::sample::select;
use tokio_tungstenite::tungstenite::protocol::{Role as Side, WebSocketConfig, WebSocketContext};
use tokio_tungstenite::tungstenite::{Error as Failure, Message as Peer};

use super::*;

const MAX: usize = 1000;

const KEY: [u8; 4] = [0x12, 0xa5, 0x00, 0xff];

/// What came of a stream: the messages, and the close code that ended them.
#[derive(Debug, PartialEq)]
struct Outcome {
    messages: Vec<Message<'static>>,
    failed: Option<CloseCode>,
}

/// A frame, with every bit as the test wants it.
#[derive(Clone, Debug)]
struct Raw {
    first: u8,
    masked: bool,
    payload: Vec<u8>,
}

impl Raw {
    fn new(first: u8, payload: &[u8]) -> Self {
        Self { first, masked: true, payload: payload.into() }
    }

    fn bytes(&self) -> Vec<u8> {
        let mask = if self.masked { 0x80 } else { 0 };
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
        if self.masked {
            bytes.extend(KEY);
        }
        let key = KEY.into_iter().cycle().map(|key| if self.masked { key } else { 0 });
        bytes.extend(self.payload.iter().zip(key).map(|(byte, key)| byte ^ key));
        bytes
    }
}

fn owned(message: Message<'_>) -> Message<'static> {
    match message {
        Message::Text(text) => Message::Text(text.into_owned().into()),
        Message::Binary(bytes) => Message::Binary(bytes.into_owned().into()),
        Message::Ping(bytes) => Message::Ping(bytes.into_owned().into()),
        Message::Pong(bytes) => Message::Pong(bytes.into_owned().into()),
        Message::Close(close) => Message::Close(
            close.map(|Close { code, reason }| Close { code, reason: reason.into_owned().into() }),
        ),
    }
}

/// Decodes `stream` in pieces of these sizes, over and over.
fn decoded(role: Role, stream: &[u8], sizes: &[usize]) -> Outcome {
    let mut decoder = Decoder::new(role, MAX);
    let mut messages = Vec::new();
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
            match decoder.decode(&mut input) {
                Ok(Some(message)) => messages.push(owned(message)),
                Ok(None) => break,
                Err(error) => return Outcome { messages, failed: Some(error.close_code()) },
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

/// A stream that ends, for tungstenite.
struct Wire<'a>(&'a [u8]);

impl Read for Wire<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() { Err(io::ErrorKind::WouldBlock.into()) } else { self.0.read(buf) }
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn tungstenite(stream: &[u8]) -> Outcome {
    let config = WebSocketConfig::default().max_message_size(Some(MAX)).max_frame_size(Some(MAX));
    let mut context = WebSocketContext::new(Side::Server, Some(config));
    let mut wire = Wire(stream);
    let mut messages = Vec::new();
    let failed = loop {
        messages.push(match context.read(&mut wire) {
            Ok(Peer::Text(text)) => Message::Text(text.as_str().to_owned().into()),
            Ok(Peer::Binary(bytes)) => Message::Binary(bytes.to_vec().into()),
            Ok(Peer::Ping(bytes)) => Message::Ping(bytes.to_vec().into()),
            Ok(Peer::Pong(bytes)) => Message::Pong(bytes.to_vec().into()),
            // What tungstenite returns for a code that must not be sent.
            Ok(Peer::Close(Some(close))) if close.reason == "Protocol violation" => {
                break Some(CloseCode(close.code.into()));
            }
            Ok(Peer::Close(close)) => {
                messages.push(Message::Close(close.map(|close| Close {
                    code: CloseCode(close.code.into()),
                    reason: close.reason.as_str().to_owned().into(),
                })));
                break None;
            }
            Ok(Peer::Frame(_)) => unreachable!("only for writing"),
            Err(Failure::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => break None,
            Err(Failure::Capacity(_)) => break Some(CloseCode::TOO_BIG),
            Err(Failure::Utf8(_)) => break Some(CloseCode::INVALID),
            Err(Failure::Protocol(_)) => break Some(CloseCode::PROTOCOL),
            Err(error) => panic!("{error}"),
        });
    };
    Outcome { messages, failed }
}

/// Payloads around every bound, some of them no UTF-8.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => "\\PC{0,40}".prop_map(String::into_bytes),
        2 => prop::collection::vec(any::<u8>(), 0..40),
        2 => select(vec![124, 125, 126, 127, MAX - 1, MAX]).prop_map(|len| vec![b'x'; len]),
        1 => Just(vec![b'x'; MAX + 1]),
    ]
}

fn control() -> impl Strategy<Value = Raw> {
    let payload = prop_oneof![9 => 0_usize..126, 1 => 126_usize..130];
    (select(vec![0x89, 0x8a]), payload).prop_map(|(first, len)| Raw::new(first, &vec![7; len]))
}

/// A message in fragments, cut anywhere, with control frames between them.
fn fragments() -> impl Strategy<Value = Vec<Raw>> {
    let cuts = prop::collection::vec(any::<prop::sample::Index>(), 0..4);
    let between = prop::collection::vec(prop::option::of(control()), 5);
    (select(vec![1, 2]), payload(), cuts, between).prop_map(|(opcode, payload, cuts, between)| {
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(payload.len() + 1)).collect();
        cuts.extend([0, payload.len()]);
        cuts.sort_unstable();
        let count = cuts.len() - 1;
        let mut frames = Vec::new();
        for (number, (ends, control)) in cuts.windows(2).zip(between).enumerate() {
            let fin = if number + 1 == count { 0x80 } else { 0 };
            let opcode = if number == 0 { opcode } else { 0 };
            frames.push(Raw::new(fin | opcode, &payload[ends[0]..ends[1]]));
            frames.extend(control);
        }
        frames
    })
}

fn close() -> impl Strategy<Value = Vec<Raw>> {
    // tungstenite refuses 1014, which is registered since it was written.
    let code = (0_u16..5100).prop_filter("1014", |&code| code != 1014);
    let reason = prop::collection::vec(select(vec![b'a', b'b', 0xff]), 0..3);
    prop_oneof![
        code.prop_map(|code| Raw::new(0x88, &[&code.to_be_bytes(), &b"reason"[..]].concat())),
        reason.prop_map(|reason| Raw::new(0x88, &[&1000_u16.to_be_bytes(), &reason[..]].concat())),
        Just(Raw::new(0x88, b"")),
        Just(Raw::new(0x88, b"x")),
    ]
    .prop_map(|frame| vec![frame])
}

/// A frame with one flaw.
fn broken() -> impl Strategy<Value = Vec<Raw>> {
    prop_oneof![
        any::<u8>().prop_map(|first| Raw::new(first, b"payload")),
        Just(Raw { masked: false, ..Raw::new(0x81, b"not masked") }),
        Just(Raw::new(0x80, b"nothing to continue")),
    ]
    .prop_map(|frame| vec![frame])
}

fn stream() -> impl Strategy<Value = Vec<Raw>> {
    let whole = (select(vec![0x81, 0x82]), payload())
        .prop_map(|(first, payload)| vec![Raw::new(first, &payload)]);
    let part = prop_oneof![
        8 => whole,
        8 => fragments(),
        3 => control().prop_map(|frame| vec![frame]),
        1 => close(),
        1 => broken(),
    ];
    prop::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
}

fn bytes(frames: &[Raw]) -> Vec<u8> {
    frames.iter().flat_map(Raw::bytes).collect()
}

/// What a server makes of bytes that arrive at once.
fn at_once(bytes: &[u8]) -> Result<Option<Message<'static>>, Error> {
    let mut bytes = bytes.to_vec();
    Decoder::new(Role::Server, MAX).decode(&mut &mut bytes[..]).map(|message| message.map(owned))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_stream_means_what_it_means_to_tungstenite(frames in stream()) {
        let stream = bytes(&frames);
        let expected = tungstenite(&stream);
        prop_assert_eq!(decoded(Role::Server, &stream, &[usize::MAX]), expected);
    }

    #[test]
    fn cuts_change_nothing(frames in stream(), sizes in prop::collection::vec(1_usize..60, 1..9)) {
        let stream = bytes(&frames);
        let whole = decoded(Role::Server, &stream, &[usize::MAX]);
        prop_assert_eq!(&decoded(Role::Server, &stream, &sizes), &whole);
        prop_assert_eq!(decoded(Role::Server, &stream, &[1]), whole);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), size in 1_usize..30) {
        decoded(Role::Server, &bytes, &[size]);
        decoded(Role::Client, &bytes, &[size]);
    }

    #[test]
    fn what_is_encoded_is_decoded(payload in payload(), key: Option<[u8; 4]>, size in 1_usize..80) {
        let mask = key.map(Mask);
        let role = if mask.is_some() { Role::Server } else { Role::Client };
        let payload = &payload[..payload.len().min(MAX)];
        let mut stream = Vec::new();
        encode(&mut stream, Opcode::Binary, payload, mask);
        encode_close(&mut stream, CloseCode::AWAY, &"ü".repeat(100), mask);
        let close = Close { code: CloseCode::AWAY, reason: "ü".repeat(61).into() };
        let messages =
            vec![Message::Binary(payload.to_vec().into()), Message::Close(Some(close))];
        prop_assert_eq!(decoded(role, &stream, &[size]), Outcome { messages, failed: None });
    }
}

#[test]
fn a_whole_message_is_borrowed() {
    let mut bytes = Raw::new(0x81, b"text").bytes();
    let mut decoder = Decoder::new(Role::Server, MAX);
    let mut input = &mut bytes[..];
    assert!(matches!(decoder.decode(&mut input), Ok(Some(Message::Text(Cow::Borrowed("text"))))));
    assert!(!decoder.is_mid_message());
    assert_eq!(decoder.buffered(), 0);
}

#[test]
fn a_header_that_is_broken_is_refused_before_its_payload() {
    for (bytes, violation) in [
        (&[0xc1][..], Violation::ReservedBits),
        (&[0x83], Violation::ReservedOpcode(3)),
        (&[0x09], Violation::FragmentedControl),
        (&[0x81, 0x05], Violation::NotMasked),
        (&[0x89, 0xfe], Violation::LongControl),
        (&[0x81, 0xfe, 0, 125], Violation::Length),
        (&[0x81, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff], Violation::Length),
        (&[0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0], Violation::Length),
        (&[0x80, 0x85, 1, 2, 3, 4], Violation::NothingToContinue),
    ] {
        assert_eq!(at_once(bytes), Err(violation.into()), "{bytes:x?}");
    }
    assert_eq!(at_once(&[0x82, 0xfe, 0x03, 0xe9, 1, 2, 3, 4]), Err(Error::TooLong { max: MAX }));
}

#[test]
fn a_text_is_refused_at_its_first_wrong_byte() {
    let mut frame = Raw::new(0x01, b"abc\xff").bytes();
    frame[1] = 0x80 | 100;
    assert_eq!(at_once(&frame), Err(Error::NotUtf8));
    let mut frame = Raw::new(0x81, "é".as_bytes()).bytes();
    frame.pop();
    assert_eq!(at_once(&frame), Ok(None));
}

#[test]
fn what_is_announced_takes_no_memory() {
    let mut decoder = Decoder::new(Role::Server, usize::MAX);
    let mut bytes = vec![0x82, 0xff, 0, 0, 0x10, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5];
    assert_eq!(decoder.decode(&mut &mut bytes[..]), Ok(None));
    assert!(decoder.is_mid_message() && decoder.buffered() < 100, "{}", decoder.buffered());
}

#[test]
fn the_code_that_was_registered_last_may_be_sent() {
    let close = Close { code: CloseCode(1014), reason: "".into() };
    assert_eq!(
        at_once(&Raw::new(0x88, &[0x03, 0xf6]).bytes()),
        Ok(Some(Message::Close(Some(close))))
    );
}
