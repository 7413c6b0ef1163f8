//! Errors in the frames of a peer, with their close codes.

use std::fmt;
use std::str::Utf8Error;

use super::{CloseCode, MAX_CONTROL_PAYLOAD};

/// Why the frames of a peer cannot be decoded any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The peer broke the protocol.
    Protocol(Violation),
    /// A text, or the reason of a Close frame, is not UTF-8 (RFC 6455, section 8.1).
    NotUtf8,
    /// The payload of a compressed message is not valid DEFLATE data (RFC 7692, section 7.2.2).
    NotDeflate,
    /// A message is longer than `max` bytes (RFC 6455, section 10.4), after decompression.
    TooLong {
        /// The limit, in bytes.
        max: usize,
    },
}

/// A rule of RFC 6455 that a frame breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A reserved bit is set and no extension was agreed (section 5.2).
    ReservedBits,
    /// A reserved bit is set that has no meaning there, although permessage-deflate was agreed
    /// (RFC 7692, section 6).
    ReservedBitsOfExtension,
    /// The opcode is reserved (section 5.2).
    ReservedOpcode(u8),
    /// The frame of a client is not masked (section 5.1).
    NotMasked,
    /// The frame of a server is masked (section 5.1).
    Masked,
    /// The length is not in its shortest form, or is above 2^63 - 1 (section 5.2).
    Length,
    /// A control frame is fragmented (section 5.5).
    FragmentedControl,
    /// A control frame has a payload of more than 125 bytes (section 5.5).
    LongControl,
    /// A continuation frame without a message to continue (section 5.4).
    NothingToContinue,
    /// A message begins before the previous one has ended (section 5.4).
    UnfinishedMessage,
    /// The body of a Close frame has one byte (section 5.5.1).
    CloseBody,
    /// A Close frame has a code that must not be sent (section 7.4).
    CloseCode(CloseCode),
}

impl Error {
    /// The code to close the connection with.
    #[must_use]
    pub fn close_code(self) -> CloseCode {
        match self {
            Self::Protocol(_) => CloseCode::PROTOCOL,
            Self::NotUtf8 | Self::NotDeflate => CloseCode::INVALID,
            Self::TooLong { .. } => CloseCode::TOO_BIG,
        }
    }
}

impl From<Violation> for Error {
    fn from(violation: Violation) -> Self {
        Self::Protocol(violation)
    }
}

impl From<Utf8Error> for Error {
    fn from(_: Utf8Error) -> Self {
        Self::NotUtf8
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(violation) => violation.fmt(f),
            Self::NotUtf8 => f.write_str("the text is not UTF-8"),
            Self::NotDeflate => f.write_str("the compressed message cannot be decompressed"),
            Self::TooLong { max } => write!(f, "the message has more than {max} bytes"),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReservedBits => f.write_str("a reserved bit is set and no extension was agreed"),
            Self::ReservedBitsOfExtension => {
                f.write_str("a reserved bit is set that permessage-deflate gives no meaning there")
            }
            Self::ReservedOpcode(opcode) => write!(f, "opcode {opcode:#x} is reserved"),
            Self::NotMasked => f.write_str("a frame of a client is not masked"),
            Self::Masked => f.write_str("a frame of a server is masked"),
            Self::Length => f.write_str("a length is not in its shortest form or above 2^63 - 1"),
            Self::FragmentedControl => f.write_str("a control frame is fragmented"),
            Self::LongControl => {
                write!(f, "a control frame has more than {MAX_CONTROL_PAYLOAD} bytes")
            }
            Self::NothingToContinue => f.write_str("a continuation without a message"),
            Self::UnfinishedMessage => {
                f.write_str("a message begins before the previous one has ended")
            }
            Self::CloseBody => f.write_str("the body of a Close frame has one byte"),
            Self::CloseCode(code) => write!(f, "close code {code} must not be sent"),
        }
    }
}
