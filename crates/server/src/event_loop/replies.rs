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
    /// They say that pings are recorded.
    pub(super) is_recording: bool,
}

impl Replies {
    /// Those that say that pings are recorded, in no more room than they need.
    pub(super) fn recording(&self) -> Self {
        let mut recording = Self::default();
        for reply in self.to.iter().filter(|reply| reply.is_recording) {
            let start = recording.frames.len();
            recording.frames.extend_from_slice(&self.frames[reply.frames.clone()]);
            let frames = start..recording.frames.len();
            recording.to.push(Reply { frames, ..*reply });
        }
        recording
    }
}
