//! The header of a frame (RFC 6455, section 5.2).

use super::{Error, MAX_CONTROL_PAYLOAD, Mask, Opcode, Role, Violation};

/// Longest header, in bytes: two, an extended length of eight, a masking key of four.
pub const MAX_HEADER: usize = 14;

pub(super) const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
/// RSV1: the message is compressed (RFC 7692, section 6).
pub(super) const DEFLATED: u8 = 0x40;
const OPCODE: u8 = 0x0f;
pub(super) const MASKED: u8 = 0x80;
const LENGTH: u8 = 0x7f;

/// Values of the length field for a length in the next two, or eight, bytes.
pub(super) const LENGTH_16: u8 = 126;
pub(super) const LENGTH_64: u8 = 127;

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whether the frame is the last one of its message.
    pub fin: bool,
    /// The kind of the frame.
    pub opcode: Opcode,
    /// Whether the frame begins a compressed message.
    pub deflated: bool,
    /// The masking key, if the payload is masked.
    pub mask: Option<Mask>,
    /// Length of the payload, in bytes.
    pub payload: u64,
    /// Length of the header itself, in bytes.
    pub size: usize,
}

impl Header {
    /// Parses the header at the beginning of `bytes`; `None` if a part of the header is missing.
    /// `deflate`: compressed messages were agreed on.
    ///
    /// # Errors
    /// When the bytes break a rule, even if a part of the header is missing.
    #[inline]
    pub fn parse(bytes: &[u8], role: Role, deflate: bool) -> Result<Option<Self>, Violation> {
        let Some(&first) = bytes.first() else { return Ok(None) };
        let fin = first & FIN != 0;
        let deflated = first & RESERVED != 0;
        let bits = first & OPCODE;
        if deflated {
            check_reserved(first, deflate)?;
        }
        let opcode = Opcode::from_bits(bits).ok_or(Violation::ReservedOpcode(bits))?;
        if opcode.is_control() && !fin {
            return Err(Violation::FragmentedControl);
        }
        let Some(&second) = bytes.get(1) else { return Ok(None) };
        match (role, second & MASKED != 0) {
            (Role::Server, false) => return Err(Violation::NotMasked),
            (Role::Client, true) => return Err(Violation::Masked),
            _ => {}
        }
        let length = second & LENGTH;
        if opcode.is_control() && usize::from(length) > MAX_CONTROL_PAYLOAD {
            return Err(Violation::LongControl);
        }
        let (payload, size) = match length {
            LENGTH_16 | LENGTH_64 => match extended_length(bytes, length)? {
                Some(extended) => extended,
                None => return Ok(None),
            },
            length => (length.into(), 2),
        };
        let (mask, size) = match role {
            Role::Client => (None, size),
            Role::Server => match bytes[size..].first_chunk() {
                Some(&key) => (Some(Mask(key)), size + key.len()),
                None => return Ok(None),
            },
        };
        Ok(Some(Self { fin, opcode, deflated, mask, payload, size }))
    }

    /// Length of the payload, if the message of `before` bytes so far stays within `max` bytes.
    pub(super) fn payload_within(&self, max: usize, before: usize) -> Result<usize, Error> {
        usize::try_from(self.payload)
            .ok()
            .filter(|payload| payload.checked_add(before).is_some_and(|len| len <= max))
            .ok_or(Error::TooLong { max })
    }
}

/// The first byte of a frame with a reserved bit: only RSV1 has a meaning, and only at the
/// beginning of a text or binary message (RFC 7692, section 6).
#[cold]
fn check_reserved(first: u8, deflate: bool) -> Result<(), Violation> {
    let begins_message = matches!(first & OPCODE, 0x1 | 0x2);
    if !deflate {
        Err(Violation::ReservedBits)
    } else if first & RESERVED != DEFLATED || !begins_message {
        Err(Violation::ReservedBitsOfExtension)
    } else {
        Ok(())
    }
}

/// The extended length of a payload, and the offset at which its field ends.
fn extended_length(bytes: &[u8], length: u8) -> Result<Option<(u64, usize)>, Violation> {
    let field = &bytes[2..];
    let (payload, size, least) = if length == LENGTH_16 {
        let Some(&length) = field.first_chunk() else { return Ok(None) };
        (u16::from_be_bytes(length).into(), 4, 126)
    } else {
        let Some(&length) = field.first_chunk() else { return Ok(None) };
        (u64::from_be_bytes(length), 10, 1 << 16)
    };
    if payload < least || payload > i64::MAX as u64 {
        return Err(Violation::Length);
    }
    Ok(Some((payload, size)))
}
