//! Whether a server conforms to RFC 6455.
//!
//! Each check is a row of a table ([`list`]): what is sent, and what is expected. [`target`]
//! carries out each over a connection of its own, several at the same time: the opening handshake,
//! written by hand ([`request`]), and an exchange of frames ([`conversation`]). [`room`] runs fewer
//! at a time if the server refuses some. [`evaluate`] compares the answers with the expectations,
//! and [`tally`] counts.

mod conversation;
mod evaluate;
mod list;
mod request;
mod room;
mod tally;
mod target;

use std::time::Duration;

use futures_util::{StreamExt, stream};
use program::descriptors;
use program::stop::Stop;
use proto::limits::{CONNECT_TIMEOUT, MAX_REPLY};
use serde::Serialize;
use tokio::select;
use tokio::time::Instant;

use super::output::{Printer, ProbeOutput};
use crate::net::ending::Ending;
use crate::net::error::cannot_connect;
use crate::net::socket::Socket;
use crate::net::{self, ConnectError, Endpoint};
use crate::verdict::Verdict;
use list::{Check, ILL_FORMED, WELL_FORMED};
use tally::Tally;
use target::Target;

/// Connections that are open at the same time.
const AT_ONCE: usize = 32;

/// Descriptors that the probe has to be able to open: those of the connections, and a few for the
/// look-up of a name.
const DESCRIPTORS: usize = AT_ONCE + 8;

/// What to probe, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The server.
    pub endpoint: Endpoint,
    /// Longest wait for an answer.
    pub patience: Duration,
    /// Leaves out the checks that break the RFC themselves.
    pub well_formed: bool,
    /// Prints one JSON object per line.
    pub json: bool,
}

/// The outcome of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    /// The server keeps the rule.
    Passed,
    /// The server does what the RFC advises against, or the outcome is unclear.
    Warned,
    /// The server breaks the rule.
    Failed,
    /// The rule was not checked: no connection could be made, the server had no room for it, or did
    /// not answer the usual request in time.
    Skipped,
}

/// Runs the probe.
///
/// # Errors
/// If the client itself cannot run the probe, for example because stdout cannot be written; the
/// error says why.
pub async fn run(options: Options, mut stop: Stop) -> Result<Verdict, String> {
    descriptors::require(DESCRIPTORS)?;
    options.endpoint.warn_if_unchecked();
    let ill_formed = if options.well_formed { &[] } else { ILL_FORMED };
    let checks: Vec<_> = WELL_FORMED.iter().chain(ill_formed).collect();
    let mut output = ProbeOutput::open(options.json)?;
    let mut tally = Tally::new(output.printer(), checks.len());
    let unreached = select! {
        result = run_all(&options, &checks, &mut tally) => result.err(),
        () = output.over(&mut stop) => None,
    };
    let unreached = unreached.map(|error| cannot_connect(&options.endpoint.url, &error));
    output.finish(tally.finding(unreached)).await
}

/// Carries out all checks.
///
/// # Errors
/// If the server cannot be reached at all; the error says why.
async fn run_all(
    options: &Options,
    checks: &[&'static Check],
    tally: &mut Tally,
) -> Result<(), ConnectError> {
    tally.show().await;
    let route = net::find_route(&options.endpoint).await?;
    let patience = options.patience;
    if !Target::new(&route, patience, 1).is_there().await {
        // If the server does not work, an ordinary connection fails with a clear error.
        let deadline = Instant::now() + CONNECT_TIMEOUT;
        let upgraded = route.connect(deadline, |_| None).await?.upgraded;
        Socket::new(upgraded.stream, upgraded.early, MAX_REPLY).close(&Ending::Stopped).await;
    }
    let target = Target::new(&route, patience, AT_ONCE);
    let running = checks.iter().enumerate().map(async |(number, check)| {
        let (outcome, detail) = target.run(check).await;
        (number, *check, outcome, detail)
    });
    let mut done = stream::iter(running).buffer_unordered(AT_ONCE);
    while let Some((number, check, outcome, detail)) = done.next().await {
        tally.add(number, check, outcome, detail).await;
    }
    Ok(())
}
