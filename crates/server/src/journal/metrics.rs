//! The metrics of the log.

use std::time::Duration;

use crate::tally::{Histogram, Tally};

/// The counts of a log. They change under its lock, but for `refused`.
#[derive(Debug)]
pub struct LogMetrics {
    /// Pings whose lines are in the file.
    pub pings: Tally,
    /// Pings that could not be written. Threads that do not get the lock count too.
    pub refused: Tally,
    /// Times of writes, in nanoseconds.
    pub write_nanos: Histogram<14>,
    /// Numbers of pings in a write.
    pub commit_pings: Histogram<13>,
}

impl Default for LogMetrics {
    fn default() -> Self {
        let write_micros =
            [2, 5, 10, 20, 50, 100, 500, 1000, 5000, 10_000, 50_000, 100_000, 500_000, 1_000_000];
        let commit_pings = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096];
        Self {
            pings: Tally::default(),
            refused: Tally::default(),
            write_nanos: Histogram::new(write_micros.map(|micros| 1000 * micros)),
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
