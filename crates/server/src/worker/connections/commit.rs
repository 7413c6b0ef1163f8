//! The commit of a turn: its pings are written to the log in one write, then its replies are
//! sent.

use std::mem;
use std::time::Instant;

use proto::ping::ERROR_PREFIX;

use super::batch::{Batch, Group, UnsyncedBatch};
use super::{Connections, MAX_REPLIES};
use crate::journal::{Commit, Synced, Unrecorded};

impl Connections {
    /// Writes the pings of the turn to the log, then sends the replies. With `LOG_SYNC=always`, all
    /// replies to a connection wait for the sync if any of them depends on the log; the replies to the
    /// other connections are sent at once.
    pub fn commit(&mut self, now: Instant) {
        if self.batch.groups.is_empty() {
            return;
        }
        let mut batch = mem::take(&mut self.batch);
        let Commit { recorded, sync_number, error } = self.recorder.commit();
        if let Some(sync_number) = sync_number {
            let (dependent, others) = batch.split();
            self.send_replies(&others, 0, None, now);
            self.unsynced.push_back(UnsyncedBatch {
                sync_number,
                batch: dependent,
                recorded,
                error,
            });
        } else {
            self.send_replies(&batch, recorded, error.as_ref(), now);
        }
        batch.clear(MAX_REPLIES);
        self.batch = batch;
    }

    /// Sends the replies of batches that are synced (`LOG_SYNC=always`).
    pub fn send_synced(&mut self, now: Instant) {
        if self.unsynced.is_empty() {
            return;
        }
        let Synced { number: synced, failed } = self.recorder.synced();
        let is_over = |batch: &mut UnsyncedBatch| batch.sync_number <= synced || failed.is_some();
        while let Some(unsynced) = self.unsynced.pop_front_if(is_over) {
            let UnsyncedBatch { sync_number, batch, recorded, error } = unsynced;
            let (recorded, error) =
                if sync_number <= synced { (recorded, error) } else { (0, failed.clone()) };
            self.send_replies(&batch, recorded, error.as_ref(), now);
        }
    }

    /// Encodes the replies of a batch, and makes each connection send its own. The first `recorded`
    /// pings are recorded, the others are not because of `cause`.
    fn send_replies(
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
            self.with_connection(*key, now, |connection, cx| connection.on_committed(&frames, cx));
        }
        frames.clear();
        frames.shrink_to(MAX_REPLIES);
        self.frames = frames;
    }
}
