//! Infers from the observations what cuts connections. All functions are pure.
//!
//! The same *silence* before the ends of silent connections is an idle timeout if connections with
//! traffic survive, and a cap on the lifetime if those end at the same *age*. The same *instant* for
//! connections of different ages is neither.

mod group;
mod instant;
mod lifetime;
mod threshold;
mod traffic;

use std::time::Duration;

use super::kind::Kind;
use super::observed::{Observed, Pace};
use crate::outage::observed_end::ObservedEnd;
pub(super) use group::latest;
use group::{Group, groups, median, slack};
pub(super) use instant::Instant;
use threshold::threshold;

/// Fewest ends that make a pattern: one may be chance.
const FEWEST: usize = 2;

/// The result of the inference. Connections are indices of the observations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Inference {
    pub(super) idle: Option<Idle>,
    pub(super) lifetime: Option<Lifetime>,
    pub(super) instant: Option<Instant>,
    /// Kinds of traffic that keep a connection beyond the idle timeout.
    pub(super) kept: Vec<Kind>,
    /// Kinds of traffic that do not keep a connection beyond the idle timeout.
    pub(super) not_kept: Vec<Kind>,
    /// Pause between Ping frames of the server.
    pub(super) server_pings: Option<Duration>,
    /// Pause between messages of the server.
    pub(super) server_messages: Option<Duration>,
    /// The longest silence after which the server answered on at least two connections.
    pub(super) answered: Duration,
    /// The longest silence after which at least two connections are open.
    pub(super) open: Duration,
    /// Connections that ended and fit no pattern.
    pub(super) lost: Vec<usize>,
}

/// An idle timeout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Idle {
    /// The most likely value.
    pub(super) time: Duration,
    /// The shortest silence before a cut; if dropped, the longest before an answer.
    pub(super) low: Duration,
    /// The longest silence before a cut; if dropped, the shortest without an answer.
    pub(super) high: Duration,
    pub(super) seen: ObservedEnd,
    /// Whether connections were dropped silently: they seemed open until the client asked.
    pub(super) is_dropped: bool,
    /// Connections that were cut.
    pub(super) connections: Vec<usize>,
    /// The shortest and the longest silence of other connections that were cut later.
    pub(super) later: Option<(Duration, Duration)>,
    /// Silent connections that reached the timeout.
    pub(super) of: usize,
}

/// A cap on the age of connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lifetime {
    pub(super) time: Duration,
    pub(super) seen: ObservedEnd,
    /// Connections that were cut.
    pub(super) connections: Vec<usize>,
}

/// Interprets the observations at `now`, a time from the start of the probe.
pub(super) fn infer(all: &[Observed], now: Duration) -> Inference {
    let view = View { all, now, instant: instant::instant(all) };
    let mut found = Inference {
        server_pings: view.interval(|observed| observed.pings),
        server_messages: view.interval(|observed| observed.messages),
        answered: second(view.silent().filter_map(|index| all[index].answered)),
        open: second(
            view.silent()
                .filter(|&index| all[index].end.is_none())
                .map(|index| all[index].age(now)),
        ),
        ..Inference::default()
    };
    found.idle = match (view.find_cut(), view.find_drop()) {
        (Some(cut), Some(drop)) if cut.low < drop.high => Some(cut),
        (cut, drop) => drop.or(cut),
    };
    found.lifetime = view.lifetime(found.idle.as_ref());
    view.find_traffic(&mut found);
    found.lost = (0..all.len()).filter(|&index| view.is_lost(index, &found)).collect();
    found.instant = view.instant;
    found
}

struct View<'a> {
    all: &'a [Observed],
    now: Duration,
    instant: Option<Instant>,
}

