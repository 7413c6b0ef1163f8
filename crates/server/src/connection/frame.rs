//! Frames as bytes (RFC 6455, section 5.2).

use std::ops::Range;

use super::tracker::Header;
use crate::service::{Incoming, Kind, Reply};

/// The first byte of a frame that holds a text as a whole.
const WHOLE_TEXT: u8 = 0x81;

/// The same of a binary message.
const WHOLE_BINARY: u8 = 0x82;

/// The protocol ping that asks a silent peer for a sign of life.
pub(super) const PING: [u8; 2] = [0x89, 0];

/// A frame from a client that holds a message as a whole, as nearly every one does.
#[derive(Debug)]
pub(super) struct Whole {
    kind: Kind,
    mask: [u8; 4],
    payload: Range<usize>,
}

impl Whole {
    /// The frame that `bytes` begin with. `None` if that is anything else, be it a frame of which
    /// a part is still to come, or one with more than `max_message` bytes.
    pub(super) fn parse(bytes: &[u8], max_message: usize) -> Option<Self> {
        let header = Header::parse(bytes).filter(|header| header.is_masked)?;
        let kind = match header.first {
            WHOLE_TEXT => Kind::Text,
            WHOLE_BINARY => Kind::Binary,
            _ => return None,
        };
        let len = usize::try_from(header.payload).ok().filter(|&len| len <= max_message)?;
        let (head, rest) = bytes.split_at(header.len);
        let mask = *head.last_chunk()?;
        (len <= rest.len()).then_some(Self { kind, mask, payload: header.len..header.len + len })
    }

    /// Takes the mask off the payload in `bytes`, or puts it on again.
    pub(super) fn mask(&self, bytes: &mut [u8]) {
        let mut chunks = bytes[self.payload.clone()].chunks_exact_mut(self.mask.len());
        for chunk in &mut chunks {
            chunk.iter_mut().zip(self.mask).for_each(|(byte, mask)| *byte ^= mask);
        }
        let rest = chunks.into_remainder();
        rest.iter_mut().zip(self.mask).for_each(|(byte, mask)| *byte ^= mask);
    }

    /// The message, once the mask is off; `None` if it is no valid text.
    pub(super) fn message<'a>(&self, bytes: &'a [u8]) -> Option<Incoming<'a>> {
        let payload = &bytes[self.payload.clone()];
        Some(match self.kind {
            Kind::Text => Incoming::Text(str::from_utf8(payload).ok()?),
            Kind::Binary => Incoming::Binary(payload),
        })
    }

    /// Where the next frame begins.
    pub(super) fn end(&self) -> usize {
        self.payload.end
    }
}

