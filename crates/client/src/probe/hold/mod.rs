//! The effect of a rollout, a reload or a failover on many connections.
//!
//! Each held [`connection`] is pinged once a second and opened again when it is lost.
//! [`new_connections`] show where new connections go, and whether they are refused. All of them
//! count in [`stats`]; [`mod@watch`] prints the changes once a second. [`cause`] infers what
//! the losses have in common, and [`server_view`] is how the servers saw them. The result is a
//! [`verdict`].

mod cause;
mod connection;
mod new_connections;
mod server_view;
mod shared;
mod stats;
mod verdict;
mod watch;

use std::rc::Rc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use program::stop::{self, Stop};
use tokio::select;

use super::instances::NameSource;
use super::output::ProbeOutput;
use crate::net::Endpoint;
use crate::net::source::Sources;
use crate::verdict::Verdict;
use connection::HeldConnection;
use shared::Shared;

/// What to probe, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The server.
    pub endpoint: Endpoint,
    /// Longest wait for an answer (`PONG_TIMEOUT`).
    pub patience: Duration,
    /// Prints one JSON object per line.
    pub json: bool,
    /// Connections to hold.
    pub connections: u64,
    /// The part of an answer that names the instance; the probe finds one if `None`.
    pub by: Option<NameSource>,
    /// Local addresses to connect from.
    pub sources: Sources,
    /// Time after which the probe ends.
    pub limit: Option<Duration>,
    /// Time without a change, after the first change, after which the probe ends.
    pub quiet: Option<Duration>,
    /// Longest gap of a good verdict; if `None`, no connection may be lost.
    pub max_gap: Option<Duration>,
}

/// Runs the probe.
///
/// # Errors
/// If the client itself cannot run the probe, for example because stdout cannot be written; the
/// error says why.
pub async fn run(options: Options, mut stop: Stop) -> Result<Verdict, String> {
    options.endpoint.warn_if_unchecked();
    let mut output = ProbeOutput::open(options.json)?;
    let shared = Rc::new(Shared::new(options, output.printer()));
    let (stopper, ending) = stop::channel();
    let mut connections = FuturesUnordered::new();
    let first = select! {
        first = shared.first() => first,
        () = output.over(&mut stop) => None,
    };
    if let mut first @ Some(_) = first {
        for number in 0..shared.options.connections {
            let held = HeldConnection::new(Rc::clone(&shared), number, first.take());
            connections.push(Box::pin(held.run(ending.clone())));
        }
        select! {
            biased;
            () = output.over(&mut stop) => {}
            () = watch::watch(&shared) => {}
            () = new_connections::open_each_second(&shared) => {}
            () = drive(&mut connections) => {}
        }
    }
    shared.stats.borrow_mut().finish(shared.started.elapsed());
    stopper.stop();
    drive(&mut connections).await;
    let finding = verdict::finding(&shared.stats.borrow(), &shared.options);
    output.finish(finding).await
}

/// Polls all connections until they have ended.
async fn drive<F: Future<Output = ()> + Unpin>(connections: &mut FuturesUnordered<F>) {
    while connections.next().await.is_some() {}
}
