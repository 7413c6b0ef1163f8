//! `client`: settings, signals and exit status around [`Mode::run`].

use std::process::ExitCode;

use client::{Mode, Settings, Verdict};
use program::signals::Signals;
use program::stop::Stopper;
use program::{events, exit, settings, stop};
use tokio::runtime::Builder;
use tracing::debug;

fn main() -> ExitCode {
    let settings: Settings = match settings::load(std::env::args_os()) {
        Ok(settings) => settings,
        Err(status) => return status,
    };
    let mode = match settings.mode() {
        Ok(mode) => mode,
        Err(cause) => return exit::misused(cause),
    };
    match run(mode, &settings) {
        Ok(Verdict::Good) => ExitCode::SUCCESS,
        Ok(Verdict::Bad) => ExitCode::FAILURE,
        Err(cause) => exit::failed(cause),
    }
}

fn run(mode: Mode, settings: &Settings) -> Result<Verdict, String> {
    let _events = events::init(settings.rust_log.clone());
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start: {error}"))?;
    let result = runtime.block_on(async {
        let signals = Signals::catch().map_err(|error| format!("cannot catch signals: {error}"))?;
        let (stopper, stop) = stop::channel();
        tokio::spawn(stop_at(signals, stopper));
        mode.run(stop).await
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
