//! The signals of the process.

use std::io;

use client::stop::Stopper;
use tokio::select;
use tokio::signal::unix::{SignalKind, signal};
use tracing::debug;

/// Stops the client on SIGTERM and SIGINT. As process 1 nothing is handled that has no handler,
/// so each is named here. A further signal changes nothing: stopping takes less than a second
/// anyway, and `timeout`, like others who pass signals on, sends two at a time.
///
/// # Errors
/// When a handler cannot be installed.
pub(crate) fn listen(stopper: Stopper) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        let name = select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        debug!("{name} received");
        stopper.stop();
    });
    Ok(())
}
