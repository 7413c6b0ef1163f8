//! Ends at one instant, whatever the traffic: a reload, a restart, a failover.

use std::time::Duration;

use super::super::observed::Observed;
use super::common_seen;
use super::group::spread;
use crate::outage::observed_end::ObservedEnd;

/// Largest difference between ends at one instant. A dropped connection was alive for certain at its
/// last frame only, which may be a second before.
const INSTANT: Duration = Duration::from_millis(1200);

/// Fewest ends at one instant.
const FEWEST: usize = 3;

/// Connections that ended at one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Instant {
    /// Time from the start of the probe.
    pub(in super::super) at: Duration,
    /// How most of them ended.
    pub(in super::super) seen: ObservedEnd,
    pub(in super::super) connections: Vec<usize>,
}

/// The instant at which most connections ended, if some of them had data traffic, and the ends have
/// the instant in common rather than an age.
pub(super) fn instant(all: &[Observed]) -> Option<Instant> {
    let mut ends: Vec<(Duration, usize)> = (0..all.len())
        .filter(|&index| all[index].cut().is_some())
        .filter_map(|index| Some((all[index].ended_at()?, index)))
        .collect();
    ends.sort_unstable();
    let within = |start: usize| {
        let first = ends[start].0;
        ends[start..].iter().take_while(move |(at, _)| *at - first <= INSTANT)
    };
    let start = (0..ends.len()).max_by_key(|&start| within(start).count())?;
    let at = ends[start].0;
    let mut connections: Vec<_> = within(start).map(|&(_, index)| index).collect();
    let of = |time: fn(&Observed) -> Option<Duration>| {
        spread(connections.iter().filter_map(|&index| time(&all[index])))
    };
    let (ages, instants) =
        (of(|observed| observed.cut().map(|end| end.age)), of(Observed::ended_at));
    let has_data = connections.iter().any(|&index| all[index].kind.has_data());
    if connections.len() < FEWEST || !has_data || ages <= instants {
        return None;
    }
    connections.extend((0..all.len()).filter(|&index| is_silent_since(&all[index], at)));
    Some(Instant { at, seen: common_seen(all, &connections), connections })
}

/// Whether a ping got no answer after an instant at which everything fell silent.
fn is_silent_since(observed: &Observed, instant: Duration) -> bool {
    let is_silent =
        observed.end.as_ref().is_some_and(|end| end.is_asked && end.seen == ObservedEnd::Silence);
    is_silent && observed.ended_at().is_some_and(|asked| asked + INSTANT >= instant)
}
