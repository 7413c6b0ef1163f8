//! The wall clock, in seconds that are formatted once.

use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Local};
use proto::Stamp;

/// A second: the stamp of lines, and their order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Second {
    /// Unix time, in seconds. Unlike local time, it does not jump with daylight saving.
    pub(super) unix: i64,
    /// The same second in local time (`TZ`).
    pub(super) stamp: Stamp,
}

impl Second {
    /// The present second.
    pub(super) fn now() -> Self {
        Self::at(unix_seconds())
    }

    /// Moves on to the present second, which is formatted only if it is another.
    pub(super) fn advance(&mut self) {
        let unix = unix_seconds();
        if unix != self.unix {
            *self = Self::at(unix);
        }
    }

    fn at(unix: i64) -> Self {
        let utc = DateTime::from_timestamp(unix, 0).unwrap_or_default();
        Self { unix, stamp: Stamp::new(&utc.with_timezone(&Local).naive_local()) }
    }
}

fn unix_seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
