//! Tests: the negotiation in [`params`], compression compared with `miniz_oxide` here.

mod params;

use miniz_oxide::deflate::core::{CompressorOxide, create_comp_flags_from_zip_params};
use miniz_oxide::deflate::stream::deflate;
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};
use miniz_oxide::{DataFormat, MZFlush};
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::frame::{
    CloseCode, Decoder, Error, Mask, Message, Opcode, Role, Violation, encode, encode_deflated,
    max_deflated_payload,
};

/// Longest message, in bytes.
const MAX: usize = 100_000;

/// The payload of a message, compressed by `miniz_oxide`.
fn miniz_payload(state: &mut CompressorOxide, message: &[u8]) -> Vec<u8> {
    let mut out = vec![0; message.len() + message.len() / 2 + 1000];
    let result = deflate(state, message, &mut out, MZFlush::Sync);
    assert!(result.status.is_ok() && result.bytes_consumed == message.len());
    out.truncate(result.bytes_written);
    out.strip_suffix(&TAIL).unwrap().to_vec()
}

fn miniz_compressor(level: u8) -> CompressorOxide {
    let mut state = CompressorOxide::new(create_comp_flags_from_zip_params(level.into(), -15, 0));
    state.set_format_and_level(DataFormat::Raw, level);
    state
}

/// Words, runs, and random bytes.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::collection::vec(select(vec!["ping", "pong ", "{\"", "ü", " "]), 0..2000);
    prop_oneof![
        4 => words.prop_map(|words| words.concat().into_bytes()),
        1 => (any::<u8>(), 0..MAX).prop_map(|(byte, len)| vec![byte; len]),
        1 => prop::collection::vec(any::<u8>(), 0..70_000),
    ]
}

