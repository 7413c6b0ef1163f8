//! Which traffic keeps a connection.

use std::time::Duration;

use super::super::kind::Kind;
use super::super::observed::Observed;
use super::Idle;
use super::group::{earliest, latest};

/// Whether traffic of this kind keeps connections beyond the timeout; `None` if unknown. Connections
/// in `is_excluded` ended for another reason.
pub(super) fn is_kept(
    all: &[Observed],
    kind: Kind,
    idle: &Idle,
    is_excluded: impl Fn(usize) -> bool,
    now: Duration,
) -> Option<bool> {
    let connections = || (0..all.len()).filter(|&index| all[index].kind == kind);
    let beyond = latest(idle.high);
    let holds = |index: usize| {
        let is_there = all[index].end.is_none() || is_excluded(index);
        // If connections are dropped, only a frame from the server proves a connection alive.
        let age = if idle.is_dropped { all[index].heard } else { all[index].age(now) };
        is_there && age > beyond
    };
    if connections().any(holds) {
        return Some(true);
    }
    let ended = connections().filter(|&index| !is_excluded(index));
    let ended: Vec<_> = ended.filter_map(|index| all[index].end.as_ref()).collect();
    let is_late = |age: Duration| age >= earliest(idle.low);
    let at_timeout = ended.iter().any(|end| is_late(end.age) && end.age <= beyond);
    // Cut at another timeout than the silent ones.
    let later = ended.iter().filter(|end| is_late(end.age)).count() > 1;
    let is_dead = ended.iter().any(|end| end.is_asked);
    (at_timeout || later || is_dead).then_some(false)
}
