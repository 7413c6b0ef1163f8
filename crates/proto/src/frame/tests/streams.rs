//! Random streams of frames: valid ones, and ones with a single flaw.

use proptest::prelude::*;
use proptest::sample::select;

use super::{MAX, Raw};

/// Payloads around every bound, some of them no UTF-8.
pub(super) fn payload() -> impl Strategy<Value = Vec<u8>> {
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
    // The codec and tungstenite differ on 1014: see `differences`.
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
        Just(Raw { has_wrong_mask: true, ..Raw::new(0x81, b"payload") }),
        Just(Raw::new(0x80, b"nothing to continue")),
    ]
    .prop_map(|frame| vec![frame])
}

/// Frames, with a flaw here and there.
pub(super) fn stream() -> impl Strategy<Value = Vec<Raw>> {
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
