//! `client`: settings, signals and exit status around [`Mode::run`].

use std::process::ExitCode;

use client::{Mode, Settings, Verdict};
use program::signals::{EarlyExit, Signals};
use program::stop::Stopper;
use program::{events, exit, runtime, settings, stop};
use tracing::debug;

fn main() -> ExitCode {
    // Before the settings are read, a signal ends the client with the status for undecided.
    let early = match EarlyExit::install(exit::EXIT_UNDECIDED) {
        Ok(early) => early,
        Err(cause) => return exit::undecided(cause),
    };
    let settings: Settings = match settings::load(std::env::args_os()) {
        Ok(settings) => settings,
        Err(status) => return status,
    };
    if let Some(documentation) = settings.documentation() {
        return documentation.print::<Settings>();
    }
    let mode = match settings.mode() {
        Ok(mode) => mode,
        Err(cause) => return exit::misused(cause),
    };
    match run(mode, &settings, early) {
        Ok(Verdict::Good) => ExitCode::SUCCESS,
        Ok(Verdict::Bad(None)) => ExitCode::FAILURE,
        Ok(Verdict::Bad(Some(cause))) => exit::failed(cause),
        Ok(Verdict::Unknown(cause)) | Err(cause) => exit::undecided(cause),
    }
}

fn run(mode: Mode, settings: &Settings, early: EarlyExit) -> Result<Verdict, String> {
    let runtime = runtime::start()?;
    let _events = events::init(settings.rust_log.clone())?;
    let result = runtime.block_on(async {
        let signals = Signals::catch()?;
        early.end();
        let (stopper, stop) = stop::channel();
        tokio::spawn(stop_at(signals, stopper));
        Box::pin(mode.run(stop)).await
    });
    // A name look-up in a blocking thread may take many seconds more.
    runtime.shutdown_background();
    result
}

/// Stops the client at the first signal. Further signals change nothing: stopping takes less than a
/// second, and programs that forward signals, such as `timeout`, may send two at once.
async fn stop_at(mut signals: Signals, stopper: Stopper) {
    let name = signals.next().await;
    debug!("{name} received");
    stopper.stop();
}
