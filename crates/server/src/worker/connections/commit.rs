//! The commit of a turn: its pings are written to the log in one write, then its replies leave.

use std::mem;
use std::time::Instant;

use proto::ping::ERROR_PREFIX;

use super::batch::{Batch, Group, UnsyncedBatch};
use super::{Connections, MAX_REPLIES};
use crate::journal::{Commit, Synced, Unrecorded};

impl Connections {
    /// Writes the pings of the turn to the log. Then their replies leave; with `LOG_SYNC=always`,
    /// only those that do not depend on the log.
    pub fn commit(&mut self, now: Instant) {
        if self.batch.groups.is_empty() {
            return;
        }
        let mut batch = mem::take(&mut self.batch);
        let Commit { recorded, awaits, error } = self.recorder.commit();
        if let Some(number) = awaits {
            let (dependent, others) = batch.split();
            self.complete(&others, 0, None, now);
            self.unsynced.push_back(UnsyncedBatch { number, batch: dependent, recorded, error });
        } else {
            self.complete(&batch, recorded, error.as_ref(), now);
        }
        batch.clear(MAX_REPLIES);
        self.batch = batch;
    }

    /// Has the replies leave whose pings are synced by now.
    pub fn complete_synced(&mut self, now: Instant) {
        if self.unsynced.is_empty() {
            return;
        }
        let Synced { number: synced, failed } = self.recorder.synced();
        let is_over = |batch: &mut UnsyncedBatch| batch.number <= synced || failed.is_some();
        while let Some(unsynced) = self.unsynced.pop_front_if(is_over) {
            let UnsyncedBatch { number, batch, recorded, error } = unsynced;
            let (recorded, error) =
                if number <= synced { (recorded, error) } else { (0, failed.clone()) };
            self.complete(&batch, recorded, error.as_ref(), now);
        }
    }

    /// Encodes the replies of a batch, and has each connection send its own. The first `recorded`
    /// pings are recorded, the others are not because of `cause`.
    fn complete(
        &mut self,
        batch: &Batch,
        mut recorded: usize,
        cause: Option<&Unrecorded>,
        now: Instant,
    ) {
        let error = cause.map_or(String::new(), |cause| format!("{ERROR_PREFIX}{cause}"));
        let mut frames = mem::take(&mut self.frames);
        for Group { key, replies } in &batch.groups {
            frames.clear();
            batch.replies.encode(replies.clone(), &mut recorded, &error, &mut frames);
            self.with_connection(*key, now, |connection, cx| connection.complete(&frames, cx));
        }
        frames.clear();
        frames.shrink_to(MAX_REPLIES);
        self.frames = frames;
    }
}
