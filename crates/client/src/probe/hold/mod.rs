//! What a rollout, a reload or a failover does to many connections.
//!
//! Each [`member`] is a connection that is pinged once a second and made again when it is lost.
//! [`newcomer`]s show where new connections go, and whether they are refused. What happens to all
//! of them is counted by the [`fleet`], which the [`watch`] looks at once a second. [`moment`] infers
//! what the lost connections have in common, and [`verdict`] puts all into words.

mod fleet;
mod member;
mod moment;
mod newcomer;
mod shared;
mod told;
mod verdict;
mod watch;

use std::rc::Rc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use program::stop::{self, Stop};
use tokio::select;

use super::crowd::instance::By;
use super::report::Report;
use crate::mode::Verdict;
use crate::net::Endpoint;
use crate::net::source::Sources;
use member::Member;
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
    /// What names the instance that answers; `None` finds that out.
    pub by: Option<By>,
    /// Local addresses to connect from.
    pub sources: Sources,
    /// Time after which the probe ends.
    pub limit: Option<Duration>,
    /// Time without a change, after the first change, after which the probe ends.
    pub quiet: Option<Duration>,
    /// Longest gap of a good verdict; without it, no connection may be lost.
    pub max_gap: Option<Duration>,
}

/// Runs the probe.
///
/// # Errors
/// Why the client itself cannot do it.
pub async fn run(options: Options, mut stop: Stop) -> Result<Verdict, String> {
    options.endpoint.warn_if_unchecked();
    let mut report = Report::open(options.json)?;
    let shared = Rc::new(Shared::new(options, report.printer()));
    let (stopper, ending) = stop::channel();
    let mut members = FuturesUnordered::new();
    let first = select! {
        first = shared.first() => first,
        () = report.over(&mut stop) => None,
    };
    if let Some(first) = first {
        let mut first = Some(first);
        for number in 0..shared.options.connections {
            let member = Member::new(Rc::clone(&shared), number, first.take());
            members.push(Box::pin(member.run(ending.clone())));
        }
        select! {
            biased;
            () = report.over(&mut stop) => {}
            () = watch::watch(&shared) => {}
            () = newcomer::come(&shared) => {}
            () = drive(&mut members) => {}
        }
    }
    shared.fleet.borrow_mut().finish();
    stopper.stop();
    drive(&mut members).await;
    let finding = verdict::finding(&shared.fleet.borrow(), &shared.options);
    report.finish(finding).await
}

/// Runs all members to their end.
async fn drive<F: Future<Output = ()> + Unpin>(members: &mut FuturesUnordered<F>) {
    while members.next().await.is_some() {}
}
