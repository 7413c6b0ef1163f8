//! Infers from the observations what cuts connections. All functions are pure.
//!
//! The same *silence* before the ends of silent connections is an idle timeout if connections with
//! traffic survive, and a cap on the lifetime if those end at the same *age*. The same *instant* for
//! connections of different ages is neither.

mod group;
mod instant;
mod ladder;
mod lifetime;
mod traffic;

use std::time::Duration;

use super::kind::Kind;
use super::observed::Observed;
use crate::outage::seen::Seen;
use group::{Group, groups, latest, median, slack};
pub(super) use instant::Instant;

/// Fewest ends that make a pattern: one may be chance.
const FEWEST: usize = 2;

/// What was inferred. Connections are indices of the observations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Inference {
    pub(super) idle: Option<Idle>,
    pub(super) lifetime: Option<Lifetime>,
    pub(super) instant: Option<Instant>,
    /// Kinds of traffic that keep a connection beyond the idle timeout.
    pub(super) kept: Vec<Kind>,
    /// Kinds of traffic that do not.
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
    pub(super) seen: Seen,
    /// Whether connections were dropped silently: they seemed open until the client asked.
    pub(super) is_dropped: bool,
    /// Connections that were cut.
    pub(super) lanes: Vec<usize>,
    /// The shortest and the longest silence of other connections that were cut later.
    pub(super) later: Option<(Duration, Duration)>,
    /// Silent connections that reached the timeout.
    pub(super) of: usize,
}

/// A cap on the age of connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lifetime {
    pub(super) time: Duration,
    pub(super) seen: Seen,
    /// Connections that were cut.
    pub(super) lanes: Vec<usize>,
}

