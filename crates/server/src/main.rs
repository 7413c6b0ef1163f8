//! `server`: settings, signals and exit status around [`server::Server`].

mod signal;
mod supervisor;

use std::process::ExitCode;

use program::{events, exit, settings, stop};
use server::settings::Command;
use server::{Failure, Server, Settings, healthcheck};
use tokio::runtime::Builder;

use signal::ServerSignals;

fn main() -> ExitCode {
    let settings: Settings = match settings::load(std::env::args_os()) {
        Ok(settings) => settings,
        Err(status) => return status,
    };
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return exit::failed(format_args!("cannot start: {error}")),
    };
    let result = match settings.command {
        Some(Command::Healthcheck) => {
            runtime.block_on(healthcheck::check(settings.listen)).map_err(Failure::Run)
        }
        Some(Command::Documentation(documentation)) => return documentation.print::<Settings>(),
        None => runtime.block_on(serve(settings)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Setting(cause)) => exit::misused(cause),
        Err(Failure::Run(cause)) => exit::failed(cause),
    }
}

/// Serves until a signal. All events are on stderr when this returns.
async fn serve(settings: Settings) -> Result<(), Failure> {
    let _events = events::init(settings.rust_log.clone());
    let signals = ServerSignals::catch()
        .map_err(|error| Failure::Run(format!("cannot catch signals: {error}")))?;
    let server = Server::start(settings)?;
    let (stopper, stop) = stop::channel();
    tokio::spawn(supervisor::tell(stop.clone()));
    tokio::spawn(signals.handle(stopper, server.on_hang_up()));
    server.run(stop).await
}
