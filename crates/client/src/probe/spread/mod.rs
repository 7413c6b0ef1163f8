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
    /// The part of an answer that names the instance; the probe finds one if `None`.
    pub by: Option<NameSource>,
    /// Fewest servers that have to answer.
    pub expect: u64,
    /// Local addresses to connect from, to find out whether the balancer goes by the address of the
    /// client. All other connections come from the first one.
    pub sources: Vec<IpAddr>,
}

/// Runs the probe.
///
/// # Errors
/// If the client itself cannot run the probe, for example because stdout cannot be written; the
/// error says why.
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
