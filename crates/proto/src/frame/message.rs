//! Messages and control frames as values.

use std::borrow::Cow;

use super::{Close, Error, Opcode};

/// A complete message or control frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A text message.
    Text(Cow<'a, str>),
    /// A binary message.
    Binary(Cow<'a, [u8]>),
    /// The payload of a compressed message, and whether the message is text or binary; only where
    /// compression was negotiated. [`crate::deflate::Inflater::message`] decompresses the payload.
    Deflated(Opcode, Cow<'a, [u8]>),
    /// A Ping frame, whose payload the Pong frame in reply has to repeat.
    Ping(Cow<'a, [u8]>),
    /// A Pong frame.
    Pong(Cow<'a, [u8]>),
    /// A Close frame; `None` without a code.
    Close(Option<Close<'a>>),
}

impl Message<'_> {
    /// The same message, independent of the input.
    #[must_use]
    pub fn into_owned(self) -> Message<'static> {
        match self {
            Self::Text(text) => Message::Text(text.into_owned().into()),
            Self::Binary(bytes) => Message::Binary(bytes.into_owned().into()),
            Self::Deflated(opcode, payload) => {
                Message::Deflated(opcode, payload.into_owned().into())
            }
            Self::Ping(payload) => Message::Ping(payload.into_owned().into()),
            Self::Pong(payload) => Message::Pong(payload.into_owned().into()),
            Self::Close(close) => Message::Close(close.map(Close::into_owned)),
        }
    }
}

impl<'a> Message<'a> {
    /// The message with this payload. `opcode` is that of its first fragment.
    ///
    /// # Errors
    /// When the payload is not UTF-8, or no valid body of a Close frame.
    #[inline]
    pub(crate) fn new(opcode: Opcode, payload: Cow<'a, [u8]>) -> Result<Self, Error> {
        Ok(match opcode {
            Opcode::Text => Self::Text(text(payload)?),
            Opcode::Binary | Opcode::Continuation => Self::Binary(payload),
            Opcode::Ping => Self::Ping(payload),
            Opcode::Pong => Self::Pong(payload),
            Opcode::Close => Self::Close(Close::parse(payload)?),
        })
    }
}

#[inline]
fn text(payload: Cow<'_, [u8]>) -> Result<Cow<'_, str>, Error> {
    Ok(match payload {
        Cow::Borrowed(payload) => str::from_utf8(payload)?.into(),
        Cow::Owned(payload) => {
            String::from_utf8(payload).map_err(|error| error.utf8_error())?.into()
        }
    })
}
