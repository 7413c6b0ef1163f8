//! A cap on the age of connections, however busy.

use std::time::Duration;

use super::super::observed::Observed;
use super::group::{Group, earliest, groups, latest};
use super::{FEWEST, Idle, Lifetime, View, common_seen};
use crate::outage::observed_end::ObservedEnd;

impl View<'_> {
    /// An age at which connections with traffic were cut and which none survived, beyond the idle
    /// timeout if there is one.
    pub(super) fn lifetime(&self, idle: Option<&Idle>) -> Option<Lifetime> {
        let idle_end = idle.map(|idle| latest(idle.high)).unwrap_or_default();
        let own = self.talking().filter(|&index| !self.is_at_instant(index));
        let ends = own.filter_map(|index| Some((self.last_alive(index)?, index)));
        let ends = ends.filter(|&(age, _)| age > idle_end);
        let mut group = groups(ends).into_iter().find(|group| self.is_cap(group))?;
        let seen = common_seen(self.all, &group.connections);
        // A dropped connection lived a little longer than its last frame shows.
        let time = if is_drop(seen) { group.high() } else { group.median() };
        let early = earliest(group.low());
        let is_capped = |index: &usize| {
            let is_other = !self.is_at_instant(*index) && !group.connections.contains(index);
            let is_idle = idle.is_some_and(|idle| idle.connections.contains(index));
            let end = self.all[*index].end.as_ref();
            let is_same = end.is_some_and(|end| end.age >= early && end.is_asked == is_drop(seen));
            is_other && !is_idle && is_same
        };
        let further: Vec<_> = self.connections().filter(is_capped).collect();
        group.connections.extend(further);
        Some(Lifetime { time, seen, connections: group.connections })
    }

    /// Whether at least half of the connections with traffic that reached this age were cut at it,
    /// some with data among them, and none survived it.
    fn is_cap(&self, group: &Group) -> bool {
        let is_drop = is_drop(common_seen(self.all, &group.connections));
        let (early, beyond) = (earliest(group.low()), latest(group.high()));
        let own = self.talking().filter(|&index| !self.is_at_instant(index));
        let reached = own.filter(|&index| self.proven_age(index, is_drop) >= early).count();
        let is_survived = self.connections().any(|index| self.proven_age(index, is_drop) > beyond);
        let has_data = group.connections.iter().any(|&index| self.all[index].kind.has_data());
        group.len() >= FEWEST && group.len() * 2 >= reached && has_data && !is_survived
    }

    /// The age at which a connection that has ended was alive for the last time.
    fn last_alive(&self, index: usize) -> Option<Duration> {
        let Observed { end, heard, .. } = &self.all[index];
        end.as_ref().map(|end| if end.is_asked { *heard } else { end.age })
    }

    /// The age at which a connection was alive for certain. Where connections are dropped, an open
    /// one may be dead since its last frame.
    fn proven_age(&self, index: usize, is_drop: bool) -> Duration {
        match self.all[index].cut() {
            None if is_drop => self.all[index].heard,
            _ => self.age(index),
        }
    }
}

/// Whether connections that end like this are dropped silently.
fn is_drop(seen: ObservedEnd) -> bool {
    seen == ObservedEnd::Silence
}