impl View<'_> {
    /// Whether a connection ended at the common instant.
    fn is_at_instant(&self, index: usize) -> bool {
        self.instant.as_ref().is_some_and(|instant| instant.connections.contains(&index))
    }

    fn connections(&self) -> impl Iterator<Item = usize> {
        0..self.all.len()
    }

    fn silent(&self) -> impl Iterator<Item = usize> {
        self.connections().filter(|&index| self.all[index].kind == Kind::Silent)
    }

    fn talking(&self) -> impl Iterator<Item = usize> {
        self.connections().filter(|&index| self.all[index].kind.is_talking())
    }

    fn age(&self, index: usize) -> Duration {
        self.all[index].age(self.now)
    }

    /// The pause between frames that the server sends by itself, if at least two connections show it,
    /// and half of those that got such a frame.
    fn interval(&self, of: fn(&Observed) -> Pace) -> Option<Duration> {
        let interval = |index: usize| {
            let observed = &self.all[index];
            of(observed).interval(self.age(index), !observed.is_open())
        };
        let mut intervals: Vec<_> = self.silent().filter_map(interval).collect();
        intervals.sort_unstable();
        let heard = self.silent().filter(|&index| of(&self.all[index]).count() > 0).count();
        (intervals.len() >= FEWEST && intervals.len() * 2 >= heard).then(|| median(&intervals))
    }

    /// The shortest silence after which silent connections were cut: at least three that are a
    /// fifth of those that reached this silence, or two that are half of those. `None` if no
    /// connection with traffic survived.
    fn find_cut(&self) -> Option<Idle> {
        let cut = |index: usize| {
            self.all[index].cut()?;
            Some((self.all[index].quiet()?, index))
        };
        let ends = self.silent().filter(|&index| !self.is_at_instant(index)).filter_map(cut);
        let reached = |group: &Group| {
            let is_beyond = |index: usize| self.age(index) > latest(group.high());
            self.silent()
                .filter(|&index| group.connections.contains(&index) || is_beyond(index))
                .count()
        };
        let is_pattern = |group: &Group| match group.len() {
            0..FEWEST => false,
            FEWEST => FEWEST * 2 >= reached(group),
            length => length * 5 >= reached(group),
        };
        let mut groups = groups(ends).into_iter().skip_while(|group| !is_pattern(group));
        let group = groups.next()?;
        let later: Vec<_> = groups.flat_map(|group| group.times).collect();
        let is_survived = self.talking().any(|index| self.age(index) > latest(group.high()));
        is_survived.then(|| Idle {
            time: group.median(),
            low: group.low(),
            high: group.high(),
            seen: common_seen(self.all, &group.connections),
            is_dropped: false,
            later: later.first().copied().zip(later.last().copied()),
            of: reached(&group),
            connections: group.connections,
        })
    }

    /// A timeout that drops connections silently.
    fn find_drop(&self) -> Option<Idle> {
        let found = threshold(self.all, |index| self.is_at_instant(index))?;
        let asked = |index: usize| self.all[index].end.as_ref().is_some_and(|end| end.is_asked);
        let reached =
            self.silent().filter(|&index| asked(index) || self.all[index].answered.is_some());
        let beyond =
            |index: &usize| self.all[*index].answered.is_none_or(|time| time > found.answered);
        Some(Idle {
            time: (found.answered + found.unanswered) / 2,
            low: found.answered,
            high: found.unanswered,
            seen: common_seen(self.all, &found.connections),
            is_dropped: true,
            later: None,
            of: reached.filter(beyond).count(),
            connections: found.connections,
        })
    }

    fn find_traffic(&self, found: &mut Inference) {
        let Some(idle) = &found.idle else { return };
        let is_capped =
            |index| found.lifetime.as_ref().is_some_and(|cap| cap.connections.contains(&index));
        let is_excluded = |index| self.is_at_instant(index) || is_capped(index);
        for kind in Kind::ALL {
            let is_there = self.all.iter().any(|observed| observed.kind == kind);
            let is_kept = match kind {
                Kind::Busy => None,
                Kind::Silent => Some(false),
                kind => traffic::is_kept(self.all, kind, idle, is_excluded, self.now),
            };
            match is_kept.filter(|_| is_there) {
                Some(true) => found.kept.push(kind),
                Some(false) => found.not_kept.push(kind),
                None => {}
            }
        }
    }

    fn is_lost(&self, index: usize, found: &Inference) -> bool {
        let Observed { kind, end: Some(end), .. } = &self.all[index] else { return false };
        let is_idle = found.idle.as_ref().is_some_and(|idle| {
            // A connection that asks once may do so at the very moment of the cut.
            let is_near = end.silent.abs_diff(idle.time) <= slack(idle.time);
            let is_later = idle.later.is_some() && end.silent > idle.high;
            idle.connections.contains(&index) || (*kind == Kind::Silent && (is_near || is_later))
        });
        let is_capped = found.lifetime.as_ref().is_some_and(|cap| cap.connections.contains(&index));
        let is_not_kept = *kind != Kind::Silent && found.not_kept.contains(kind);
        !(is_idle || is_capped || is_not_kept || self.is_at_instant(index))
    }
}

/// How most of these connections ended.
fn common_seen(all: &[Observed], connections: &[usize]) -> ObservedEnd {
    let seen = connections.iter().filter_map(|&index| Some(all[index].end.as_ref()?.seen));
    let mut seen: Vec<_> = seen.collect();
    seen.sort_unstable();
    let counted = seen.chunk_by(|one, other| one == other);
    counted.max_by_key(|same| same.len()).map_or(ObservedEnd::Silence, |same| same[0])
}

/// The second longest time.
fn second(times: impl Iterator<Item = Duration>) -> Duration {
    let mut times: Vec<_> = times.collect();
    times.sort_unstable();
    times.iter().rev().nth(1).copied().unwrap_or_default()
}
