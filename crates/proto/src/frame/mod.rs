//! Frames of the WebSocket protocol (RFC 6455, sections 5 to 7): a codec for both roles, without
//! I/O.
//!
//! [`Decoder`] turns bytes, cut anywhere, into [`Message`]s; [`encode`] and [`encode_close`] turn
//! messages into frames. A message in one frame that is completely in the input is unmasked in
//! place and borrowed. Fragments, compressed messages, and frames of which a part has arrived, are
//! copied.

mod close;
mod decoder;
mod encoder;
mod error;
mod header;
mod mask;
mod message;
mod partial;

#[cfg(test)]
mod tests;

pub use close::{Close, CloseCode};
pub use decoder::{Decoder, max_deflated_payload};
pub use encoder::{encode, encode_close, encode_deflated, encode_header};
pub use error::{Error, Violation};
pub use header::{Header, MAX_HEADER};
pub use mask::Mask;
pub use message::Message;

/// Longest payload of a control frame, in bytes (RFC 6455, section 5.5).
pub const MAX_CONTROL_PAYLOAD: usize = 125;

/// The end of a connection that decodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Decodes the frames of a client, which have to be masked (RFC 6455, section 5.1).
    Server,
    /// Decodes the frames of a server, which must not be masked.
    Client,
}

/// The kind of a frame (RFC 6455, section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// A further fragment of a message.
    Continuation = 0x0,
    /// A text message, or its first fragment.
    Text = 0x1,
    /// A binary message, or its first fragment.
    Binary = 0x2,
    /// A Close frame.
    Close = 0x8,
    /// A Ping frame.
    Ping = 0x9,
    /// A Pong frame.
    Pong = 0xa,
}

impl Opcode {
    /// The opcode with this number; `None` if the number is reserved.
    #[must_use]
    pub fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xa => Self::Pong,
            _ => return None,
        })
    }

    /// Whether the frame is a control frame (RFC 6455, section 5.5).
    #[must_use]
    pub fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }
}
