//! An unfinished header, frame or message.

use std::borrow::Cow;
use std::mem;

use super::header::MAX_HEADER;
use super::{Error, Header, Mask, Message, Opcode, Role, Violation};

/// A header, a frame, or a message of which only a part has arrived.
#[derive(Debug, Default)]
pub(super) struct Partial {
    /// The first `header_len` bytes of an unfinished header.
    header: [u8; MAX_HEADER],
    header_len: usize,
    frame: Option<Frame>,
    /// The text or binary message that is unfinished.
    message: Option<Payload>,
    /// The payload of an unfinished control frame, which may come between fragments.
    control: Vec<u8>,
}

/// A frame whose header is complete and whose payload is not.
#[derive(Clone, Copy, Debug)]
struct Frame {
    opcode: Opcode,
    fin: bool,
    /// The masking key for the next byte.
    mask: Option<Mask>,
    /// Bytes of the payload that have not arrived yet.
    left: usize,
}

/// The payload of a text or binary message.
#[derive(Debug)]
struct Payload {
    opcode: Opcode,
    /// Whether the bytes are compressed.
    deflated: bool,
    bytes: Vec<u8>,
    /// Length of the prefix of a text that is known to be UTF-8.
    valid: usize,
}

impl Partial {
    /// Whether nothing is unfinished.
    pub(super) fn is_empty(&self) -> bool {
        self.header_len == 0 && self.frame.is_none() && self.message.is_none()
    }

    /// Whether the header of the present frame is complete and its payload is not.
    pub(super) fn is_in_frame(&self) -> bool {
        self.frame.is_some()
    }

    /// Length of the unfinished message so far; `None` without one.
    pub(super) fn message_len(&self) -> Option<usize> {
        self.message.as_ref().map(|message| message.bytes.len())
    }

    /// Whether the unfinished message is compressed.
    pub(super) fn is_deflated(&self) -> bool {
        self.message.as_ref().is_some_and(|message| message.deflated)
    }

    /// Memory of the payloads, in bytes.
    pub(super) fn buffered(&self) -> usize {
        self.message.as_ref().map_or(0, |message| message.bytes.capacity())
            + self.control.capacity()
    }

    /// Whether the unfinished message is binary.
    pub(super) fn is_binary(&self) -> bool {
        self.message.as_ref().is_some_and(|message| message.opcode == Opcode::Binary)
    }

    /// The next header. A header that is completely at the front of `input` stays there; of any
    /// other header the bytes are split off `input`.
    pub(super) fn header(
        &mut self,
        input: &mut &mut [u8],
        role: Role,
        deflate: bool,
    ) -> Result<Option<Header>, Violation> {
        if self.header_len == 0
            && let Some(header) = Header::parse(input, role, deflate)?
        {
            return Ok(Some(header));
        }
        while let Some(byte) = split_off(input, 1).first() {
            self.header[self.header_len] = *byte;
            self.header_len += 1;
            if let Some(header) = Header::parse(&self.header[..self.header_len], role, deflate)? {
                self.header_len = 0;
                // Size 0: all bytes of the header are split off `input` already.
                return Ok(Some(Header { size: 0, ..header }));
            }
        }
        Ok(None)
    }

    /// Begins the payload of `len` bytes after a header.
    pub(super) fn begin_frame(&mut self, header: Header, len: usize, input: &mut &mut [u8]) {
        split_off(input, header.size);
        let Header { opcode, fin, deflated, mask, .. } = header;
        if matches!(opcode, Opcode::Text | Opcode::Binary) {
            self.message = Some(Payload { opcode, deflated, bytes: Vec::new(), valid: 0 });
        }
        self.frame = Some(Frame { opcode, fin, mask, left: len });
    }

    /// Splits the available part of the payload off `input`. Returns the message or control frame
    /// that is complete now, if one is.
    pub(super) fn advance<'a>(
        &mut self,
        input: &mut &mut [u8],
    ) -> Result<Option<Message<'a>>, Error> {
        let Some(mut frame) = self.frame.take() else { return Ok(None) };
        let len = frame.left.min(input.len());
        let bytes = split_off(input, len);
        if let Some(mask) = &mut frame.mask {
            mask.apply(bytes);
            *mask = mask.at(len);
        }
        frame.left -= len;
        match &mut self.message {
            Some(message) if !frame.opcode.is_control() => message.push(bytes, frame.left)?,
            _ => {
                self.control.reserve_exact(len + frame.left);
                self.control.extend_from_slice(bytes);
            }
        }
        if frame.left > 0 {
            self.frame = Some(frame);
            return Ok(None);
        }
        if frame.opcode.is_control() {
            let payload = mem::take(&mut self.control);
            return Message::new(frame.opcode, Cow::Owned(payload)).map(Some);
        }
        match self.message.take() {
            Some(payload) if frame.fin => payload.finish().map(Some),
            unfinished => {
                self.message = unfinished;
                Ok(None)
            }
        }
    }
}

impl Payload {
    /// Appends `bytes`, after which `left` bytes of the frame have still to arrive.
    fn push(&mut self, bytes: &[u8], left: usize) -> Result<(), Error> {
        self.make_room(bytes.len(), left);
        self.bytes.extend_from_slice(bytes);
        if self.opcode == Opcode::Text && !self.deflated {
            self.validate()?;
        }
        Ok(())
    }

    /// Makes room for bytes that have `arrived`. The memory doubles, so that a message is copied
    /// few times, but never beyond the end of the frame, of which `left` bytes are still to come.
    fn make_room(&mut self, arrived: usize, left: usize) {
        let len = self.bytes.len() + arrived;
        if len > self.bytes.capacity() {
            let room = len.saturating_add(left.min(self.bytes.len()));
            self.bytes.reserve_exact(room - self.bytes.len());
        }
    }

    /// Refuses a text at the first byte that cannot be UTF-8. An incomplete character at the end
    /// may be completed by the next bytes.
    fn validate(&mut self) -> Result<(), Error> {
        match str::from_utf8(&self.bytes[self.valid..]) {
            Ok(text) => self.valid += text.len(),
            Err(error) if error.error_len().is_none() => self.valid += error.valid_up_to(),
            Err(_) => return Err(Error::NotUtf8),
        }
        Ok(())
    }

    fn finish<'a>(self) -> Result<Message<'a>, Error> {
        let payload = Cow::Owned(self.bytes);
        if self.deflated {
            return Ok(Message::Deflated(self.opcode, payload));
        }
        Message::new(self.opcode, payload)
    }
}

/// Splits the first `len` bytes off `input`, or all if there are fewer.
fn split_off<'a>(input: &mut &'a mut [u8], len: usize) -> &'a mut [u8] {
    let len = len.min(input.len());
    let (taken, rest) = mem::take(input).split_at_mut(len);
    *input = rest;
    taken
}
