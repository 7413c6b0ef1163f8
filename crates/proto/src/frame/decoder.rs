//! Decoding of frames to messages, from input that may be cut anywhere.

use std::borrow::Cow;
use std::mem;

use super::partial::Partial;
use super::{Error, Header, Message, Opcode, Role, Violation};

/// Decodes the frames of one peer.
///
/// Between two calls, a decoder allocates memory only for bytes that have arrived, never for a
/// length that a header announces. Between two messages a decoder allocates nothing.
#[derive(Debug)]
pub struct Decoder {
    role: Role,
    /// Whether messages may be compressed.
    deflate: bool,
    max_message: usize,
    /// The unfinished header, frame or message, if there is one.
    partial: Option<Box<Partial>>,
}

impl Decoder {
    /// A decoder for messages of at most `max_message` bytes each.
    #[must_use]
    pub fn new(role: Role, max_message: usize) -> Self {
        Self { role, deflate: false, max_message, partial: None }
    }

    /// The same decoder, for a peer that may compress its messages (RFC 7692). The limit on a
    /// message then holds for what its payload decompresses to ([`max_deflated_payload`]).
    #[must_use]
    pub fn with_deflate(self) -> Self {
        Self { deflate: true, ..self }
    }

    /// Splits the next message off the front of `input`. Returns `None` when `input` is used up and
    /// more bytes have to arrive. Messages are unmasked in place.
    ///
    /// # Errors
    /// As soon as the bytes break a rule. The decoder must not be used after an error.
    #[inline]
    pub fn decode<'a>(&mut self, input: &mut &'a mut [u8]) -> Result<Option<Message<'a>>, Error> {
        if input.is_empty() {
            return Ok(None);
        }
        if self.partial.is_none()
            && let Some(header) = Header::parse(input, self.role, self.deflate)?
            && !header.deflated
            && let Some(message) = self.decode_whole(header, false, input)?
        {
            return Ok(Some(message));
        }
        self.decode_partial(input)
    }

    /// Splits the next message off the front of `input` if that is the text message `expected` in
    /// one frame; else changes nothing and returns `false`. Faster than [`Self::decode`]: as
    /// `expected` is valid UTF-8, an equal payload needs no validation.
    #[inline]
    pub fn take_text(&self, input: &mut &mut [u8], expected: &[u8]) -> bool {
        if self.partial.is_some() || expected.len() > self.max_message {
            return false;
        }
        let Ok(Some(header)) = Header::parse(input, self.role, false) else { return false };
        let is_text = header.fin && header.opcode == Opcode::Text;
        if !is_text || header.payload != expected.len() as u64 {
            return false;
        }
        let end = header.size + expected.len();
        let is_expected = input.get(header.size..end).is_some_and(|payload| match header.mask {
            Some(mask) => mask.masks_to(expected, payload),
            None => payload == expected,
        });
        if is_expected {
            *input = &mut mem::take(input)[end..];
        }
        is_expected
    }

    /// Whether a frame or a message is unfinished.
    #[must_use]
    pub fn has_partial(&self) -> bool {
        self.partial.is_some()
    }

    /// Whether a binary message has begun and is unfinished.
    #[must_use]
    pub fn is_mid_binary(&self) -> bool {
        self.partial.as_ref().is_some_and(|partial| partial.is_binary())
    }

    /// Length of the unfinished message so far, in bytes.
    #[must_use]
    pub fn arrived(&self) -> usize {
        self.partial.as_ref().and_then(|partial| partial.message_len()).unwrap_or(0)
    }

    /// Memory of the unfinished message, in bytes.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.partial.as_ref().map_or(0, |partial| partial.buffered())
    }

    /// Decodes an uncompressed message or a control frame whose only frame is completely in
    /// `input`; `None` if a part is missing. `in_message`: a fragmented message is unfinished.
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

    /// Continues the unfinished frame or message, or begins one.
    fn decode_partial<'a>(
        &mut self,
        input: &mut &'a mut [u8],
    ) -> Result<Option<Message<'a>>, Error> {
        let mut partial = self.partial.take().unwrap_or_default();
        while !input.is_empty() {
            if !partial.is_in_frame() {
                let Some(header) = partial.header(input, self.role, self.deflate)? else { break };
                let message_len = partial.message_len();
                let in_message = message_len.is_some();
                if !header.deflated
                    && let Some(message) = self.decode_whole(header, in_message, input)?
                {
                    self.keep(partial);
                    return Ok(Some(message));
                }
                check_sequence(header.opcode, in_message)?;
                let max = self.max_message(header.opcode);
                let is_deflated = header.deflated || partial.is_deflated();
                let limit = if is_deflated { max_deflated_payload(max) } else { max };
                let before = if header.opcode.is_control() { 0 } else { message_len.unwrap_or(0) };
                let len =
                    header.payload_within(limit, before).map_err(|_| Error::TooLong { max })?;
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

    /// Keeps the unfinished frame or message, if there is one.
    fn keep(&mut self, partial: Box<Partial>) {
        if !partial.is_empty() {
            self.partial = Some(partial);
        }
    }

    /// The limit on a message. Control frames have a limit of their own
    /// ([`super::MAX_CONTROL_PAYLOAD`]).
    fn max_message(&self, opcode: Opcode) -> usize {
        if opcode.is_control() { usize::MAX } else { self.max_message }
    }
}

/// Longest compressed payload of a message of at most `max_message` bytes. Compression makes random
/// bytes longer, so the bound is above `max_message`.
#[must_use]
pub fn max_deflated_payload(max_message: usize) -> usize {
    max_message.saturating_add(max_message / 8 + 256)
}

/// Fragments of two messages must not be interleaved (RFC 6455, section 5.4).
#[inline]
fn check_sequence(opcode: Opcode, in_message: bool) -> Result<(), Violation> {
    match opcode {
        Opcode::Continuation if !in_message => Err(Violation::NothingToContinue),
        Opcode::Text | Opcode::Binary if in_message => Err(Violation::UnfinishedMessage),
        _ => Ok(()),
    }
}
