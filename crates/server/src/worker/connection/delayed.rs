//! Replies that are held back (`REPLY_DELAY`).

use std::collections::VecDeque;
use std::time::Instant;

/// Most batches of replies that are held back before the connection is not read any more.
const MAX_DELAYED: usize = 1024;

/// Batches of frames, each with the time at which it is due.
#[derive(Debug, Default)]
pub(super) struct Delayed {
    batches: VecDeque<(Instant, Vec<u8>)>,
    /// Length of all batches together, in bytes.
    bytes: usize,
}

impl Delayed {
    /// Holds `frames` back until they are `due`, not before earlier batches.
    pub(super) fn push(&mut self, due: Instant, frames: Vec<u8>) {
        self.bytes += frames.len();
        self.batches.push_back((due, frames));
    }

    /// Whether nothing is held back.
    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Whether so much is held back that the connection is not read: `max_bytes`, or many batches.
    pub(super) fn is_full(&self, max_bytes: usize) -> bool {
        self.batches.len() >= MAX_DELAYED || self.bytes >= max_bytes
    }

    /// When the first batch is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.batches.front().map(|&(due, _)| due)
    }

    /// Moves the batches that are due at `now` to `out`; all of them if `now` is `None`.
    pub(super) fn release(&mut self, now: Option<Instant>, out: &mut Vec<u8>) {
        let is_due = |&mut (due, _): &mut (Instant, _)| now.is_none_or(|now| due <= now);
        while let Some((_, frames)) = self.batches.pop_front_if(is_due) {
            self.bytes -= frames.len();
            out.extend_from_slice(&frames);
        }
    }
}
