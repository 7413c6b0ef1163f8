//! Compressed messages: the extension permessage-deflate (RFC 7692), for both roles.
//!
//! The two ends agree in the opening handshake ([`Params`]). A compressed message is a frame with
//! the bit RSV1, which the codec hands out as [`Message::Deflated`]; an [`Inflater`] makes a plain
//! message of it, and a [`Deflater`] the other way round. Neither knows of a connection, so many
//! connections may share one: with context takeover, the state that a message leaves for the next
//! one is in a [`Window`] of the connection; without, there is none.

mod deflater;
mod inflater;
mod params;

#[cfg(test)]
mod tests;

pub use deflater::Deflater;
pub use inflater::{Inflater, Window};
pub use params::{OFFER, Params, Sender};

#[cfg(doc)]
use crate::frame::Message;

/// The end of a block that a sender leaves out of each payload (RFC 7692, section 7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// Window of DEFLATE, in bits: distances of up to 32 KiB (RFC 1951, section 2).
const MAX_WINDOW_BITS: u8 = 15;

/// Smallest window that may be agreed on (RFC 7692, section 7.1.2).
const MIN_WINDOW_BITS: u8 = 8;

/// Memory that a [`Deflater`] or an [`Inflater`] keeps after a message, in bytes.
const KEPT: usize = 64 * 1024;
