//! The tokio runtime of a program's main thread.

use tokio::runtime::{Builder, Runtime};

use crate::descriptors;

/// Descriptors that a runtime with its signals opens, with some to spare.
const DESCRIPTORS: usize = 8;

/// Starts a runtime that runs in this thread alone.
///
/// # Errors
/// When the process has too few file descriptors left; tokio itself would panic.
pub fn start() -> Result<Runtime, String> {
    descriptors::require(DESCRIPTORS)?;
    Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start: {error}"))
}