/// Appends the frame of a reply.
pub(super) fn append(frames: &mut Vec<u8>, reply: &Reply<'_>) {
    let first = match reply.kind {
        Kind::Text => WHOLE_TEXT,
        Kind::Binary => WHOLE_BINARY,
    };
    match reply.bytes.len() {
        len @ ..=125 => frames.extend_from_slice(&[first, len as u8]),
        len @ ..=0xffff => {
            frames.extend_from_slice(&[first, 126]);
            frames.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            frames.extend_from_slice(&[first, 127]);
            frames.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    frames.extend_from_slice(&reply.bytes);
}

/// `frames`, which were made by [`append`], with `new` in the place of those that are `old`.
pub(super) fn replace(mut frames: &[u8], old: &Reply<'_>, new: &Reply<'_>) -> Vec<u8> {
    let mut old_frame = Vec::new();
    append(&mut old_frame, old);
    let mut replaced = Vec::new();
    while let Some(header) = Header::parse(frames) {
        let len = header.len + header.payload as usize;
        let (frame, rest) = frames.split_at(len);
        if frame == old_frame {
            append(&mut replaced, new);
        } else {
            replaced.extend_from_slice(frame);
        }
        frames = rest;
    }
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

    fn opcode(kind: Kind) -> OpCode {
        OpCode::Data(if kind == Kind::Text { Data::Text } else { Data::Binary })
    }

    /// The frame that tungstenite makes of a message.
    fn formatted(kind: Kind, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
        let header = FrameHeader { opcode: opcode(kind), mask, ..FrameHeader::default() };
        let mut bytes = Vec::new();
        header.format(payload.len() as u64, &mut bytes).unwrap();
        let start = bytes.len();
        bytes.extend_from_slice(payload);
        if let Some(mask) = mask {
            let masked = bytes[start..].iter_mut().zip(mask.iter().cycle());
            masked.for_each(|(byte, mask)| *byte ^= mask);
        }
        bytes
    }

    fn kind() -> impl Strategy<Value = Kind> {
        prop_oneof![Just(Kind::Text), Just(Kind::Binary)]
    }

    fn payload() -> impl Strategy<Value = Vec<u8>> {
        (prop_oneof![0_usize..300, 65_530_usize..65_545], any::<u8>())
            .prop_map(|(len, seed)| (0..len).map(|at| (at as u8).wrapping_mul(seed)).collect())
    }

    proptest! {
        #[test]
        fn a_whole_message_is_taken_as_it_was_sent(
            kind in kind(),
            payload in payload(),
            mask: [u8; 4],
            behind: [u8; 3],
        ) {
            let mut bytes = formatted(kind, &payload, Some(mask));
            let end = bytes.len();
            bytes.extend_from_slice(&behind);
            let frame = Whole::parse(&bytes, payload.len()).unwrap();
            prop_assert_eq!(frame.end(), end);
            let masked = bytes.clone();
            frame.mask(&mut bytes);
            let expected = match (kind, str::from_utf8(&payload)) {
                (Kind::Binary, _) => Some(Incoming::Binary(&payload)),
                (Kind::Text, text) => text.ok().map(Incoming::Text),
            };
            prop_assert_eq!(frame.message(&bytes), expected);
            frame.mask(&mut bytes);
            prop_assert_eq!(bytes, masked);
        }

        #[test]
        fn everything_else_is_left(kind in kind(), payload in payload(), mask: [u8; 4]) {
            let bytes = formatted(kind, &payload, Some(mask));
            let cuts = [1, 2, 5, bytes.len() - payload.len(), bytes.len() - 1];
            for cut in cuts.into_iter().filter(|&cut| cut < bytes.len()) {
                prop_assert!(Whole::parse(&bytes[..cut], usize::MAX).is_none());
            }
            if let Some(less) = payload.len().checked_sub(1) {
                prop_assert!(Whole::parse(&bytes, less).is_none());
            }
            let unmasked = formatted(kind, &payload, None);
            prop_assert!(Whole::parse(&unmasked, usize::MAX).is_none());
            for first in (0..=u8::MAX).filter(|first| ![WHOLE_TEXT, WHOLE_BINARY].contains(first)) {
                let mut other = bytes.clone();
                other[0] = first;
                prop_assert!(Whole::parse(&other, usize::MAX).is_none());
            }
        }

        #[test]
        fn replies_are_the_frames_that_tungstenite_makes(kind in kind(), payload in payload()) {
            let reply = Reply { kind, bytes: payload.as_slice().into() };
            let mut frames = Vec::new();
            append(&mut frames, &reply);
            prop_assert_eq!(frames, formatted(kind, &payload, None));
        }

        #[test]
        fn replies_of_one_kind_are_replaced(is_old in prop::collection::vec(any::<bool>(), 0..9)) {
            let [old, other] = ["old", "other"].map(Reply::text);
            let new = Reply::text("new".repeat(100));
            let [mut frames, mut expected] = [Vec::new(), Vec::new()];
            for is_old in is_old {
                append(&mut frames, if is_old { &old } else { &other });
                append(&mut expected, if is_old { &new } else { &other });
            }
            prop_assert_eq!(replace(&frames, &old, &new), expected);
        }
    }
}
