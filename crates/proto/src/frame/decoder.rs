//! From bytes, cut anywhere, to messages.

use std::borrow::Cow;
use std::mem;

use super::partial::Partial;
use super::{Error, Header, Message, Opcode, Role, Violation};

/// Decodes the frames of one peer.
///
/// What a decoder holds between two calls follows what has arrived, never what a header announces:
/// nothing at all between two frames, and a message as far as it is there.
#[derive(Debug)]
pub struct Decoder {
    role: Role,
    max_message: usize,
    /// What has begun and not ended.
    partial: Option<Box<Partial>>,
}

impl Decoder {
    /// A decoder between two messages, none of which may have more than `max_message` bytes.
    #[must_use]
    pub fn new(role: Role, max_message: usize) -> Self {
        Self { role, max_message, partial: None }
    }

    /// Takes the next message off the front of `input`; `None` once all of it is used up and more
    /// has to arrive. Messages are unmasked in place.
    ///
    /// # Errors
    /// As soon as the bytes that are there break a rule. The decoder is of no further use then.
    #[inline]
    pub fn decode<'a>(&mut self, input: &mut &'a mut [u8]) -> Result<Option<Message<'a>>, Error> {
        if input.is_empty() {
            return Ok(None);
        }
        if self.partial.is_none()
            && let Some(header) = Header::parse(input, self.role)?
            && let Some(message) = self.decode_whole(header, false, input)?
        {
            return Ok(Some(message));
        }
        self.decode_partial(input)
    }

    /// Whether a frame or a message has begun that has not ended.
    #[must_use]
    pub fn is_mid_message(&self) -> bool {
        self.partial.is_some()
    }

    /// Bytes that have arrived of a message which has not ended.
    #[must_use]
    pub fn arrived(&self) -> usize {
        self.partial.as_ref().and_then(|partial| partial.message_len()).unwrap_or(0)
    }

    /// Memory that a message takes which has not ended, in bytes.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.partial.as_ref().map_or(0, |partial| partial.buffered())
    }

    /// Takes a message, or a control frame, that is all there. `in_message` tells that fragments
    /// of a message have come before.
    #[inline]
    fn decode_whole<'a>(
        &self,
        header: Header,
        in_message: bool,
        input: &mut &'a mut [u8],
    ) -> Result<Option<Message<'a>>, Error> {
        check_sequence(header.opcode, in_message)?;
        let len = header.payload_within(self.max_message(header.opcode), 0)?;
        let is_message = header.fin && header.opcode != Opcode::Continuation;
        if !is_message || input.len() - header.size < len {
            return Ok(None);
        }
        let (frame, rest) = mem::take(input).split_at_mut(header.size + len);
        *input = rest;
        let payload = &mut frame[header.size..];
        if let Some(mask) = header.mask {
            mask.apply(payload);
        }
        Message::new(header.opcode, Cow::Borrowed(payload)).map(Some)
    }

    /// Goes on with what has begun, or begins what is not all there.
    fn decode_partial<'a>(
        &mut self,
        input: &mut &'a mut [u8],
    ) -> Result<Option<Message<'a>>, Error> {
        let mut partial = self.partial.take().unwrap_or_default();
        while !input.is_empty() {
            if !partial.is_in_frame() {
                let Some(header) = partial.header(input, self.role)? else { break };
                let before = partial.message_len();
                if let Some(message) = self.decode_whole(header, before.is_some(), input)? {
                    self.keep(partial);
                    return Ok(Some(message));
                }
                let max = self.max_message(header.opcode);
                let before = if header.opcode.is_control() { 0 } else { before.unwrap_or(0) };
                let len = header.payload_within(max, before)?;
                partial.begin_frame(header, len, input);
            }
            if let Some(message) = partial.advance(input)? {
                self.keep(partial);
                return Ok(Some(message));
            }
        }
        self.keep(partial);
        Ok(None)
    }

    /// Keeps what has begun, if anything has.
    fn keep(&mut self, partial: Box<Partial>) {
        if !partial.is_empty() {
            self.partial = Some(partial);
        }
    }

    /// Control frames are bounded by themselves.
    fn max_message(&self, opcode: Opcode) -> usize {
        if opcode.is_control() { usize::MAX } else { self.max_message }
    }
}

/// Fragments of two messages must not be mixed (RFC 6455, section 5.4).
#[inline]
fn check_sequence(opcode: Opcode, in_message: bool) -> Result<(), Violation> {
    match opcode {
        Opcode::Continuation if !in_message => Err(Violation::NothingToContinue),
        Opcode::Text | Opcode::Binary if in_message => Err(Violation::UnfinishedMessage),
        _ => Ok(()),
    }
}
