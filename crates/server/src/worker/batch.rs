//! The replies of a turn with the connections that they belong to, which await the log together.

use std::ops::Range;

use super::key::Key;
use super::replies::Replies;
use crate::journal::Unrecorded;

/// The replies of a turn, and the connections that they belong to.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) replies: Replies,
    /// In the order of the replies, which is that of the lines in the log.
    pub(super) groups: Vec<Group>,
}

/// The replies to one connection.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) key: Key,
    pub(super) replies: Range<usize>,
}

/// A batch that is written and awaits the disk.
#[derive(Debug)]
pub(super) struct Unsynced {
    /// The number that the disk has to come to.
    pub(super) number: u64,
    pub(super) batch: Batch,
    /// How many pings of the batch, from its first on, are in the file.
    pub(super) recorded: usize,
    /// Why the others are not.
    pub(super) error: Option<Unrecorded>,
}

impl Batch {
    /// The groups whose replies depend on the log, and the others.
    pub(super) fn split(&self) -> (Self, Self) {
        let (mut recorded, mut others) = (Self::default(), Self::default());
        for Group { key, replies } in self.groups.iter().cloned() {
            let depends = self.replies.count_recorded(replies.clone()) > 0;
            let part = if depends { &mut recorded } else { &mut others };
            let replies = part.replies.append(&self.replies, replies);
            part.groups.push(Group { key, replies });
        }
        (recorded, others)
    }

    /// Removes all, and keeps memory for as many replies as fit into `size` bytes.
    pub(super) fn clear(&mut self, size: usize) {
        self.replies.clear(size);
        self.groups.clear();
    }
}
