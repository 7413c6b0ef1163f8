//! The silence after which connections are dropped, inferred from connections that were silent for
//! different times and then pinged once.

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
    pub(super) connections: Vec<usize>,
}

/// The threshold of silent drops, if the server was still there: frames came over a connection with
/// traffic later than the first ping without an answer, and at a greater age.
pub(super) fn threshold(
    all: &[Observed],
    is_excluded: impl Fn(usize) -> bool,
) -> Option<Threshold> {
    let silent = || (0..all.len()).filter(|&index| all[index].kind == Kind::Silent);
    let answered = silent().filter_map(|index| all[index].answered).max().unwrap_or_default();
    let asked = |index: usize| all[index].end.as_ref().filter(|end| end.is_asked);
    let lost = silent().filter(|&index| !is_excluded(index));
    let connections: Vec<_> =
        lost.filter(|&index| asked(index).is_some_and(|end| end.silent > answered)).collect();
    let first =
        connections.iter().copied().min_by_key(|&index| asked(index).map(|end| end.silent))?;
    let unanswered = asked(first)?.silent;
    let when = all[first].ended_at()?;
    let beyond = latest(unanswered);
    let outlives =
        |observed: &Observed| observed.opened + observed.heard > when && observed.heard > beyond;
    let goes_on = all.iter().any(|observed| observed.kind.is_talking() && outlives(observed));
    (connections.len() >= FEWEST && goes_on).then_some(Threshold {
        answered,
        unanswered,
        connections,
    })
}
