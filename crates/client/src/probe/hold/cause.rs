//! The cause of lost connections, inferred from what their ends have in common.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::outage;
use crate::outage::cause::{Cause, Ended, INSTANT, Observed, are_at_once};
use crate::probe::instances::Instance;

/// The end of a connection.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) ended: Ended,
    /// The instance at the other end.
    pub(super) instance: Option<Instance>,
}

/// The common cause of losses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LossCause {
    /// All losses have a silence, an age, an instant, or nothing in common.
    Common(Cause),
    /// The losses of each instance have an instant in common. With the number of instances.
    Rolling(usize),
}

impl LossCause {
    /// The name in JSON.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Common(cause) => cause.name(),
            Self::Rolling(_) => "rolling",
        }
    }
}

/// What the losses have in common; `None` without losses. `survived` is the longest silence that a
/// connection survived, `oldest` the age of the oldest one that was not lost.
pub(super) fn cause(ends: &[&End], survived: Duration, oldest: Duration) -> Option<LossCause> {
    let all = common(ends, survived, oldest)?;
    if !matches!(all, Cause::Unknown | Cause::Instant) {
        return Some(LossCause::Common(all));
    }
    let mut groups: BTreeMap<&str, Vec<&End>> = BTreeMap::new();
    for end in ends {
        groups.entry(end.instance.as_deref().unwrap_or_default()).or_default().push(end);
    }
    // A single loss is at one instant in any case.
    let is_instant = |group: &Vec<&End>| {
        group.len() == 1 || common(group, survived, oldest) == Some(Cause::Instant)
    };
    let is_rolling = groups.len() > 1
        && groups.values().all(is_instant)
        && groups.values().any(|group| group.len() > 1)
        // Of two servers, the second one has most of the connections when its turn comes, and then
        // most losses are at one instant.
        && (all == Cause::Unknown || are_apart(groups.values()));
    Some(if is_rolling { LossCause::Rolling(groups.len()) } else { LossCause::Common(all) })
}

/// Whether some instances lost their connections at another instant than others.
fn are_apart<'a>(groups: impl Iterator<Item = &'a Vec<&'a End>>) -> bool {
    let median = |group: &Vec<&End>| {
        let mut times: Vec<_> = group.iter().map(|end| end.ended.at).collect();
        times.sort();
        times[times.len() / 2]
    };
    let times: Vec<_> = groups.filter(|group| group.len() > 1).map(median).collect();
    let range = times.iter().max().zip(times.iter().min());
    range.is_some_and(|(last, first)| *last - *first > INSTANT)
}

fn common(ends: &[&End], survived: Duration, oldest: Duration) -> Option<Cause> {
    let times: Vec<_> = ends.iter().map(|end| end.ended).collect();
    Some(match outage::cause::cause(Observed { ends: &times, survived, oldest })? {
        Cause::Lifetime(_) if is_at_one_instant(&times) => Cause::Instant,
        cause => cause,
    })
}

/// Whether losses at the same age are rather losses at the same instant. Connections that were opened
/// within a second have both in common: a limit of the lifetime ends them as far apart as they were
/// opened, a common instant ends them closer together than their ages are.
fn is_at_one_instant(ends: &[Ended]) -> bool {
    are_at_once(ends)
        && spread(ends.iter().map(|end| end.at)) <= spread(ends.iter().map(|end| end.age))
}