fn inflated(payload: &[u8], max: usize) -> Result<Vec<u8>, Error> {
    match Inflater::default().message(Opcode::Binary, payload, max, None)? {
        Message::Binary(bytes) => Ok(bytes.into_owned()),
        other => panic!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Messages in fragments, with Ping frames between them, cut anywhere.
    #[test]
    fn messages_compressed_by_miniz_oxide_are_decompressed(
        messages in prop::collection::vec(message(), 1..4),
        level in 0_u8..=10,
        fragment in 1_usize..5000,
        cut in 1_usize..3000,
    ) {
        let mask = Some(Mask([1, 2, 3, 4]));
        let mut stream = Vec::new();
        for message in &messages {
            let payload = miniz_payload(&mut miniz_compressor(level), message);
            if payload.len() <= fragment {
                encode_deflated(&mut stream, Opcode::Binary, &payload, mask);
                continue;
            }
            let count = payload.chunks(fragment).count();
            for (number, part) in payload.chunks(fragment).enumerate() {
                let start = stream.len();
                let opcode = if number == 0 { Opcode::Binary } else { Opcode::Continuation };
                encode(&mut stream, opcode, part, mask);
                if number + 1 < count {
                    stream[start] &= 0x7f;
                    encode(&mut stream, Opcode::Ping, b"between", mask);
                }
                if number == 0 {
                    stream[start] |= 0x40;
                }
            }
        }
        let mut decoder = Decoder::new(Role::Server, MAX).with_deflate();
        let mut inflater = Inflater::default();
        let mut arrived = Vec::new();
        for piece in stream.chunks_mut(cut) {
            let mut input = piece;
            while let Some(message) = decoder.decode(&mut input).unwrap() {
                match message {
                    Message::Deflated(opcode, payload) => {
                        let message = inflater.message(opcode, &payload, MAX, None).unwrap();
                        arrived.push(message.into_owned());
                    }
                    Message::Ping(payload) => prop_assert_eq!(&*payload, b"between"),
                    other => panic!("{other:?}"),
                }
            }
        }
        let sent: Vec<_> = messages.into_iter().map(|sent| Message::Binary(sent.into())).collect();
        prop_assert_eq!(arrived, sent);
    }

    #[test]
    fn compressed_messages_are_decompressed_by_miniz_oxide(
        messages in prop::collection::vec(message(), 1..4),
        bits in 8_u8..=15,
    ) {
        let mut deflater = Deflater::default();
        for message in &messages {
            let Some(payload) = deflater.payload(message, bits) else {
                prop_assert!(bits == 8 && message.len() > 256);
                continue;
            };
            prop_assert!(payload.len() <= max_deflated_payload(message.len()), "{}", payload.len());
            prop_assert_eq!(miniz_message(payload, bits), Some(message.clone()));
        }
    }

    /// A peer with context takeover.
    #[test]
    fn a_message_may_refer_to_earlier_ones_in_the_window(messages in prop::collection::vec(message(), 1..6)) {
        let (mut state, mut window) = (miniz_compressor(6), Window::default());
        let mut inflater = Inflater::default();
        for message in messages {
            let payload = miniz_payload(&mut state, &message);
            let arrived = inflater.message(Opcode::Binary, &payload, MAX, Some(&mut window));
            prop_assert_eq!(arrived, Ok(Message::Binary(message.into())));
        }
    }

    #[test]
    fn no_payload_panics_or_passes_the_limit(
        mut payload in prop::collection::vec(any::<u8>(), 0..300),
        words in prop::collection::vec(select(vec!["ping", "pong"]), 0..200),
        at: prop::sample::Index,
        max in 0_usize..1000,
    ) {
        let check = |payload: &[u8]| match inflated(payload, max) {
            Ok(message) => assert!(message.len() <= max),
            Err(error) => assert!(matches!(error, Error::NotDeflate | Error::TooLong { .. })),
        };
        check(&payload);
        let mut broken = miniz_payload(&mut miniz_compressor(6), words.concat().as_bytes());
        let at = at.index(broken.len());
        broken[at] ^= payload.pop().unwrap_or(1);
        check(&broken);
    }
}

/// The message with this payload, decompressed by `miniz_oxide` with a window of 2^`bits` bytes;
/// `None` if that is too small.
fn miniz_message(payload: &[u8], bits: u8) -> Option<Vec<u8>> {
    let input = [payload, &TAIL, &[0x01, 0x00, 0x00, 0xff, 0xff]].concat();
    let (mut state, mut ring) = (DecompressorOxide::new(), vec![0; 1 << bits]);
    let (mut taken, mut at, mut message) = (0, 0, Vec::new());
    loop {
        let (status, read, written) = decompress(&mut state, &input[taken..], &mut ring, at, 0);
        message.extend_from_slice(&ring[at..at + written]);
        taken += read;
        at = (at + written) % ring.len();
        match status {
            TINFLStatus::HasMoreOutput => {}
            TINFLStatus::Done if taken == input.len() => return Some(message),
            _ => return None,
        }
    }
}

#[test]
fn a_smaller_window_is_kept_to() {
    let block: Vec<_> =
        (0_u32..700).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let message = [&block[..], &block].concat();
    let mut deflater = Deflater::default();
    let wide = deflater.payload(&message, 15).unwrap().to_vec();
    assert!(wide.len() < 3500 && miniz_message(&wide, 9) != Some(message.clone()));
    let narrow = deflater.payload(&message, 9).unwrap();
    assert!(narrow.len() > 5000 && miniz_message(narrow, 9) == Some(message));
}

/// The examples of RFC 7692, section 7.2.3, and other payloads that peers send.
#[test]
fn payloads_of_each_form_are_decompressed() {
    const HELLO: &[u8] = &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    for (payload, message) in [
        (HELLO, &b"Hello"[..]),
        // Stored.
        (&[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00], b"Hello"),
        // A last block, with and without an empty one after it.
        (&[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00], b"Hello"),
        (&[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00], b"Hello"),
        // Two blocks.
        (&[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00], b"Hello"),
        // Two last blocks.
        (
            &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00],
            b"HelloHello",
        ),
        (&[0x00], b""),
        (&[0x02, 0x00], b""),
        (&[], b""),
    ] {
        assert_eq!(inflated(payload, 10).as_deref(), Ok(message), "{payload:x?}");
    }
    // With context takeover (section 7.2.3.2).
    let (mut inflater, mut window) = (Inflater::default(), Window::default());
    for payload in [HELLO, &[0xf2, 0x00, 0x11, 0x00, 0x00]] {
        let message = inflater.message(Opcode::Text, payload, 10, Some(&mut window));
        assert_eq!(message, Ok(Message::Text("Hello".into())));
    }
}

