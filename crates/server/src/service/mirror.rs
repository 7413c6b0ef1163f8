//! Mirror: each message comes back as it came, text or binary.

use proto::frame::Opcode;

use super::{Incoming, Reply};

pub(super) const ABOUT: &str = "a message, text or binary, comes back as it came";

pub(super) fn answer(message: Incoming<'_>) -> Reply<'_> {
    match message {
        Incoming::Text(text) => Reply::text(text),
        Incoming::Binary(bytes) => Reply { opcode: Opcode::Binary, bytes: bytes.into() },
    }
}
