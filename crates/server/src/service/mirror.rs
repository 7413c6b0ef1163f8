//! Mirror: each message comes back as it came, text or binary.

use tokio_tungstenite::tungstenite::Message;

use super::{Kind, Reply};

pub(super) const ABOUT: &str = "a message, text or binary, comes back as it came";

pub(super) fn answer(message: &Message) -> Reply {
    let kind = if message.is_text() { Kind::Text } else { Kind::Binary };
    let bytes = match message {
        Message::Text(text) => text.as_bytes(),
        Message::Binary(bytes) => bytes,
        _ => &[],
    };
    Reply { kind, bytes: bytes.to_vec().into() }
}