/// Interprets the observations at `now`, a time from the start of the probe.
pub(super) fn infer(all: &[Observed], now: Duration) -> Inference {
    let view = View { all, now, instant: instant::instant(all) };
    let mut found = Inference {
        server_pings: view.pace(|lane| lane.pings.interval()),
        server_messages: view.pace(|lane| lane.messages.interval()),
        answered: second(view.silent().filter_map(|lane| all[lane].answered)),
        open: second(
            view.silent().filter(|&lane| all[lane].end.is_none()).map(|lane| all[lane].age(now)),
        ),
        ..Inference::default()
    };
    found.idle = match (view.find_cut(), view.find_drop()) {
        (Some(cut), Some(drop)) if cut.low < drop.high => Some(cut),
        (cut, drop) => drop.or(cut),
    };
    found.lifetime = view.lifetime(found.idle.as_ref());
    view.find_traffic(&mut found);
    found.lost = (0..all.len()).filter(|&lane| view.is_lost(lane, &found)).collect();
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
    fn is_at_instant(&self, lane: usize) -> bool {
        self.instant.as_ref().is_some_and(|instant| instant.lanes.contains(&lane))
    }

    fn lanes(&self) -> impl Iterator<Item = usize> {
        0..self.all.len()
    }

    fn silent(&self) -> impl Iterator<Item = usize> {
        self.lanes().filter(|&lane| self.all[lane].kind == Kind::Silent)
    }

    fn talking(&self) -> impl Iterator<Item = usize> {
        self.lanes().filter(|&lane| self.all[lane].kind.is_talking())
    }

    fn age(&self, lane: usize) -> Duration {
        self.all[lane].age(self.now)
    }

    /// The pause between frames that the server sends by itself, if at least two connections show it.
    fn pace(&self, of: fn(&Observed) -> Option<Duration>) -> Option<Duration> {
        let mut paces: Vec<_> = self.silent().filter_map(|lane| of(&self.all[lane])).collect();
        paces.sort_unstable();
        (paces.len() >= FEWEST).then(|| median(&paces))
    }

    /// The shortest silence after which silent connections were cut: three that are a fifth of those
    /// that reached it, or two that are half of those. `None` if no connection with traffic survived.
    fn find_cut(&self) -> Option<Idle> {
        let cut = |lane: usize| {
            self.all[lane].cut()?;
            Some((self.all[lane].quiet()?, lane))
        };
        let ends = self.silent().filter(|&lane| !self.is_at_instant(lane)).filter_map(cut);
        let reached = |group: &Group| {
            let is_beyond = |lane: usize| self.age(lane) > latest(group.high());
            self.silent().filter(|&lane| group.lanes.contains(&lane) || is_beyond(lane)).count()
        };
        let is_pattern = |group: &Group| match group.len() {
            0..FEWEST => false,
            FEWEST => FEWEST * 2 >= reached(group),
            length => length * 5 >= reached(group),
        };
        let mut groups = groups(ends).into_iter().skip_while(|group| !is_pattern(group));
        let group = groups.next()?;
        let later: Vec<_> = groups.flat_map(|group| group.times).collect();
        let is_survived = self.talking().any(|lane| self.age(lane) > latest(group.high()));
        is_survived.then(|| Idle {
            time: group.median(),
            low: group.low(),
            high: group.high(),
            seen: common_seen(self.all, &group.lanes),
            is_dropped: false,
            later: later.first().copied().zip(later.last().copied()),
            of: reached(&group),
            lanes: group.lanes,
        })
    }

    /// A timeout that drops connections silently.
    fn find_drop(&self) -> Option<Idle> {
        let found = ladder::threshold(self.all, |lane| self.is_at_instant(lane))?;
        let asked = |lane: usize| self.all[lane].end.as_ref().is_some_and(|end| end.is_asked);
        let reached =
            self.silent().filter(|&lane| asked(lane) || self.all[lane].answered.is_some());
        let beyond =
            |lane: &usize| self.all[*lane].answered.is_none_or(|time| time > found.answered);
        Some(Idle {
            time: (found.answered + found.unanswered) / 2,
            low: found.answered,
            high: found.unanswered,
            seen: common_seen(self.all, &found.lanes),
            is_dropped: true,
            later: None,
            of: reached.filter(beyond).count(),
            lanes: found.lanes,
        })
    }

    fn find_traffic(&self, found: &mut Inference) {
        let Some(idle) = &found.idle else { return };
        let is_capped = |lane| found.lifetime.as_ref().is_some_and(|cap| cap.lanes.contains(&lane));
        let is_excluded = |lane| self.is_at_instant(lane) || is_capped(lane);
        for kind in Kind::ALL {
            let is_there = self.all.iter().any(|lane| lane.kind == kind);
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

    fn is_lost(&self, lane: usize, found: &Inference) -> bool {
        let Observed { kind, end: Some(end), .. } = &self.all[lane] else { return false };
        let is_idle = found.idle.as_ref().is_some_and(|idle| {
            // A connection of the ladder may ask at the very moment of the cut.
            let is_near = end.silent.abs_diff(idle.time) <= slack(idle.time);
            let is_later = idle.later.is_some() && end.silent > idle.high;
            idle.lanes.contains(&lane) || (*kind == Kind::Silent && (is_near || is_later))
        });
        let is_capped = found.lifetime.as_ref().is_some_and(|cap| cap.lanes.contains(&lane));
        let is_not_kept = *kind != Kind::Silent && found.not_kept.contains(kind);
        !(is_idle || is_capped || is_not_kept || self.is_at_instant(lane))
    }
}

/// How most of these connections ended.
fn common_seen(all: &[Observed], lanes: &[usize]) -> Seen {
    let seen = lanes.iter().filter_map(|&lane| Some(all[lane].end.as_ref()?.seen));
    let mut seen: Vec<_> = seen.collect();
    seen.sort_unstable();
    let counted = seen.chunk_by(|one, other| one == other);
    counted.max_by_key(|same| same.len()).map_or(Seen::Silence, |same| same[0])
}

/// The second longest time.
fn second(times: impl Iterator<Item = Duration>) -> Duration {
    let mut times: Vec<_> = times.collect();
    times.sort_unstable();
    times.iter().rev().nth(1).copied().unwrap_or_default()
}
