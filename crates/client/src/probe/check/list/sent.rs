//! The frames that a check sends, as bytes and as text.

use std::fmt;

use proto::frame::{Opcode, encode};

use crate::net::socket::mask;

/// Bytes of a payload that are shown.
const SHOWN: usize = 16;

/// Frames to send.
#[derive(Clone, Copy, Debug)]
pub(in super::super) enum Sent {
    /// Masked frames with less than 65,536 bytes of payload: first byte and payload of each.
    Masked(&'static [(u8, &'static [u8])]),
    /// A masked frame, each byte sent alone.
    Pieces(u8, &'static [u8]),
    /// Bytes sent unchanged.
    Raw(&'static [u8]),
    /// A text message of this many letters.
    Text(usize),
}

impl Sent {
    pub(in super::super) fn to_bytes(self) -> Vec<u8> {
        match self {
            Self::Masked(frames) => {
                frames.iter().flat_map(|(first, payload)| frame(*first, payload)).collect()
            }
            Self::Pieces(first, payload) => frame(first, payload),
            Self::Raw(bytes) => bytes.to_vec(),
            Self::Text(length) => frame(0x81, &vec![b'x'; length]),
        }
    }
}

/// A masked frame with this first byte: FIN, reserved bits, and opcode.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(&mut bytes, Opcode::Binary, payload, Some(mask()));
    bytes[0] = first;
    bytes
}

/// The first byte of each frame, and the payload before masking.
impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let frame = |first: u8, payload: &[u8]| {
            let beginning = &payload[..payload.len().min(SHOWN)];
            let more = if payload.len() > SHOWN { "..." } else { "" };
            format!("{first:02x} \"{}{more}\"", beginning.escape_ascii())
        };
        match self {
            Self::Masked(frames) => {
                let shown = frames.iter().map(|(first, payload)| frame(*first, payload));
                f.write_str(&shown.collect::<Vec<_>>().join(", "))
            }
            Self::Pieces(first, payload) => write!(f, "{} byte by byte", frame(*first, payload)),
            Self::Raw(bytes) => {
                let shown = bytes.iter().map(|byte| format!("{byte:02x}"));
                f.write_str(&shown.collect::<Vec<_>>().join(" "))
            }
            Self::Text(length) => write!(f, "81 and {length} letters"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_shown_before_masking() {
        for (sent, shown) in [
            (Sent::Masked(&[(0xc1, b"rsv1")]), r#"c1 "rsv1""#),
            (Sent::Masked(&[(0x01, b"a \xff"), (0x80, b"")]), r#"01 "a \xff", 80 """#),
            (Sent::Masked(&[(0x89, &[b'p'; 17])]), r#"89 "pppppppppppppppp...""#),
            (Sent::Pieces(0x89, b"x"), r#"89 "x" byte by byte"#),
            (Sent::Raw(b"\x81\xfe\0"), "81 fe 00"),
            (Sent::Text(300), "81 and 300 letters"),
        ] {
            assert_eq!(sent.to_string(), shown);
        }
    }
}
