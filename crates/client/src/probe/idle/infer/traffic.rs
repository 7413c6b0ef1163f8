//! Which traffic keeps a connection.

use std::time::Duration;

use super::super::kind::Kind;
use super::super::observed::Observed;
use super::Idle;
use super::group::slack;

/// Whether traffic of this kind keeps connections beyond the timeout; `None` if that is not known.
/// Connections in `is_excluded` ended for a reason of their own.
pub(super) fn is_kept(
    all: &[Observed],
    kind: Kind,
    idle: &Idle,
    is_excluded: impl Fn(usize) -> bool,
    now: Duration,
) -> Option<bool> {
    let lanes = || (0..all.len()).filter(|&lane| all[lane].kind == kind);
    let beyond = idle.high + slack(idle.high);
    let holds = |lane: usize| {
        let is_there = all[lane].end.is_none() || is_excluded(lane);
        // An open connection may be dead; a frame from the server shows that it is not.
        let age = if idle.is_dumb { all[lane].heard } else { all[lane].age(now) };
        is_there && age > beyond
    };
    if lanes().any(holds) {
        return Some(true);
    }
    let ended: Vec<_> = lanes().filter(|&lane| !is_excluded(lane)).collect();
    let ended: Vec<_> = ended.iter().filter_map(|&lane| all[lane].end.as_ref()).collect();
    let early = idle.low.saturating_sub(slack(idle.low));
    let is_late = |age: Duration| age >= early;
    let at_timeout = ended.iter().any(|end| is_late(end.age) && end.age <= beyond);
    // At another timeout than the silent ones, or found dead when asked.
    let later = ended.iter().filter(|end| is_late(end.age)).count() > 1;
    let is_dead = ended.iter().any(|end| end.is_asked);
    (at_timeout || later || is_dead).then_some(false)
}
