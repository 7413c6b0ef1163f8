//! The signals of the process.

use program::signals::{Signals, catch};
use program::stop::Stopper;
use tokio::select;
use tokio::signal::unix::{Signal, SignalKind};
use tracing::info;

/// SIGXFSZ: a write beyond the file size limit. With a handler the write fails like one to a
/// full disk; without one the process ends. POSIX leaves the number to the system; it is 25 on
/// every Linux but MIPS.
const FILE_SIZE_EXCEEDED: i32 = 25;

/// The signals that the server handles: those that end a program, SIGHUP and SIGXFSZ.
pub(crate) struct ServerSignals {
    end: Signals,
    sighup: Signal,
}

impl ServerSignals {
    /// Begins to catch the signals, as [`Signals::catch`] does. Needs the context of a tokio runtime.
    ///
    /// # Errors
    /// When the system refuses a handler.
    pub(crate) fn catch() -> Result<Self, String> {
        // tokio's handler stays installed when its stream is dropped.
        drop(catch(SignalKind::from_raw(FILE_SIZE_EXCEEDED))?);
        Ok(Self { sighup: catch(SignalKind::hangup())?, end: Signals::catch()? })
    }

    /// Stops the server on SIGTERM and SIGINT; calls `on_sighup` on SIGHUP. Further signals change
    /// nothing: `timeout` and shells send one to the process and another to its group.
    pub(crate) async fn handle(mut self, stopper: Stopper, on_sighup: impl Fn()) {
        loop {
            let name = select! {
                name = self.end.next() => name,
                _ = self.sighup.recv() => {
                    on_sighup();
                    continue;
                }
            };
            info!("{name} received");
            stopper.stop();
        }
    }
}
