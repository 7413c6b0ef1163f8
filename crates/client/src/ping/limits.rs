//! The limits of a run: count and deadline.

use std::time::Duration;

use tokio::time::sleep;

/// The limits of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Pings to send (`--count`). A failed attempt to connect counts as well, so that a run without
    /// a server ends.
    pub count: Option<u64>,
    /// Time limit of the whole run (`--deadline`).
    pub deadline: Option<Duration>,
}

impl Limits {
    /// Whether the run has a limit.
    #[must_use]
    pub fn are_any(self) -> bool {
        self.count.is_some() || self.deadline.is_some()
    }

    /// Waits for the deadline, if there is one.
    pub(super) async fn wait(self) {
        match self.deadline {
            Some(time) => sleep(time).await,
            None => std::future::pending().await,
        }
    }
}
