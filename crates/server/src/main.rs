//! `server`: settings, signals and exit status around [`server::Server`].

mod signal;

use std::io::{self, Write};
use std::process::ExitCode;

use proto::settings::{self, EXIT_USAGE};
use server::settings::Command;
use server::{Failure, Server, Settings, events, healthcheck, stop};
use tokio::runtime::Builder;

use signal::Signals;

/// Exit status of a server that failed at run time.
const EXIT_FAILURE: u8 = 1;

fn main() -> ExitCode {
    let settings: Settings = match settings::load(std::env::args_os()) {
        Ok(settings) => settings,
        Err(status) => return status,
    };
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(EXIT_FAILURE, &format!("cannot start: {error}")),
    };
    let result = match settings.command {
        Some(Command::Healthcheck) => {
            runtime.block_on(healthcheck::check(settings.listen)).map_err(Failure::Run)
        }
        None => runtime.block_on(serve(settings)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Setting(cause)) => fail(EXIT_USAGE, &cause),
        Err(Failure::Run(cause)) => fail(EXIT_FAILURE, &cause),
    }
}

/// Serves until a signal; what happened is told on stderr when this returns.
async fn serve(settings: Settings) -> Result<(), Failure> {
    let _events = events::init(settings.rust_log.clone());
    let signals =
        Signals::catch().map_err(|error| Failure::Run(format!("cannot catch signals: {error}")))?;
    let server = Server::start(settings)?;
    let (stopper, stop) = stop::channel();
    tokio::spawn(signals.handle(stopper, server.on_hang_up()));
    server.run(stop).await
}

fn fail(status: u8, cause: &str) -> ExitCode {
    // Where stderr is gone as well, the status has to do.
    let _ = writeln!(io::stderr(), "error: {cause}");
    ExitCode::from(status)
}
