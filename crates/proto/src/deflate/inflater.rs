//! Decompression of messages (RFC 7692, section 7.2.2).

use std::borrow::Cow;

use flate2::{Decompress, FlushDecompress, Status};

use super::{KEPT, MAX_WINDOW_BITS, TAIL};
use crate::frame::{Error, Message, Opcode};

/// [`TAIL`], which the sender left out of the payload, and an empty last block. The empty block
/// ends the stream only if the payload ended with a complete block.
const END: [u8; 9] = [TAIL[0], TAIL[1], TAIL[2], TAIL[3], 0x01, 0x00, 0x00, 0xff, 0xff];

/// Most blocks marked as the last one (BFINAL, RFC 1951, section 3.2.3) within a payload. A sender
/// needs at most one; the restart after each costs as much as decompressing 1 kB.
const MAX_LAST_BLOCKS: u32 = 100;

/// Least memory for a message, in bytes.
const MIN_ROOM: usize = 1024;

/// Decompresses messages. Takes about 50 KiB, and the memory of the longest message until
/// [`Self::trim`].
#[derive(Debug)]
pub struct Inflater {
    state: Decompress,
    /// The last message.
    pub(super) out: Vec<u8>,
}

/// The end of the earlier messages of a peer that refers to them, at most 32 KiB.
#[derive(Debug, Default)]
pub struct Window(Vec<u8>);

impl Default for Inflater {
    fn default() -> Self {
        Self { state: Decompress::new(false), out: Vec::new() }
    }
}

impl Inflater {
    /// The message with this compressed payload. The payload may refer to earlier messages in
    /// `window`, if the peer uses context takeover.
    ///
    /// # Errors
    /// When the message has more than `max` bytes, as soon as so many are decompressed; when the
    /// payload is no DEFLATE data; when a text is not UTF-8.
    pub fn message(
        &mut self,
        opcode: Opcode,
        payload: &[u8],
        max: usize,
        window: Option<&mut Window>,
    ) -> Result<Message<'_>, Error> {
        self.inflate(payload, max, window.as_deref())?;
        if let Some(window) = window {
            window.slide(&self.out);
        }
        Message::new(opcode, Cow::Borrowed(&self.out))
    }

    /// Frees the output buffer of a long message, down to 64 KiB.
    pub fn trim(&mut self) {
        self.out.clear();
        self.out.shrink_to(KEPT);
    }

    fn inflate(
        &mut self,
        payload: &[u8],
        max: usize,
        window: Option<&Window>,
    ) -> Result<(), Error> {
        self.out.clear();
        self.state.reset(false);
        if let Some(Window(earlier)) = window.filter(|window| !window.0.is_empty()) {
            self.state.set_dictionary(earlier).map_err(|_| Error::NotDeflate)?;
        }
        // Some senders send an empty payload for an empty message. Others end the payload with a
        // last block (BFINAL), after which END would be one block too many.
        let is_complete = payload.is_empty() || self.feed(payload, max)? || self.feed(&END, max)?;
        if is_complete { Ok(()) } else { Err(Error::NotDeflate) }
    }

    /// Decompresses `input`. Returns whether its last byte ends a last block. Data after a last
    /// block starts a new DEFLATE stream (RFC 7692, section 7.2.3.4).
    fn feed(&mut self, mut input: &[u8], max: usize) -> Result<bool, Error> {
        let mut last_blocks = 0;
        loop {
            self.make_room(input.len(), max);
            let (taken, len) = (self.state.total_in(), self.out.len());
            let status = self
                .state
                .decompress_vec(input, &mut self.out, FlushDecompress::None)
                .map_err(|_| Error::NotDeflate)?;
            if self.out.len() > max {
                return Err(Error::TooLong { max });
            }
            let taken = (self.state.total_in() - taken) as usize;
            input = &input[taken..];
            match status {
                Status::StreamEnd if input.is_empty() => return Ok(true),
                Status::StreamEnd if last_blocks < MAX_LAST_BLOCKS => {
                    last_blocks += 1;
                    self.state.reset(false);
                }
                Status::StreamEnd => return Err(Error::NotDeflate),
                _ if input.is_empty() && self.out.len() < self.out.capacity() => return Ok(false),
                _ if taken == 0 && self.out.len() == len => return Err(Error::NotDeflate),
                _ => {}
            }
        }
    }

    /// Grows the output, at most to one byte above the limit, which shows that a message is too
    /// long.
    fn make_room(&mut self, input: usize, max: usize) {
        let len = self.out.len();
        if len == self.out.capacity() {
            let room = (2 * len).max(4 * input).max(MIN_ROOM).min(max.saturating_add(1));
            self.out.reserve_exact(room.saturating_sub(len));
        }
    }
}

impl Window {
    /// Appends a message, and keeps the last 32 KiB.
    fn slide(&mut self, message: &[u8]) {
        const SIZE: usize = 1 << MAX_WINDOW_BITS;
        let message = &message[message.len().saturating_sub(SIZE)..];
        let excess = (self.0.len() + message.len()).saturating_sub(SIZE);
        self.0.drain(..excess);
        self.0.extend_from_slice(message);
    }
}
