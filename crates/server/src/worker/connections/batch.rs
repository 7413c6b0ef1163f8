//! A batch: the replies of a turn, whose pings are written to the log together.

use std::ops::Range;

use crate::journal::Unrecorded;
use crate::worker::key::Key;
use crate::worker::replies::Replies;

/// The replies of a turn, and the connections that they belong to.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) replies: Replies,
    /// In the order of the replies, and of the lines in the log.
    pub(super) groups: Vec<Group>,
}

/// The replies to one connection.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) key: Key,
    pub(super) replies: Range<usize>,
}

/// A batch that is written to the log and waits for its sync (`LOG_SYNC=always`).
#[derive(Debug)]
pub(super) struct UnsyncedBatch {
    /// The replies may be sent once [`Synced::number`](crate::journal::Synced::number) has come to
    /// this number.
    pub(super) sync_number: u64,
    pub(super) batch: Batch,
    /// How many pings of the batch, from its first on, are in the file.
    pub(super) recorded: usize,
    /// Why the other pings are not in the file; `None` if all are.
    pub(super) error: Option<Unrecorded>,
}

impl Batch {
    /// Two batches: the groups with a reply that depends on the log, and the other groups.
    pub(super) fn split(&self) -> (Self, Self) {
        let (mut recorded, mut others) = (Self::default(), Self::default());
        for Group { key, replies } in self.groups.iter().cloned() {
            let depends = self.replies.depend_on_log(replies.clone());
            let part = if depends { &mut recorded } else { &mut others };
            let replies = part.replies.append(&self.replies, replies);
            part.groups.push(Group { key, replies });
        }
        (recorded, others)
    }

    /// Removes all replies, and keeps at most `size` bytes of memory for their frames.
    pub(super) fn clear(&mut self, size: usize) {
        self.replies.clear(size);
        self.groups.clear();
    }
}
