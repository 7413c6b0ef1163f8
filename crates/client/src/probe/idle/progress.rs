//! Whether the probe waits, opens further connections, or ends.

use std::time::Duration;

use super::infer::Inference;
use super::kind::Kind;
use super::observed::Observed;
use super::plan::{Lane, Plan, refinement};

/// What the probe does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Waits.
    Wait,
    /// Opens further connections.
    Refine(Vec<Lane>),
    /// Ends.
    Finish,
}

/// How far the probe is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    /// Time from the start of the probe.
    pub(super) now: Duration,
    /// Whether connections are still to be opened.
    pub(super) is_opening: bool,
    /// Whether further connections were opened already.
    pub(super) is_refined: bool,
}

/// What the probe does next, given the observations so far.
pub(super) fn next(found: &Inference, all: &[Observed], plan: &Plan, progress: Progress) -> Next {
    let Progress { now, is_opening, is_refined } = progress;
    if is_opening {
        return Next::Wait;
    }
    let is_searched = |lane: &Observed| lane.kind == Kind::Silent && lane.is_open();
    let is_settled = |time: Duration| {
        let until = time + plan.settle(time);
        let others = all.iter().filter(|lane| lane.kind != Kind::Silent);
        others.clone().all(|lane| !lane.is_open() || lane.age(now) >= until)
    };
    match &found.idle {
        Some(idle) if idle.is_dropped && !is_refined => {
            match refinement(idle.low, idle.high, now) {
                lanes if lanes.is_empty() => finish_if(is_settled(idle.high)),
                lanes => Next::Refine(lanes),
            }
        }
        // Longer rungs of the ladder can add nothing any more.
        Some(idle) if idle.is_dropped => {
            let is_within =
                |lane: &Observed| lane.asks_after.is_some_and(|silence| silence < idle.high);
            let is_searching = all.iter().any(|lane| is_searched(lane) && is_within(lane));
            finish_if(!is_searching && is_settled(idle.high))
        }
        Some(idle) => finish_if(is_settled(idle.high)),
        None if all.iter().any(is_searched) => Next::Wait,
        None if found.instant.is_some() => Next::Finish,
        None => {
            let cut = all.iter().filter(|lane| lane.kind == Kind::Silent && lane.end.is_some());
            finish_if(cut.filter_map(Observed::quiet).max().is_none_or(is_settled))
        }
    }
}

fn finish_if(is_over: bool) -> Next {
    if is_over { Next::Finish } else { Next::Wait }
}
