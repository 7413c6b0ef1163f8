//! What the observations mean. Everything here is pure.
//!
//! The same *silence* before the ends of silent connections is an idle timeout if connections with
//! traffic outlive them, and a cap on the lifetime if those end at the same *age*. The same
//! *instant* for connections of different ages is neither.

mod group;
mod instant;
mod ladder;
mod lifetime;
mod traffic;

use std::time::Duration;

use super::kind::Kind;
use super::observed::Observed;
use crate::outage::seen::Seen;
use group::{Group, groups, median, slack};
pub(super) use instant::Instant;

/// Fewest ends that make a pattern: one may be chance.
const FEWEST: usize = 2;

/// What the observations mean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Inference {
    pub(super) idle: Option<Idle>,
    pub(super) lifetime: Option<Lifetime>,
    pub(super) instant: Option<Instant>,
    /// Kinds of traffic that keep a connection beyond the idle timeout.
    pub(super) kept: Vec<Kind>,
    /// Kinds that do not.
    pub(super) not_kept: Vec<Kind>,
    /// Pause between Ping frames of the server.
    pub(super) server_pings: Option<Duration>,
    /// Pause between messages of the server.
    pub(super) server_messages: Option<Duration>,
    /// The longest silence that at least two connections outlived: they answered after it.
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
    /// The shortest silence that was cut; without a word, the longest that was not.
    pub(super) low: Duration,
    /// The longest silence before a cut; without a word, the shortest that got no answer.
    pub(super) high: Duration,
    pub(super) seen: Seen,
    /// Whether the connection seemed open until the client asked.
    pub(super) is_dumb: bool,
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

/// What the observations mean `now`, a time from the start of the probe.
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
    view.find_cut(&mut found);
    view.find_drop(&mut found);
    found.lifetime = view.lifetime(found.idle.as_ref());
    view.judge_traffic(&mut found);
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
    fn is_excluded(&self, lane: usize) -> bool {
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

    /// The pause between what the server sends by itself, if at least two connections show it.
    fn pace(&self, of: fn(&Observed) -> Option<Duration>) -> Option<Duration> {
        let mut paces: Vec<_> = self.silent().filter_map(|lane| of(&self.all[lane])).collect();
        paces.sort_unstable();
        (paces.len() >= FEWEST).then(|| median(&paces))
    }

    /// The first time at which silent connections were cut: three of them that are a fifth of those
    /// that reached it, or two that are half of those.
    fn find_cut(&self, found: &mut Inference) {
        let cut = |lane: usize| {
            self.all[lane].cut()?;
            Some((self.all[lane].quiet()?, lane))
        };
        let ends = self.silent().filter(|&lane| !self.is_excluded(lane)).filter_map(cut);
        let reached = |group: &Group| {
            let beyond = group.high() + slack(group.high());
            let is_beyond = |lane: usize| self.age(lane) > beyond;
            self.silent().filter(|&lane| group.lanes.contains(&lane) || is_beyond(lane)).count()
        };
        let is_pattern = |group: &Group| match group.len() {
            0..FEWEST => false,
            FEWEST => FEWEST * 2 >= reached(group),
            length => length * 5 >= reached(group),
        };
        let mut groups = groups(ends).into_iter().skip_while(|group| !is_pattern(group));
        let Some(group) = groups.next() else { return };
        let times: Vec<_> = groups.flat_map(|group| group.times).collect();
        let seen = common_seen(self.all, &group.lanes);
        if self.outlives(group.high()) {
            found.idle = Some(Idle {
                time: group.median(),
                low: group.low(),
                high: group.high(),
                seen,
                is_dumb: false,
                later: times.first().copied().zip(times.last().copied()),
                of: reached(&group),
                lanes: group.lanes,
            });
        }
    }

    /// Whether a connection with traffic outlived this age.
    fn outlives(&self, age: Duration) -> bool {
        self.talking().any(|lane| self.age(lane) > age + slack(age))
    }

    /// A timeout that is noticed only when the client asks, if it is shorter than what was found.
    fn find_drop(&self, found: &mut Inference) {
        let Some(gap) = ladder::break_of(self.all, |lane| self.is_excluded(lane)) else { return };
        if found.idle.as_ref().is_some_and(|idle| idle.low < gap.unanswered) {
            return;
        }
        let asked = |lane: usize| self.all[lane].end.as_ref().is_some_and(|end| end.is_asked);
        let reached =
            self.silent().filter(|&lane| asked(lane) || self.all[lane].answered.is_some());
        let beyond = |lane: &usize| self.all[*lane].answered.is_none_or(|time| time > gap.answered);
        found.idle = Some(Idle {
            time: (gap.answered + gap.unanswered) / 2,
            low: gap.answered,
            high: gap.unanswered,
            seen: common_seen(self.all, &gap.lanes),
            is_dumb: true,
            later: None,
            of: reached.filter(beyond).count(),
            lanes: gap.lanes,
        });
    }

    fn judge_traffic(&self, found: &mut Inference) {
        let Some(idle) = &found.idle else { return };
        let is_capped = |lane| found.lifetime.as_ref().is_some_and(|cap| cap.lanes.contains(&lane));
        let is_excluded = |lane| self.is_excluded(lane) || is_capped(lane);
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
            // A connection of the ladder may ask at the moment at which it is cut.
            let is_near = end.silent.abs_diff(idle.time) <= slack(idle.time);
            let is_later = idle.later.is_some() && end.silent > idle.high;
            idle.lanes.contains(&lane) || (*kind == Kind::Silent && (is_near || is_later))
        });
        let is_capped = found.lifetime.as_ref().is_some_and(|cap| cap.lanes.contains(&lane));
        let is_not_kept = *kind != Kind::Silent && found.not_kept.contains(kind);
        !(is_idle || is_capped || is_not_kept || self.is_excluded(lane))
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
