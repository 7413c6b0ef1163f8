//! `client`: settings, signals and exit status around [`client::run`],
//! [`client::interactive::run`] and [`client::bench::run`].

mod signal;

use std::io::{self, Write};
use std::process::ExitCode;

use client::bench::Load;
use client::{Settings, events, stop};
use proto::settings;
use tokio::runtime::Builder;
use tracing::warn;

fn main() -> ExitCode {
    let settings: Settings = match settings::load(std::env::args_os()) {
        Ok(settings) => settings,
        Err(status) => return status,
    };
    if let Some(Err(cause)) = settings.bench().map(Load::make_room) {
        return settings::wrong(&cause);
    }
    match run(&settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => {
            // Where stderr is gone as well, the status has to do.
            let _ = writeln!(io::stderr(), "error: {cause}");
            ExitCode::FAILURE
        }
    }
}

fn run(settings: &Settings) -> Result<(), String> {
    let _events = events::init(settings.rust_log.clone());
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start: {error}"))?;
    let result = runtime.block_on(work(settings));
    // A name look-up may be under way in a thread of its own, and take many seconds more.
    runtime.shutdown_background();
    result
}

async fn work(settings: &Settings) -> Result<(), String> {
    let (stopper, stop) = stop::channel();
    signal::listen(stopper).map_err(|error| format!("cannot listen for signals: {error}"))?;
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
