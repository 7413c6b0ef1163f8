//! `client`: settings, signals and exit status around [`Mode::run`].

use std::process::ExitCode;

use client::{Mode, Settings, Verdict};
use program::signals::{EarlyExit, Signals};
use program::stop::Stopper;
use program::{events, exit, runtime, settings, stop};
use tracing::debug;

fn main() -> ExitCode {
    // Nothing is known yet of what the client was asked, and 0 would say that all is well.
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
        let signals = Signals::catch(early)?;
        let (stopper, stop) = stop::channel();
        tokio::spawn(stop_at(signals, stopper));
        Box::pin(mode.run(stop)).await
    });
    // A name look-up may be under way in a thread of its own, and take many seconds more.
    runtime.shutdown_background();
    result
}

/// Stops the client at the first of the signals. A further one changes nothing: stopping takes
/// less than a second anyway, and `timeout`, like others who pass signals on, sends two at a time.
async fn stop_at(mut signals: Signals, stopper: Stopper) {
    let name = signals.next().await;
    debug!("{name} received");
    stopper.stop();
}
