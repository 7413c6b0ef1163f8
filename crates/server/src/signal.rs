//! The signals of the process.

use std::io;

use server::journal::Journal;
use server::stop::Stopper;
use tokio::select;
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

/// SIGXFSZ: a write beyond the file size limit. With a handler the write fails like one to a
/// full disk; without one the process ends. POSIX leaves the number to the system; it is 25 on
/// every Linux but MIPS.
const FILE_SIZE_EXCEEDED: i32 = 25;

/// Stops the server on SIGTERM and SIGINT; reopens the log on SIGHUP. Further signals change
/// nothing: `timeout` and shells send one to the process and another to its group. As process 1 nothing is handled that has no handler, so each is named here.
///
/// # Errors
/// When a handler cannot be installed.
pub(crate) fn listen(stopper: Stopper, journal: Journal) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    // The handler stays when its stream is dropped.
    drop(signal(SignalKind::from_raw(FILE_SIZE_EXCEEDED))?);
    tokio::spawn(async move {
        loop {
            let name = select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
                _ = hang_up.recv() => {
                    journal.reopen();
                    continue;
                }
            };
            info!("{name} received");
            stopper.stop();
        }
    });
    Ok(())
}
