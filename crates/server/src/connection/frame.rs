//! Frames as bytes (RFC 6455, section 5.2).

use std::io::Cursor;
use std::ops::Range;

use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::service::{Incoming, Kind, Reply};

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
        let mut cursor = Cursor::new(bytes);
        let (header, len) = FrameHeader::parse(&mut cursor).ok()??;
        let FrameHeader { is_final: true, rsv1: false, rsv2: false, rsv3: false, .. } = header
        else {
            return None;
        };
        let kind = match header.opcode {
            OpCode::Data(Data::Text) => Kind::Text,
            OpCode::Data(Data::Binary) => Kind::Binary,
            _ => return None,
        };
        let start = cursor.position() as usize;
        let len = usize::try_from(len).ok().filter(|&len| len <= max_message)?;
        (len <= bytes.len() - start).then_some(Self {
            kind,
            mask: header.mask?,
            payload: start..start + len,
        })
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
///
/// # Errors
/// Never: memory takes what it is given.
pub(super) fn append(frames: &mut Vec<u8>, reply: &Reply<'_>) -> Result<(), Error> {
    let data = match reply.kind {
        Kind::Text => Data::Text,
        Kind::Binary => Data::Binary,
    };
    let header = FrameHeader { opcode: OpCode::Data(data), ..FrameHeader::default() };
    header.format(reply.bytes.len() as u64, frames)?;
    frames.extend_from_slice(&reply.bytes);
    Ok(())
}

/// `frames`, which were made by [`append`], with `new` in the place of those that are `old`.
///
/// # Errors
/// If `frames` are none.
pub(super) fn replace(
    mut frames: &[u8],
    old: &Reply<'_>,
    new: &Reply<'_>,
) -> Result<Vec<u8>, Error> {
    let [mut old_frame, mut new_frame] = [Vec::new(), Vec::new()];
    append(&mut old_frame, old)?;
    append(&mut new_frame, new)?;
    let mut replaced = Vec::new();
    while !frames.is_empty() {
        let mut cursor = Cursor::new(frames);
        let len = FrameHeader::parse(&mut cursor)?.map_or(0, |(_, len)| len);
        let (frame, rest) = frames.split_at((cursor.position() + len) as usize);
        replaced.extend_from_slice(if frame == old_frame { &new_frame } else { frame });
        frames = rest;
    }
    Ok(replaced)
}
