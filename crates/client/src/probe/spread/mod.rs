//! Where connections go.
//!
//! A first [`round`] makes all connections and holds them, so that a balancer which counts
//! connections shows its way as well. [`survey`] tells the servers apart, and makes further rounds
//! that show whether the balancer is [`sticky`]. [`verdict`] is what comes of it.

mod round;
mod sticky;
mod survey;
mod verdict;

use std::net::IpAddr;
use std::time::Duration;

use program::stop::Stop;
use tokio::select;

use super::crowd::instance::By;
use super::report::Report;
use crate::mode::Verdict;
use crate::net::Endpoint;
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
    /// Connections to make.
    pub connections: u64,
    /// What names the instance that answers; `None` finds that out.
    pub by: Option<By>,
    /// Fewest servers that are to answer.
    pub expect: u64,
    /// Local addresses that show whether the balancer goes by them. The first one is that of all
    /// other connections.
    pub sources: Vec<IpAddr>,
}

/// Runs the probe.
///
/// # Errors
/// Why the client itself cannot do it.
pub async fn run(options: Options, mut stop: Stop) -> Result<Verdict, String> {
    options.endpoint.warn_if_unchecked();
    let mut report = Report::open(options.json)?;
    let mut survey = Survey::new(options, report.printer());
    select! {
        () = survey.run() => {}
        () = report.over(&mut stop) => {}
    }
    let observed = survey.finish().await;
    report.finish(verdict::finding(&observed)).await
}
