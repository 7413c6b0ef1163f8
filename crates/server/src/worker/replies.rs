//! The replies of a turn, which await the commit of the log.

use std::ops::Range;

use proto::frame::{Opcode, encode, encode_deflated};

use crate::service::Reply;

/// Replies, in the order of the messages that they answer.
#[derive(Debug, Default)]
pub(super) struct Replies {
    list: Vec<Pending>,
    /// The frames of the replies that do not depend on the log.
    frames: Vec<u8>,
    /// What counts in [`Self::size`] beside these frames: the replies that depend on the log, and
    /// bytes that were compressed or decompressed.
    other_bytes: usize,
}

/// A reply that awaits the commit.
#[derive(Clone, Debug)]
enum Pending {
    /// A reply that does not depend on the log: the place of its frame in [`Replies::frames`].
    Encoded(Range<usize>),
    /// The reply to a ping that is recorded, encoded once the log has answered.
    Recorded(&'static str),
}

impl Replies {
    /// Number of replies.
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// Size of all replies, and of what was compressed or decompressed for them, in bytes.
    pub(super) fn size(&self) -> usize {
        self.frames.len() + self.other_bytes
    }

    /// Counts bytes that were compressed or decompressed as if they were replies: so the time of a
    /// turn is bounded, however small its messages are on the wire.
    pub(super) fn count_work(&mut self, bytes: usize) {
        self.other_bytes += bytes;
    }

    /// Adds a reply that does not depend on the log.
    pub(super) fn push(&mut self, reply: &Reply<'_>) {
        let start = self.frames.len();
        encode(&mut self.frames, reply.opcode, &reply.bytes, None);
        self.list.push(Pending::Encoded(start..self.frames.len()));
    }

    /// Adds a reply that does not depend on the log and was compressed to `payload`.
    pub(super) fn push_deflated(&mut self, opcode: Opcode, payload: &[u8]) {
        let start = self.frames.len();
        encode_deflated(&mut self.frames, opcode, payload, None);
        self.list.push(Pending::Encoded(start..self.frames.len()));
    }

    /// Adds the reply to a ping, if the ping is recorded.
    pub(super) fn push_recorded(&mut self, reply: &'static str) {
        self.other_bytes += reply.len();
        self.list.push(Pending::Recorded(reply));
    }

    /// Whether any of `replies` depends on the log.
    pub(super) fn depend_on_log(&self, replies: Range<usize>) -> bool {
        self.list[replies].iter().any(|reply| matches!(reply, Pending::Recorded(_)))
    }

    /// Appends the frames of `replies` to `out`. The first `recorded` pings among them get their
    /// reply, and `recorded` goes down by one with each; the other pings get `error`.
    #[inline]
    pub(super) fn encode(
        &self,
        replies: Range<usize>,
        recorded: &mut usize,
        error: &str,
        out: &mut Vec<u8>,
    ) {
        for reply in &self.list[replies] {
            match reply {
                Pending::Encoded(frames) => out.extend_from_slice(&self.frames[frames.clone()]),
                Pending::Recorded(text) => {
                    let text = if *recorded > 0 { text } else { error };
                    *recorded = recorded.saturating_sub(1);
                    encode(out, Opcode::Text, text.as_bytes(), None);
                }
            }
        }
    }

    /// Appends `replies` of `other`; returns their range in this list.
    pub(super) fn append(&mut self, other: &Self, replies: Range<usize>) -> Range<usize> {
        let start = self.list.len();
        for reply in &other.list[replies] {
            match reply {
                Pending::Encoded(frames) => {
                    let at = self.frames.len();
                    self.frames.extend_from_slice(&other.frames[frames.clone()]);
                    self.list.push(Pending::Encoded(at..self.frames.len()));
                }
                Pending::Recorded(text) => self.push_recorded(text),
            }
        }
        start..self.list.len()
    }

    /// Removes all replies, and keeps at most `size` bytes of memory for frames.
    pub(super) fn clear(&mut self, size: usize) {
        self.list.clear();
        self.frames.clear();
        self.frames.shrink_to(size);
        self.other_bytes = 0;
    }
}
