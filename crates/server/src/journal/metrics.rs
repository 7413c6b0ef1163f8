//! What the log counts.

use std::time::Duration;

use crate::tally::{Histogram, Tally};

/// The counts of a log. Unless told otherwise they change under its lock.
#[derive(Debug)]
pub struct LogMetrics {
    /// Pings that were written.
    pub pings: Tally,
    /// Pings that could not be written. Threads that do not get the lock count here too.
    pub refused: Tally,
    /// Time of a write, in nanoseconds.
    pub write_nanos: Histogram<14>,
    /// Pings in a write.
    pub commit_pings: Histogram<13>,
}

impl Default for LogMetrics {
    fn default() -> Self {
        const MICRO: u64 = 1_000;
        const MILLI: u64 = 1_000_000;
        let write_nanos = [
            2 * MICRO,
            5 * MICRO,
            10 * MICRO,
            20 * MICRO,
            50 * MICRO,
            100 * MICRO,
            500 * MICRO,
            MILLI,
            5 * MILLI,
            10 * MILLI,
            50 * MILLI,
            100 * MILLI,
            500 * MILLI,
            1000 * MILLI,
        ];
        let commit_pings = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096];
        Self {
            pings: Tally::default(),
            refused: Tally::default(),
            write_nanos: Histogram::new(write_nanos),
            commit_pings: Histogram::new(commit_pings),
        }
    }
}

impl LogMetrics {
    /// Counts a write of `pings` that took `time`.
    pub(super) fn written(&self, pings: usize, time: Duration) {
        self.pings.add(pings as u64);
        self.commit_pings.add(pings as u64);
        self.write_nanos.add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }
}
