//! Over which servers connections spread.
//!
//! A first [`round`] opens all connections and holds them, so that a balancer that counts open
//! connections shows its choice as well. The [`survey`] identifies the server of each, and opens
//! further rounds that show whether the balancer is [`sticky`]. The result is a [`verdict`].

mod round;
mod sticky;
mod survey;
mod verdict;

use std::net::IpAddr;
use std::time::Duration;

use program::stop::Stop;
use tokio::select;

use super::instances::NameSource;
use super::output::ProbeOutput;
use crate::net::Endpoint;
use crate::verdict::Verdict;
use survey::Survey;

/// What to probe, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The server.
    pub endpoint: Endpoint,
    /// Longest wait for an answer (`PONG_TIMEOUT`).
    pub patience: Duration,
    /// Prints one JSON object per line.
    pub json: bool,
    /// Connections to open.
    pub connections: u64,
    /// What names the instance that answers; `None` finds that out.
    pub by: Option<NameSource>,
    /// Fewest servers that have to answer.
    pub expect: u64,
    /// Local addresses to connect from, to find out whether the balancer goes by them. Connections
    /// with no regard to that come from the first one.
    pub sources: Vec<IpAddr>,
}

/// Runs the probe.
///
/// # Errors
/// Why the client itself cannot do it.
pub async fn run(options: Options, mut stop: Stop) -> Result<Verdict, String> {
    options.endpoint.warn_if_unchecked();
    let mut output = ProbeOutput::open(options.json)?;
    let is_json = options.json;
    let mut survey = Survey::new(options, output.printer());
    select! {
        () = survey.run() => {}
        () = output.over(&mut stop) => {}
    }
    let observed = survey.finish().await;
    output.finish(verdict::finding(&observed, is_json)).await
}
