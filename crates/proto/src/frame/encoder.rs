//! Encoding of frames (RFC 6455, section 5.2).

use super::header::{DEFLATED, FIN, LENGTH_16, LENGTH_64, MASKED, MAX_HEADER};
use super::{CloseCode, MAX_CONTROL_PAYLOAD, Mask, Opcode};

/// Appends a frame with a complete message, or a control frame. A client has to give an
/// unpredictable `mask` (RFC 6455, section 5.3), a server none.
#[inline]
pub fn encode(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8], mask: Option<Mask>) {
    push_frame(out, FIN | opcode as u8, payload, mask);
}

/// Appends a frame with a complete text or binary message whose `payload` is compressed (RFC 7692,
/// section 7.2.1).
pub fn encode_deflated(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8], mask: Option<Mask>) {
    push_frame(out, FIN | DEFLATED | opcode as u8, payload, mask);
}

/// Appends a frame whose header begins with the byte `first`.
#[inline]
fn push_frame(out: &mut Vec<u8>, first: u8, payload: &[u8], mask: Option<Mask>) {
    out.reserve(MAX_HEADER + payload.len());
    push_header(out, first, payload.len(), mask);
    let start = out.len();
    out.extend_from_slice(payload);
    if let Some(mask) = mask {
        mask.apply(&mut out[start..]);
    }
}

/// Appends the header of a frame whose payload has `len` bytes.
#[inline]
pub fn encode_header(out: &mut Vec<u8>, fin: bool, opcode: Opcode, len: usize, mask: Option<Mask>) {
    push_header(out, if fin { FIN } else { 0 } | opcode as u8, len, mask);
}

/// Appends the header that begins with the byte `first`.
#[inline]
fn push_header(out: &mut Vec<u8>, first: u8, len: usize, mask: Option<Mask>) {
    let masked = if mask.is_some() { MASKED } else { 0 };
    match len {
        ..126 => out.extend_from_slice(&[first, masked | len as u8]),
        126..=0xffff => {
            out.extend_from_slice(&[first, masked | LENGTH_16]);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        _ => {
            out.extend_from_slice(&[first, masked | LENGTH_64]);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    if let Some(Mask(key)) = mask {
        out.extend_from_slice(&key);
    }
}

/// Appends a Close frame. A `reason` that is too long for a control frame is truncated.
pub fn encode_close(out: &mut Vec<u8>, code: CloseCode, reason: &str, mask: Option<Mask>) {
    let reason = &reason[..reason.floor_char_boundary(MAX_CONTROL_PAYLOAD - 2)];
    let payload = [&code.0.to_be_bytes(), reason.as_bytes()].concat();
    encode(out, Opcode::Close, &payload, mask);
}
