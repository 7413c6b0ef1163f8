//! The ladder: connections that were silent for different times and then pinged once.

use std::time::Duration;

use super::super::kind::Kind;
use super::super::observed::Observed;
use super::group::latest;

/// Fewest pings without an answer that show a timeout: one connection may be lost by chance.
const FEWEST: usize = 2;

/// The silences between which connections are dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Threshold {
    /// The longest silence before an answer.
    pub(super) answered: Duration,
    /// The shortest silence without an answer.
    pub(super) unanswered: Duration,
    /// The connections without an answer.
    pub(super) lanes: Vec<usize>,
}

/// The threshold of silent drops, if the server was still there: frames came over a connection with
/// traffic later than the first ping without an answer, and at a greater age.
pub(super) fn threshold(
    all: &[Observed],
    is_excluded: impl Fn(usize) -> bool,
) -> Option<Threshold> {
    let silent = || (0..all.len()).filter(|&lane| all[lane].kind == Kind::Silent);
    let answered = silent().filter_map(|lane| all[lane].answered).max().unwrap_or_default();
    let asked = |lane: usize| all[lane].end.as_ref().filter(|end| end.is_asked);
    let lost = silent().filter(|&lane| !is_excluded(lane));
    let lanes: Vec<_> =
        lost.filter(|&lane| asked(lane).is_some_and(|end| end.silent > answered)).collect();
    let first = lanes.iter().copied().min_by_key(|&lane| asked(lane).map(|end| end.silent))?;
    let unanswered = asked(first)?.silent;
    let when = all[first].ended_at()?;
    let beyond = latest(unanswered);
    let outlives = |lane: &Observed| lane.opened + lane.heard > when && lane.heard > beyond;
    let goes_on = all.iter().any(|lane| lane.kind.is_talking() && outlives(lane));
    (lanes.len() >= FEWEST && goes_on).then_some(Threshold { answered, unanswered, lanes })
}
