//! The wall clock, with the formatted second kept.

use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Local};
use proto::Stamp;

/// A moment to the second: what the lines show, and what orders them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Second {
    /// Seconds since the Unix epoch. Local time jumps with daylight saving; this does not.
    pub(super) unix: i64,
    /// The same moment in local time (`TZ`).
    pub(super) stamp: Stamp,
}

impl Second {
    /// The present second.
    pub(super) fn now() -> Self {
        Self::at(unix_seconds())
    }

    /// The present second, formatted anew only when `self` is over.
    pub(super) fn advance(&mut self) -> Self {
        let unix = unix_seconds();
        if unix != self.unix {
            *self = Self::at(unix);
        }
        *self
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
