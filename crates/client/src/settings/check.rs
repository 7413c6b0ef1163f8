//! The settings of `client check`.

use std::time::Duration;

use clap::Args;

use super::some_seconds;
use crate::net::Endpoint;
use crate::probe::check::Options;

/// Default of the longest wait for an answer: most checks are answered within a round trip.
const PATIENCE: Duration = Duration::from_secs(2);

/// The arguments of `client check`.
#[derive(Args, Clone, Debug)]
pub(super) struct CheckArgs {
    /// Server [default: that of --server-url]
    #[arg(value_name = "URL")]
    pub(super) url: Option<String>,

    /// Sends only what RFC 6455 allows, for a server in production
    #[arg(long)]
    well_formed: bool,

    /// Longest wait for each answer [default: 2, or --pong-timeout where that is shorter]
    #[arg(short = 'W', long, value_name = "SECONDS", value_parser = some_seconds)]
    wait: Option<Duration>,
}

impl CheckArgs {
    /// The probe of `endpoint`.
    pub(super) fn options(&self, endpoint: Endpoint, patience: Duration, json: bool) -> Options {
        let patience = self.wait.unwrap_or(patience.min(PATIENCE));
        Options { endpoint, patience, well_formed: self.well_formed, json }
    }
}