/// The range of the middle 80% of the times.
fn spread(times: impl Iterator<Item = Duration>) -> Duration {
    let mut times: Vec<_> = times.collect();
    times.sort();
    let Some(last) = times.len().checked_sub(1) else { return Duration::ZERO };
    times[last - last / 10].saturating_sub(times[last / 10])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(time: f64) -> Duration {
        Duration::from_secs_f64(time)
    }

    /// Ends of connections, by opening, end and instance, with a ping once a second.
    fn ends(times: &[(f64, f64, &str)]) -> Vec<End> {
        let end = |(number, &(made, at, name)): (usize, &(f64, f64, &str))| End {
            ended: Ended {
                at: seconds(at),
                age: seconds(at - made),
                silent: seconds((number * 37 % 100) as f64 / 100.0),
            },
            instance: Some(name.into()),
        };
        times.iter().enumerate().map(end).collect()
    }

    fn of(times: &[(f64, f64, &str)], oldest: f64) -> Option<LossCause> {
        let ends = ends(times);
        cause(&ends.iter().collect::<Vec<_>>(), seconds(1.0), seconds(oldest))
    }

    /// Fifty connections opened within a second; `end` maps number and opening to the end.
    fn fifty(
        end: impl Fn(usize, f64) -> f64,
        name: impl Fn(usize) -> &'static str,
    ) -> Vec<(f64, f64, &'static str)> {
        let made = |number: usize| number as f64 / 50.0;
        (0..50).map(|number| (made(number), end(number, made(number)), name(number))).collect()
    }

    #[test]
    fn each_pattern_is_told() {
        let jitter = |number: usize| (number * 7 % 10) as f64 / 100.0;
        let one = |_| "a";
        assert_eq!(of(&[], 60.0), None);
        let reload = fifty(|number, _| 60.0 + jitter(number), one);
        assert_eq!(of(&reload, 0.0), Some(LossCause::Common(Cause::Instant)));
        // Other connections of the same age go on.
        assert_eq!(of(&reload, 90.0), Some(LossCause::Common(Cause::Instant)));
        let limit = fifty(|number, made| made + 60.0 + jitter(number) / 10.0, one);
        assert!(matches!(of(&limit, 0.0), Some(LossCause::Common(Cause::Lifetime(_)))));
        // Two generations of connections.
        let mut twice = limit.clone();
        twice.extend(limit.iter().map(|&(_, end, name)| (end + 0.1, end + 60.1, name)));
        assert!(matches!(of(&twice, 5.0), Some(LossCause::Common(Cause::Lifetime(_)))));
        let slowly = fifty(|number, _| 60.0 + number as f64, one);
        assert_eq!(of(&slowly, 90.0), Some(LossCause::Common(Cause::Unknown)));
        assert_eq!(of(&[(0.0, 60.0, "a")], 90.0), Some(LossCause::Common(Cause::Unknown)));
    }

    #[test]
    fn one_server_after_the_other_is_a_rolling_update() {
        let name = |number: usize| ["a", "b", "c"][number % 3];
        let rolling = fifty(|number, _| 60.0 + (number % 3) as f64 * 10.0, name);
        assert_eq!(of(&rolling, 90.0), Some(LossCause::Rolling(3)));
        // The connections of the first server move to the second one, which then loses all.
        let mut both = fifty(|_, _| 60.0, |number| ["a", "b"][number % 2]);
        both.iter_mut().filter(|(_, _, name)| *name == "b").for_each(|(_, at, _)| *at = 63.0);
        both.extend((0..25).map(|_| (60.5, 63.0, "b")));
        assert_eq!(of(&both, 0.0), Some(LossCause::Rolling(2)));
        // All connections of both servers, and later some of one.
        let mut reload = fifty(|_, _| 60.0, |number| ["a", "b"][number % 2]);
        reload.extend((0..5).map(|_| (60.5, 70.0, "b")));
        assert_eq!(of(&reload, 0.0), Some(LossCause::Common(Cause::Instant)));
        // The last connection is lost alone.
        let mut alone =
            fifty(|number, _| 60.0 + (number % 2) as f64 * 10.0, |number| ["a", "b"][number % 2]);
        alone.push((60.1, 80.0, "c"));
        assert_eq!(of(&alone, 90.0), Some(LossCause::Rolling(3)));
        // One now and then, of any server.
        let slowly = fifty(|number, _| 60.0 + number as f64, name);
        assert_eq!(of(&slowly, 200.0), Some(LossCause::Common(Cause::Unknown)));
        let each = [(0.0, 10.0, "a"), (0.0, 50.0, "b"), (0.0, 90.0, "c")];
        assert_eq!(of(&each, 200.0), Some(LossCause::Common(Cause::Unknown)));
    }

    #[test]
    fn an_idle_timeout_shorter_than_a_second_is_told() {
        let ends: Vec<_> = (0..20)
            .map(|number| {
                let at = seconds(f64::from(number) * 3.0 + 0.8);
                let ended =
                    Ended { at, age: seconds(0.8 + f64::from(number % 3)), silent: seconds(0.8) };
                End { ended, instance: None }
            })
            .collect();
        let cause = cause(&ends.iter().collect::<Vec<_>>(), seconds(0.1), seconds(2.0));
        assert_eq!(cause, Some(LossCause::Common(Cause::Idle(seconds(0.8)))));
    }
}
