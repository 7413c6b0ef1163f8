//! `server`: settings, signals and exit status around [`server::Server`].

mod service_manager;
mod signal;

use std::process::ExitCode;

use program::paced::CAPACITY;
use program::signals::{EarlyExit, Signals};
use program::standard_streams::standard_output;
use program::{events, exit, runtime, settings, stop};
use server::settings::Command;
use server::{Failure, Server, Settings, descriptors, healthcheck};
use tokio::select;
use tracing::warn;

use signal::ServerSignals;

fn main() -> ExitCode {
    let early = match EarlyExit::install(0) {
        Ok(early) => early,
        Err(cause) => return exit::failed(cause),
    };
    let settings: Settings = match settings::load(std::env::args_os()) {
        Ok(settings) => settings,
        Err(status) => return status,
    };
    if let Some(Command::Documentation(documentation)) = &settings.command {
        return documentation.print::<Settings>();
    }
    match run(&settings, early) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Setting(cause)) => exit::misused(cause),
        Err(Failure::Run(cause)) => exit::failed(cause),
    }
}

fn run(settings: &Settings, early: EarlyExit) -> Result<(), Failure> {
    settings.check().map_err(Failure::Setting)?;
    if settings.command.is_none() {
        // Serving needs more descriptors than the runtime, whose error would name the fewer.
        descriptors::check(settings)?;
    }
    let runtime = runtime::start().map_err(Failure::Run)?;
    let result = match settings.command {
        Some(Command::Healthcheck) => runtime.block_on(check(settings, early)),
        _ => runtime.block_on(serve(settings, early)),
    };
    // Does not wait for a name look-up in a blocking thread, which may take many seconds more.
    runtime.shutdown_background();
    result
}

/// Checks a running server. A signal during the check is a failure: the server is not known to work.
async fn check(settings: &Settings, early: EarlyExit) -> Result<(), Failure> {
    let mut signals = Signals::catch().map_err(Failure::Run)?;
    early.end();
    select! {
        result = healthcheck::check(&settings.listen) => result.map_err(Failure::Run),
        name = signals.next() => Err(Failure::Run(format!("stopped by {name}"))),
    }
}

/// Serves until a signal. All events are on stderr when this returns.
///
/// The start may block for long, as while it looks up a name, and there is nothing to clean up before
/// the server listens: until then a signal ends the program at once.
async fn serve(settings: &Settings, early: EarlyExit) -> Result<(), Failure> {
    let _events = events::init(settings.rust_log.clone()).map_err(Failure::Run)?;
    let signals = ServerSignals::catch().map_err(Failure::Run)?;
    settings.without_effect().into_iter().for_each(|warning| warn!("{warning}"));
    let stdout = standard_output().with_pipe_size(CAPACITY);
    let server = Server::start(settings, stdout, || early.end())?;
    let (stopper, stop) = stop::channel();
    tokio::spawn(service_manager::notify_states(stop.clone()));
    tokio::spawn(signals.handle(stopper, server.on_sighup()));
    server.run(stop).await
}
