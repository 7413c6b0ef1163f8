//! `client`: settings, signals and exit status around [`client::run`],
//! [`client::interactive::run`] and [`client::bench::run`].

use std::process::ExitCode;

use client::Settings;
use client::bench::Load;
use program::signals::{EarlyExit, Signals};
use program::stop::Stopper;
use program::{events, exit, runtime, settings, stop};
use tracing::{debug, warn};

fn main() -> ExitCode {
    let early = match EarlyExit::install() {
        Ok(early) => early,
        Err(cause) => return exit::failed(cause),
    };
    let settings: Settings = match settings::load(std::env::args_os()) {
        Ok(settings) => settings,
        Err(status) => return status,
    };
    if let Some(Err(cause)) = settings.bench().map(Load::make_room) {
        return exit::misused(cause);
    }
    match run(&settings, early) {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => exit::failed(cause),
    }
}

fn run(settings: &Settings, early: EarlyExit) -> Result<(), String> {
    let runtime = runtime::start()?;
    let _events = events::init(settings.rust_log.clone())?;
    let result = runtime.block_on(work(settings, early));
    // A name look-up may be under way in a thread of its own, and take many seconds more.
    runtime.shutdown_background();
    result
}

async fn work(settings: &Settings, early: EarlyExit) -> Result<(), String> {
    let signals = Signals::catch(early)?;
    let (stopper, stop) = stop::channel();
    tokio::spawn(stop_at(signals, stopper));
    let trust = settings.trust();
    let url = settings.url();
    if trust.is_blind(url) {
        warn!(
            "--insecure: the certificate of {url} is not checked, so anyone on the way to it can read and change what is sent"
        );
    }
    if let Some(load) = settings.bench() {
        return client::bench::run(settings, load, stop).await;
    }
    match settings.interactive() {
        Some(url) => client::interactive::run(url, &trust, settings.pong_timeout, stop).await,
        None => client::run(settings, stop).await,
    }
}

/// Stops the client at the first of the signals. A further one changes nothing: stopping takes
/// less than a second anyway, and `timeout`, like others who pass signals on, sends two at a time.
async fn stop_at(mut signals: Signals, stopper: Stopper) {
    let name = signals.next().await;
    debug!("{name} received");
    stopper.stop();
}
