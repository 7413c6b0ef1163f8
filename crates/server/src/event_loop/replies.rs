//! The replies of a turn, on their way from the connections that made them back to them.

use std::ops::Range;

use super::Key;

/// The replies of a turn.
#[derive(Debug, Default)]
pub(super) struct Replies {
    pub(super) frames: Vec<u8>,
    pub(super) to: Vec<Reply>,
}

/// The replies to one connection.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) key: Key,
    pub(super) frames: Range<usize>,
    /// The pings of the batch that they answer.
    pub(super) pings: Range<usize>,
}

impl Replies {
    /// Some of the replies, in no more room than they need.
    pub(super) fn copy(&self, some: &[&Reply]) -> Self {
        let mut copy = Self::default();
        for reply in some {
            let start = copy.frames.len();
            copy.frames.extend_from_slice(&self.frames[reply.frames.clone()]);
            let frames = start..copy.frames.len();
            copy.to.push(Reply { key: reply.key, frames, pings: reply.pings.clone() });
        }
        copy
    }
}
