//! The counters of a connection.

use serde::Serialize;

/// Counters of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Counts {
    /// Lines sent.
    pub(super) sent: u64,
    /// Frames received.
    pub(super) received: u64,
    /// Replies that are missing.
    pub(super) missing: u64,
}
