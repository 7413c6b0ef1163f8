//! Whether the probe waits, opens further connections, or ends.

use std::time::Duration;

use super::infer::Inference;
use super::kind::Kind;
use super::observed::Observed;
use super::plan::{Plan, PlannedConnection, refinement};

/// The next step of the probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Waits.
    Wait,
    /// Opens further connections.
    Refine(Vec<PlannedConnection>),
    /// Ends.
    Finish,
}

/// The progress of the probe.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    /// Time from the start of the probe.
    pub(super) now: Duration,
    /// Whether connections are still to be opened.
    pub(super) is_opening: bool,
    /// Whether further connections were opened already.
    pub(super) is_refined: bool,
}

/// The next step of the probe, given the observations so far.
pub(super) fn next(found: &Inference, all: &[Observed], plan: &Plan, progress: Progress) -> Next {
    let Progress { now, is_opening, is_refined } = progress;
    if is_opening {
        return Next::Wait;
    }
    let is_searched = |observed: &Observed| observed.kind == Kind::Silent && observed.is_open();
    let is_settled = |time: Duration| {
        let until = time + plan.settle(time);
        let others = all.iter().filter(|observed| observed.kind != Kind::Silent);
        others.clone().all(|observed| !observed.is_open() || observed.age(now) >= until)
    };
    match &found.idle {
        Some(idle) if idle.is_dropped && !is_refined => {
            match refinement(idle.low, idle.high, now) {
                connections if connections.is_empty() => finish_if(is_settled(idle.high)),
                connections => Next::Refine(connections),
            }
        }
        // Longer silences would show nothing new.
        Some(idle) if idle.is_dropped => {
            let is_within = |observed: &Observed| {
                observed.asks_after.is_some_and(|silence| silence < idle.high)
            };
            let is_searching =
                all.iter().any(|observed| is_searched(observed) && is_within(observed));
            finish_if(!is_searching && is_settled(idle.high))
        }
        Some(idle) => finish_if(is_settled(idle.high)),
        None if all.iter().any(is_searched) => Next::Wait,
        None if found.instant.is_some() => Next::Finish,
        None => {
            let cut = all
                .iter()
                .filter(|observed| observed.kind == Kind::Silent && observed.end.is_some());
            finish_if(cut.filter_map(Observed::quiet).max().is_none_or(is_settled))
        }
    }
}

fn finish_if(is_over: bool) -> Next {
    if is_over { Next::Finish } else { Next::Wait }
}
