//! The signals of the process.

use std::io;

use server::stop::Stopper;
use tokio::select;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::info;

/// SIGXFSZ: a write beyond the file size limit. With a handler the write fails like one to a
/// full disk; without one the process ends. POSIX leaves the number to the system; it is 25 on
/// every Linux but MIPS.
const FILE_SIZE_EXCEEDED: i32 = 25;

/// The signals that the server handles. As process 1 nothing is handled that has no handler, so
/// each is named here.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    /// Begins to catch them.
    ///
    /// # Errors
    /// When a handler cannot be installed.
    pub(crate) fn catch() -> io::Result<Self> {
        // The handler stays when its stream is dropped.
        drop(signal(SignalKind::from_raw(FILE_SIZE_EXCEEDED))?);
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Stops the server on SIGTERM and SIGINT; calls `on_hang_up` on SIGHUP. Further signals change
    /// nothing: `timeout` and shells send one to the process and another to its group.
    pub(crate) async fn handle(mut self, stopper: Stopper, on_hang_up: impl Fn()) {
        loop {
            let name = select! {
                _ = self.terminate.recv() => "SIGTERM",
                _ = self.interrupt.recv() => "SIGINT",
                _ = self.hang_up.recv() => {
                    on_hang_up();
                    continue;
                }
            };
            info!("{name} received");
            stopper.stop();
        }
    }
}
