//! Whether the server can do its work.

use crate::journal::Journal;
use program::stop::Stop;

/// The state behind `/healthz`.
#[derive(Clone, Debug)]
pub struct Health {
    /// The log; a ping is answered only when its line is written.
    pub journal: Journal,
    /// The stop; a stopping server takes no new work.
    pub stop: Stop,
}

impl Health {
    /// Checks that the server is not stopping, and that pings can be recorded.
    ///
    /// # Errors
    /// If either is not so; the error says why, as `/healthz` replies.
    pub fn check(&self) -> Result<(), String> {
        if self.stop.is_stopping() {
            return Err("the server is stopping".into());
        }
        self.journal.check().map_err(|cause| cause.to_string())
    }
}
