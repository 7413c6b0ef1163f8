//! What a rollout, a reload or a failover does to many connections.

use std::time::Duration;

use program::stop::Stop;

use crate::mode::Verdict;
use crate::net::Endpoint;

/// What to probe, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The server.
    pub endpoint: Endpoint,
    /// Longest wait for an answer (`PONG_TIMEOUT`).
    pub patience: Duration,
    /// Prints one JSON object per line.
    pub json: bool,
}

/// Runs the probe.
///
/// # Errors
/// Why the client itself cannot do it.
pub async fn run(options: Options, stop: Stop) -> Result<Verdict, String> {
    let _ = (options, stop);
    Ok(Verdict::Unknown("not built".into()))
}
