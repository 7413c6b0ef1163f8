//! The signals that end a program.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag::register_conditional_shutdown;
use tokio::select;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Ends the program at SIGTERM and SIGINT as long as there is nothing to clean up.
///
/// The kernel drops a signal to process 1 of a container that has no handler for it, so the
/// handlers are installed before the settings are read and a runtime is started.
#[derive(Debug)]
pub struct EarlyExit(Arc<AtomicBool>);

impl EarlyExit {
    /// Installs the handlers, which end the program with the exit status `status`.
    ///
    /// # Errors
    /// When the system refuses a handler.
    pub fn install(status: u8) -> Result<Self, String> {
        let is_early = Arc::new(AtomicBool::new(true));
        for number in [SIGTERM, SIGINT] {
            register_conditional_shutdown(number, status.into(), Arc::clone(&is_early))
                .map_err(|error| format!("cannot catch signals: {error}"))?;
        }
        Ok(Self(is_early))
    }

    /// Leaves the signals to [`Signals`] from now on.
    pub fn end(self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

/// SIGTERM and SIGINT, for a program that has something to clean up.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Begins to catch the two signals; they still end the program until [`EarlyExit::end`]. Needs the
    /// context of a tokio runtime.
    ///
    /// # Errors
    /// When the system refuses a handler.
    pub fn catch() -> Result<Self, String> {
        let terminate = catch(SignalKind::terminate())?;
        let interrupt = catch(SignalKind::interrupt())?;
        Ok(Self { terminate, interrupt })
    }

    /// Waits for the next signal and returns its name. A signal that came since
    /// [`Self::catch`] counts.
    pub async fn next(&mut self) -> &'static str {
        select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Begins to catch one signal. Needs the context of a tokio runtime.
///
/// # Errors
/// When the system refuses a handler.
pub fn catch(kind: SignalKind) -> Result<Signal, String> {
    signal(kind).map_err(|error| format!("cannot catch signals: {error}"))
}
