//! Where in a frame a stream of bytes is (RFC 6455, section 5.2).

use std::slice;

/// Follows the frames in a stream of bytes by their headers. It judges
/// nothing: where a broken frame leads it does not matter, as that ends the connection.
#[derive(Debug, Default)]
pub(super) struct FrameTracker {
    /// A data message has begun in an earlier frame.
    in_message: bool,
    /// The first byte of the frame that has begun, once its header is complete.
    frame: Option<u8>,
    /// Bytes of its payload that are still to come.
    payload_left: u64,
    /// The header of the next frame, as far as it is here.
    header: [u8; MAX_HEADER],
    header_len: u8,
}

/// Two bytes, an extended length of eight, a mask of four.
const MAX_HEADER: usize = 14;

const FIN: u8 = 0x80;
const CONTROL: u8 = 0x08;
const MASKED: u8 = 0x80;
const LENGTH: u8 = 0x7f;

impl FrameTracker {
    /// Whether a message or a frame has begun that is not complete.
    pub(super) fn is_mid_message(&self) -> bool {
        self.in_message || self.frame.is_some() || self.header_len > 0
    }

    /// Follows `bytes` as far as to the end of the frame that they are in. Returns how many of
    /// them that are.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> usize {
        let mut rest = bytes.iter();
        let Some(first) = self.frame.or_else(|| self.take_header(&mut rest)) else {
            return bytes.len();
        };
        let header = bytes.len() - rest.len();
        let payload = usize::try_from(self.payload_left).unwrap_or(usize::MAX).min(rest.len());
        self.payload_left -= payload as u64;
        if self.payload_left > 0 {
            self.frame = Some(first);
        } else {
            self.frame = None;
            if first & CONTROL == 0 {
                self.in_message = first & FIN == 0;
            }
        }
        header + payload
    }

    /// Takes what is missing of a header. Returns its first byte when it is complete.
    fn take_header(&mut self, bytes: &mut slice::Iter<'_, u8>) -> Option<u8> {
        for &byte in bytes.by_ref() {
            self.header[usize::from(self.header_len)] = byte;
            self.header_len += 1;
            if let Some(header) = Header::parse(&self.header[..self.header_len.into()]) {
                self.payload_left = header.payload;
                self.header_len = 0;
                return Some(header.first);
            }
        }
        None
    }
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Its first byte.
    pub(super) first: u8,
    /// Its own length, in bytes.
    pub(super) len: usize,
    /// Whether a mask is the end of it.
    pub(super) is_masked: bool,
    /// The length of the payload behind it.
    pub(super) payload: u64,
}

impl Header {
    /// The header that `bytes` begin with, if it is all there.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let [first, second, ..] = *bytes else { return None };
        let is_masked = second & MASKED != 0;
        let (extended, payload) = match second & LENGTH {
            126 => (2, be(bytes.get(2..4)?)),
            127 => (8, be(bytes.get(2..10)?)),
            len => (0, u64::from(len)),
        };
        let len = 2 + extended + if is_masked { 4 } else { 0 };
        (len <= bytes.len()).then_some(Self { first, len, is_masked, payload })
    }
}

/// A number, the most significant byte first.
fn be(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |value, &byte| value << 8 | u64::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::iter;

    fn frame(first: u8, payload: usize) -> Vec<u8> {
        let mut frame = vec![first];
        match payload {
            0..126 => frame.push(MASKED | payload as u8),
            126..65536 => {
                frame.push(MASKED | 126);
                frame.extend_from_slice(&(payload as u16).to_be_bytes());
            }
            _ => {
                frame.push(MASKED | 127);
                frame.extend_from_slice(&(payload as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(&[1, 2, 3, 4]);
        frame.extend(iter::repeat_n(0xff, payload));
        frame
    }

    /// Whether the bytes end in the middle of a message, however they are cut; and that no step
    /// goes past the end of a frame.
    fn ends_mid_message(frames: &[Vec<u8>]) -> bool {
        let bytes = frames.concat();
        let ends: Vec<_> = frames
            .iter()
            .scan(0, |end, frame| {
                *end += frame.len();
                Some(*end)
            })
            .collect();
        let mut outcomes = Vec::new();
        for piece in [1, 2, 3, 7, 64, usize::MAX] {
            let mut tracker = FrameTracker::default();
            let mut at = 0;
            while at < bytes.len() {
                let end = at.saturating_add(piece).min(bytes.len());
                let taken = tracker.advance(&bytes[at..end]);
                let next = ends.iter().find(|&&end| end > at).unwrap();
                assert_eq!(at + taken, end.min(*next), "{piece} at {at}");
                at += taken;
            }
            outcomes.push(tracker.is_mid_message());
        }
        outcomes.dedup();
        assert_eq!(outcomes.len(), 1, "{outcomes:?}");
        outcomes[0]
    }

    #[test]
    fn whole_messages_leave_nothing_open() {
        assert!(!ends_mid_message(&[frame(0x81, 0)]));
        assert!(!ends_mid_message(&[frame(0x81, 5), frame(0x82, 300), frame(0x81, 70_000)]));
    }

    #[test]
    fn fragments_make_one_message() {
        assert!(ends_mid_message(&[frame(0x01, 5)]));
        assert!(ends_mid_message(&[frame(0x01, 5), frame(0x00, 0)]));
        assert!(!ends_mid_message(&[frame(0x01, 5), frame(0x00, 0), frame(0x80, 5)]));
    }

    #[test]
    fn control_frames_are_no_messages_and_may_stand_between_fragments() {
        assert!(!ends_mid_message(&[frame(0x89, 4), frame(0x8a, 2)]));
        assert!(ends_mid_message(&[frame(0x01, 5), frame(0x89, 4)]));
    }

    #[test]
    fn a_part_of_a_frame_is_seen() {
        for cut in 1..frame(0x81, 300).len() {
            let mut part = frame(0x81, 300);
            part.truncate(cut);
            assert!(ends_mid_message(&[frame(0x81, 5), part]), "{cut}");
        }
    }
}