#[test]
fn a_broken_payload_is_refused() {
    for payload in [
        &[0xff][..],
        // A block of the reserved type.
        &[0x06, 0x00],
        // Blocks that have not ended.
        &[0x00, 0x09, 0x00, 0xf6, 0xff, 0x48],
        &[0xf2, 0x48, 0xcd],
        // Bytes after a last block that are no block.
        &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0xff, 0xff],
        // A distance beyond the beginning.
        &[0xf2, 0x00, 0x11, 0x00, 0x00],
    ] {
        assert_eq!(inflated(payload, 10), Err(Error::NotDeflate), "{payload:x?}");
    }
    // Last blocks without end.
    assert_eq!(inflated(&[0x03, 0x00].repeat(100), 10), Ok(vec![]));
    assert_eq!(inflated(&[0x03, 0x00].repeat(102), 10), Err(Error::NotDeflate));
    assert_eq!(Error::NotDeflate.close_code(), CloseCode::INVALID);
    let text = Deflater::default().payload(b"\xff", 15).unwrap().to_vec();
    let text = Inflater::default().message(Opcode::Text, &text, 10, None).map(Message::into_owned);
    assert_eq!(text, Err(Error::NotUtf8));
}

#[test]
fn a_bomb_ends_at_the_limit() {
    let bomb = Deflater::default().payload(&vec![b' '; 1 << 24], 15).unwrap().to_vec();
    assert!(bomb.len() < 200_000);
    let mut inflater = Inflater::default();
    for max in [0, 1, 65_536] {
        let refused = inflater.message(Opcode::Text, &bomb, max, None).map(Message::into_owned);
        assert_eq!(refused, Err(Error::TooLong { max }));
        assert!(inflater.out.capacity() <= (2 * max).max(2048), "{}", inflater.out.capacity());
    }
    inflater.message(Opcode::Text, &bomb, 1 << 24, None).unwrap();
    inflater.trim();
    assert!(inflater.out.capacity() <= 65_536);
}

#[test]
fn a_reserved_bit_has_its_meaning_in_one_place_alone() {
    let decoded = |decoder: Decoder, bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        let mut decoder = decoder;
        decoder.decode(&mut &mut bytes[..]).map(|message| message.map(Message::into_owned))
    };
    let plain = || Decoder::new(Role::Client, MAX);
    let deflate = || plain().with_deflate();
    let message = Message::Deflated(Opcode::Text, b"\xff"[..].into());
    assert_eq!(decoded(deflate(), b"\xc1\x01\xff"), Ok(Some(message)));
    assert_eq!(decoded(plain(), b"\xc1\x01\xff"), Err(Violation::ReservedBits.into()));
    for bytes in
        [&b"\xa1"[..], b"\xd1", b"\xf2", b"\xc8", b"\xc9", b"\xca", b"\xc0", b"\x41\x01x\xc0"]
    {
        let refused = Err(Violation::ReservedBitsOfExtension.into());
        assert_eq!(decoded(deflate(), bytes), refused, "{bytes:x?}");
    }
    // An incompressible message is longer when it is compressed.
    let header = |len: usize| [&b"\xc2\x7f"[..], &(len as u64).to_be_bytes()].concat();
    assert_eq!(decoded(deflate(), &header(max_deflated_payload(MAX))), Ok(None));
    let refused = Err(Error::TooLong { max: MAX });
    assert_eq!(decoded(deflate(), &header(max_deflated_payload(MAX) + 1)), refused);
}
