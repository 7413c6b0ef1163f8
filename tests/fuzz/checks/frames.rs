//! The check of the frame codec, which has to hold for any bytes of a peer, cut into any pieces.
//!
//! An input is one byte for the role, the longest message and compression, one for the number of pieces,
//! the length less one of each piece, and the bytes of the peer.

use std::mem;

use proto::deflate::{Deflater, Inflater};
use proto::frame::{
    Decoder, Error, Header, MAX_CONTROL_PAYLOAD, Mask, Message, Opcode, Role, encode, encode_close,
    encode_deflated, encode_header, max_deflated_payload,
};

/// Longest messages, around the bounds of the three forms of a length.
const MAX_MESSAGES: [usize; 8] = [0, 1, 125, 126, 1000, 0xffff, 0x1_0000, usize::MAX];

const MAX_PIECES: usize = 8;

/// The key of the frames that are encoded here.
const KEY: Mask = Mask([0x37, 0xfa, 0x21, 0x3d]);

#[derive(Clone, Copy, Debug)]
struct Settings {
    role: Role,
    max_message: usize,
    /// Whether the peer may compress its messages.
    deflate: bool,
}

/// The messages of a stream, and the error that ended it.
#[derive(Debug, Default, PartialEq)]
struct Decoded<'a> {
    messages: Vec<Message<'a>>,
    error: Option<Error>,
}

pub(crate) fn check(input: &[u8]) {
    let Some((settings, pieces, stream)) = read(input) else { return };
    check_first_header(stream, settings.role);
    check_payload(stream, settings.max_message.min(1 << 20));

    let (mut whole, mut cut, mut single) = (stream.to_vec(), stream.to_vec(), stream.to_vec());
    let decoded = decode(settings, &mut whole, &[usize::MAX]);
    assert_eq!(decode(settings, &mut cut, &pieces), decoded, "pieces of {pieces:?}");
    assert_eq!(decode(settings, &mut single, &[1]), decoded, "single bytes");

    let mut encoded = encode_all(settings.role, &decoded.messages);
    let again = decode(settings, &mut encoded, &pieces);
    assert_eq!(again.error, None);
    assert_eq!(again.messages, decoded.messages);
}

fn read(input: &[u8]) -> Option<(Settings, Vec<usize>, &[u8])> {
    let (&[first, pieces], rest) = input.split_first_chunk()?;
    let role = if first & 1 == 0 { Role::Server } else { Role::Client };
    let max_message = MAX_MESSAGES[usize::from(first >> 1) % MAX_MESSAGES.len()];
    let (pieces, stream) = rest.split_at_checked(1 + usize::from(pieces) % MAX_PIECES)?;
    let pieces = pieces.iter().map(|&piece| usize::from(piece) + 1).collect();
    let deflate = first & 0x10 != 0;
    Some((Settings { role, max_message, deflate }, pieces, stream))
}

/// A header has only one form, so that encoding gives back the bytes that were decoded.
fn check_first_header(stream: &[u8], role: Role) {
    if let Ok(Some(header)) = Header::parse(stream, role, false) {
        let Header { fin, opcode, mask, payload, size, .. } = header;
        let mut encoded = Vec::new();
        encode_header(&mut encoded, fin, opcode, usize::try_from(payload).unwrap(), mask);
        assert_eq!(encoded, stream[..size]);
    }
}

/// A payload decompresses to no more than the limit, and the message survives compression and
/// decompression.
fn check_payload(payload: &[u8], max: usize) {
    let mut inflater = Inflater::default();
    let Ok(Message::Binary(message)) = inflater.message(Opcode::Binary, payload, max, None) else {
        return;
    };
    assert!(message.len() <= max, "{} bytes of {max}", message.len());
    let mut deflater = Deflater::default();
    let payload = deflater.payload(&message, 15).unwrap();
    assert!(payload.len() <= max_deflated_payload(message.len()), "{} bytes", payload.len());
    let again =
        Inflater::default().message(Opcode::Binary, payload, max, None).map(Message::into_owned);
    assert_eq!(again, Ok(Message::Binary(message)));
}

/// Decodes a stream in pieces of these lengths, over and over.
fn decode<'a>(settings: Settings, mut stream: &'a mut [u8], pieces: &[usize]) -> Decoded<'a> {
    let mut decoder = Decoder::new(settings.role, settings.max_message);
    if settings.deflate {
        decoder = decoder.with_deflate();
    }
    let mut decoded = Decoded::default();
    let mut fed = 0;
    for &piece in pieces.iter().cycle() {
        if stream.is_empty() {
            break;
        }
        let piece = piece.min(stream.len());
        fed += piece;
        let (mut input, rest) = mem::take(&mut stream).split_at_mut(piece);
        stream = rest;
        loop {
            match decoder.decode(&mut input) {
                Ok(Some(message)) => decoded.messages.push(message),
                Ok(None) => break,
                Err(error) => return Decoded { error: Some(error), ..decoded },
            }
        }
        assert!(input.is_empty(), "{} bytes are left although more is wanted", input.len());
        check_memory(&decoder, settings, fed);
    }
    decoded
}

/// Memory follows the bytes that have arrived, not the length in a header.
fn check_memory(decoder: &Decoder, settings: Settings, fed: usize) {
    let (arrived, buffered) = (decoder.arrived(), decoder.buffered());
    let deflated = max_deflated_payload(settings.max_message);
    let max = if settings.deflate { deflated } else { settings.max_message };
    assert!(arrived <= fed && arrived <= max, "{arrived} bytes of {fed}");
    assert!(buffered <= 2 * arrived + MAX_CONTROL_PAYLOAD, "{buffered} bytes for {arrived}");
    assert!(decoder.has_partial() || buffered == 0, "{buffered} bytes for nothing");
}

/// The frames in which a peer of `role` would send the messages.
fn encode_all(role: Role, messages: &[Message<'_>]) -> Vec<u8> {
    let mask = (role == Role::Server).then_some(KEY);
    let mut out = Vec::new();
    for message in messages {
        match message {
            Message::Text(text) => encode(&mut out, Opcode::Text, text.as_bytes(), mask),
            Message::Binary(bytes) => encode(&mut out, Opcode::Binary, bytes, mask),
            Message::Deflated(opcode, bytes) => encode_deflated(&mut out, *opcode, bytes, mask),
            Message::Ping(bytes) => encode(&mut out, Opcode::Ping, bytes, mask),
            Message::Pong(bytes) => encode(&mut out, Opcode::Pong, bytes, mask),
            Message::Close(Some(close)) => encode_close(&mut out, close.code, &close.reason, mask),
            Message::Close(None) => encode(&mut out, Opcode::Close, b"", mask),
        }
    }
    out
}
