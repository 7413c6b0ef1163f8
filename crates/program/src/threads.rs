//! Threads that cannot be started.

use std::io;

/// The error for a thread that the system refuses to start, with advice.
#[must_use]
pub fn refused(error: &io::Error) -> String {
    format!(
        "cannot start a thread: {error}; this user or container has as many processes and threads, or as much memory, as it may: raise that (ulimit -u, ulimit -v, or the limit of pids)"
    )
}
