//! A cap on the age of connections, however busy.

use std::time::Duration;

use super::super::observed::Observed;
use super::group::{Group, groups, slack};
use super::{FEWEST, Idle, Lifetime, View, common_seen};
use crate::outage::seen::Seen;

impl View<'_> {
    /// An age at which connections with traffic were cut, beyond the idle timeout if there is one,
    /// and that none outlived.
    pub(super) fn lifetime(&self, idle: Option<&Idle>) -> Option<Lifetime> {
        let idle_end = idle.map(|idle| idle.high + slack(idle.high)).unwrap_or_default();
        let own = self.talking().filter(|&lane| !self.is_excluded(lane));
        let ends = own.filter_map(|lane| Some((self.last_life(lane)?, lane)));
        let ends = ends.filter(|&(age, _)| age > idle_end);
        let mut group = groups(ends).into_iter().find(|group| self.is_cap(group))?;
        let seen = common_seen(self.all, &group.lanes);
        // A connection that dies without a word lived a little longer than its last frame shows.
        let time = if is_mute(seen) { group.high() } else { group.median() };
        let early = early(&group);
        let is_capped = |lane: &usize| {
            let is_other = !self.is_excluded(*lane) && !group.lanes.contains(lane);
            let is_idle = idle.is_some_and(|idle| idle.lanes.contains(lane));
            let end = self.all[*lane].end.as_ref();
            let is_same = end.is_some_and(|end| end.age >= early && end.is_asked == is_mute(seen));
            is_other && !is_idle && is_same
        };
        let further: Vec<_> = self.lanes().filter(is_capped).collect();
        group.lanes.extend(further);
        Some(Lifetime { time, seen, lanes: group.lanes })
    }

    /// Whether at least half of the connections with traffic that reached this age were cut at it,
    /// such with data among them, and none outlived it.
    fn is_cap(&self, group: &Group) -> bool {
        let is_mute = is_mute(common_seen(self.all, &group.lanes));
        let early = early(group);
        let own = self.talking().filter(|&lane| !self.is_excluded(lane));
        let reached = own.filter(|&lane| self.proven_age(lane, is_mute) >= early).count();
        let beyond = group.high() + slack(group.high());
        let is_outlived = self.lanes().any(|lane| self.proven_age(lane, is_mute) > beyond);
        let has_data = group.lanes.iter().any(|&lane| self.all[lane].kind.has_data());
        group.len() >= FEWEST && group.len() * 2 >= reached && has_data && !is_outlived
    }

    /// The age at which a connection that has ended was alive last.
    fn last_life(&self, lane: usize) -> Option<Duration> {
        let Observed { end, heard, .. } = &self.all[lane];
        end.as_ref().map(|end| if end.is_asked { *heard } else { end.age })
    }

    /// The age at which a connection was alive for certain. If ends are mute, an open connection
    /// may be dead since its last frame.
    fn proven_age(&self, lane: usize, is_mute: bool) -> Duration {
        match self.all[lane].cut() {
            None if is_mute => self.all[lane].heard,
            _ => self.age(lane),
        }
    }
}

/// Whether connections end without a word.
fn is_mute(seen: Seen) -> bool {
    seen == Seen::Silence
}

/// The least age that counts as that of a group.
fn early(group: &Group) -> Duration {
    group.low().saturating_sub(slack(group.low()))
}
