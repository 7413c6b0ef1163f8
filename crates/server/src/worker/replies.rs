//! The replies of a turn, which await the commit of the log.

use std::ops::Range;

use proto::frame::{Opcode, encode, encode_deflated};

use crate::service::{Kind, Reply};

/// Replies, in the order of the messages that they answer.
#[derive(Debug, Default)]
pub struct Replies {
    list: Vec<Pending>,
    /// The frames of those that depend on nothing.
    frames: Vec<u8>,
    /// Bytes that count beside these frames: what the others will take, and the work of
    /// compression.
    others: usize,
}

/// A reply that awaits the commit.
#[derive(Clone, Debug)]
enum Pending {
    /// It depends on nothing and is encoded, in this part of the frames.
    Encoded(Range<usize>),
    /// The text that says that a ping is recorded, encoded once the log has answered.
    Recorded(&'static str),
}

impl Replies {
    /// Number of replies.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Size of all replies, in bytes, and of what was compressed or decompressed for them.
    #[must_use]
    pub fn size(&self) -> usize {
        self.frames.len() + self.others
    }

    /// Counts bytes that were compressed or decompressed as if they were replies: so a turn is
    /// over in time, however small they are on the way.
    pub fn count_work(&mut self, bytes: usize) {
        self.others += bytes;
    }

    /// Adds a reply that depends on nothing.
    pub fn push(&mut self, reply: &Reply<'_>) {
        let start = self.frames.len();
        encode(&mut self.frames, opcode(reply.kind), &reply.bytes, None);
        self.list.push(Pending::Encoded(start..self.frames.len()));
    }

    /// Adds a reply that depends on nothing and is compressed to `payload`.
    pub fn push_deflated(&mut self, kind: Kind, payload: &[u8]) {
        let start = self.frames.len();
        encode_deflated(&mut self.frames, opcode(kind), payload, None);
        self.list.push(Pending::Encoded(start..self.frames.len()));
    }

    /// Adds the reply to a ping, if the ping is recorded.
    pub fn push_recorded(&mut self, reply: &'static str) {
        self.others += reply.len();
        self.list.push(Pending::Recorded(reply));
    }

    /// How many of these replies depend on the log.
    #[must_use]
    pub fn count_recorded(&self, replies: Range<usize>) -> usize {
        self.list[replies].iter().filter(|reply| matches!(reply, Pending::Recorded(_))).count()
    }

    /// Encodes `replies` into `out`. The first `recorded` pings are recorded, and that number goes
    /// down; the others are answered with `error`.
    #[inline]
    pub fn encode(
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

    /// Appends `replies` of `other`; returns where they are now.
    pub fn append(&mut self, other: &Self, replies: Range<usize>) -> Range<usize> {
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

    /// Removes all, and keeps memory for as many as fit into `size` bytes.
    pub fn clear(&mut self, size: usize) {
        self.list.clear();
        self.frames.clear();
        self.frames.shrink_to(size);
        self.others = 0;
    }
}

fn opcode(kind: Kind) -> Opcode {
    match kind {
        Kind::Text => Opcode::Text,
        Kind::Binary => Opcode::Binary,
    }
}
