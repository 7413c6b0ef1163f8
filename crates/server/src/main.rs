//! `server`: settings, signals and exit status around [`server::Server`].

mod signal;

use std::process::ExitCode;

use proto::settings::{self, EXIT_USAGE};
use server::settings::Command;
use server::{Failure, Server, Settings, events, healthcheck, stop};
use tokio::runtime::Builder;

fn main() -> ExitCode {
    let settings: Settings = match settings::load(std::env::args_os()) {
        Ok(settings) => settings,
        Err(status) => return status,
    };
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start: {error}")),
    };
    match settings.command {
        Some(Command::Healthcheck) => match runtime.block_on(healthcheck::check(settings.listen)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(cause) => fail(&cause),
        },
        None => runtime.block_on(serve(settings)),
    }
}

async fn serve(settings: Settings) -> ExitCode {
    let _guard = events::init(settings.rust_log.clone());
    let (stopper, stop) = stop::channel();
    let result = match Server::start(settings) {
        Ok(server) => match signal::listen(stopper, server.journal()) {
            Ok(()) => server.run(stop).await,
            Err(error) => Err(Failure::Run(format!("cannot listen for signals: {error}"))),
        },
        Err(failure) => Err(failure),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Setting(cause)) => {
            fail(&cause);
            ExitCode::from(EXIT_USAGE)
        }
        Err(Failure::Run(cause)) => fail(&cause),
    }
}

fn fail(cause: &str) -> ExitCode {
    eprintln!("error: {cause}");
    ExitCode::FAILURE
}
