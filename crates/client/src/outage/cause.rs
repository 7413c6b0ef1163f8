//! The likely cause of ended connections, inferred from when they ended.
//!
//! Three patterns distinguish the causes: equal *silence* before each end is an idle timeout, equal
//! *age* is a lifetime limit, and the same *instant* for several connections is a reload, a rollout
//! or a failover.

use std::time::Duration;

/// Fewest ends that make a pattern.
const FEWEST: usize = 2;

/// Shortest time that counts as a timeout: an immediate close by a server is no timeout.
const SHORTEST: Duration = Duration::from_millis(500);

/// Largest difference between times that count as equal, in addition to [`SPREAD`].
const SLACK: Duration = Duration::from_millis(250);

/// Largest difference between times that count as equal, as a fraction of the time.
const SPREAD: f64 = 0.05;

/// Largest difference between ends that count as simultaneous.
pub(crate) const INSTANT: Duration = Duration::from_secs(1);

/// The end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// When the connection ended, relative to a common origin of all ends.
    pub at: Duration,
    /// Age of the connection.
    pub age: Duration,
    /// Time without traffic before the end.
    pub silent: Duration,
}

/// All observations about the connections.
#[derive(Clone, Copy, Debug, Default)]
pub struct Observed<'a> {
    /// The ends of connections.
    pub ends: &'a [Ended],
    /// The longest silence that a connection survived.
    pub survived: Duration,
    /// The age of the oldest connection that is still open.
    pub oldest: Duration,
}

/// A cause of ended connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// An idle timeout of this length closes connections.
    Idle(Duration),
    /// A lifetime limit closes connections at this age, regardless of traffic.
    Lifetime(Duration),
    /// Several connections ended at the same instant.
    Instant,
    /// No pattern fits.
    Unknown,
}

impl Cause {
    /// The name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Idle(_) => "idle",
            Self::Lifetime(_) => "lifetime",
            Self::Instant => "instant",
            Self::Unknown => "none",
        }
    }
}

/// The cause of the ends; `None` without ends. Ends that fit both silence and age, because the
/// connections were always silent, count as idle.
#[must_use]
pub fn cause(observed: Observed<'_>) -> Option<Cause> {
    let Observed { ends, survived, oldest } = observed;
    if ends.is_empty() {
        return None;
    }
    let silent = common(ends.iter().map(|end| end.silent));
    if let Some(silent) = silent.filter(|&silent| silent > survived + tolerance(survived) / 5) {
        return Some(Cause::Idle(silent));
    }
    let eldest = ends.iter().map(|end| end.age).fold(oldest, Duration::max);
    let age = common(ends.iter().map(|end| end.age));
    if let Some(age) = age.filter(|&age| eldest <= age + tolerance(age)) {
        return Some(Cause::Lifetime(age));
    }
    Some(if are_at_once(ends) { Cause::Instant } else { Cause::Unknown })
}

/// The median, if at least two thirds of the times equal the median within the tolerance.
fn common(times: impl Iterator<Item = Duration>) -> Option<Duration> {
    let mut times: Vec<_> = times.collect();
    times.sort();
    let median = *times.get(times.len() / 2)?;
    let near = times.iter().filter(|time| time.abs_diff(median) <= tolerance(median)).count();
    let is_common = near >= FEWEST && near * 3 >= times.len() * 2 && median >= SHORTEST;
    is_common.then_some(median)
}

fn tolerance(time: Duration) -> Duration {
    time.mul_f64(SPREAD).max(SLACK.min(time / 4))
}

/// Whether at least two thirds of the connections ended within [`INSTANT`].
pub(crate) fn are_at_once(ends: &[Ended]) -> bool {
    let mut times: Vec<_> = ends.iter().map(|end| end.at).collect();
    times.sort();
    let within = |first: Duration| {
        times.iter().filter(move |at| at.abs_diff(first) <= INSTANT && **at >= first)
    };
    let most = times.iter().map(|&first| within(first).count()).max().unwrap_or(0);
    most >= FEWEST && most * 3 >= times.len() * 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(time: f64) -> Duration {
        Duration::from_secs_f64(time)
    }

    /// The cause inferred from ends with these times, ages and silences, a survived silence, and
    /// the age of the oldest open connection.
    fn of(ends: &[(f64, f64, f64)], survived: f64, oldest: f64) -> Option<Cause> {
        let ended = |&(at, age, silent): &(f64, f64, f64)| Ended {
            at: seconds(at),
            age: seconds(age),
            silent: seconds(silent),
        };
        let ends: Vec<_> = ends.iter().map(ended).collect();
        cause(Observed { ends: &ends, survived: seconds(survived), oldest: seconds(oldest) })
    }

    #[test]
    fn each_pattern_gives_its_cause() {
        let idle = |time| Some(Cause::Idle(seconds(time)));
        let lifetime = |time| Some(Cause::Lifetime(seconds(time)));
        for (what, ends, survived, oldest, expected) in [
            ("nothing ended", &[][..], 1.0, 900.0, None),
            ("once is no pattern", &[(60.0, 60.0, 60.0)], 0.0, 0.0, Some(Cause::Unknown)),
            (
                "silent all its life",
                &[(60.0, 60.0, 60.0), (121.0, 60.1, 60.1)],
                0.0,
                0.0,
                idle(60.1),
            ),
            (
                "the same silence at any age",
                &[(95.0, 95.0, 60.0), (400.0, 303.0, 60.2), (470.0, 61.0, 60.1)],
                45.0,
                10.0,
                idle(60.1),
            ),
            (
                "a silence that others outlived",
                &[(7.0, 7.0, 1.0), (20.0, 11.0, 1.0)],
                1.0,
                0.0,
                Some(Cause::Unknown),
            ),
            (
                "busy, and cut at the same age",
                &[(60.0, 60.0, 0.3), (121.0, 60.4, 0.8), (182.0, 60.0, 0.1)],
                1.0,
                30.0,
                lifetime(60.0),
            ),
            (
                "an age that one outlived is no limit",
                &[(60.0, 60.0, 0.3), (121.0, 60.4, 0.8), (300.0, 170.0, 0.1)],
                1.0,
                0.0,
                Some(Cause::Unknown),
            ),
            (
                "an age that the present one has outlived",
                &[(60.0, 60.0, 0.3), (121.0, 60.4, 0.8)],
                1.0,
                100.0,
                Some(Cause::Unknown),
            ),
            (
                "a rollout among idle timeouts",
                &[(60.0, 60.0, 60.0), (100.0, 38.0, 5.0), (170.0, 65.0, 60.0)],
                30.0,
                0.0,
                idle(60.0),
            ),
            (
                "many at once",
                &[(500.0, 500.0, 0.3), (500.1, 20.0, 0.8), (500.4, 77.0, 0.1)],
                1.0,
                0.0,
                Some(Cause::Instant),
            ),
            (
                "now and then",
                &[(5.0, 5.0, 0.3), (50.0, 44.0, 0.8), (300.0, 249.0, 0.1)],
                1.0,
                0.0,
                Some(Cause::Unknown),
            ),
            (
                "cut at once each time",
                &[(1.0, 0.01, 0.01), (20.0, 0.02, 0.01), (40.0, 0.01, 0.01)],
                0.0,
                0.0,
                Some(Cause::Unknown),
            ),
        ] {
            assert_eq!(of(ends, survived, oldest), expected, "{what}");
        }
    }

    #[test]
    fn the_names_are_those_of_the_schema() {
        let causes =
            [Cause::Idle(SHORTEST), Cause::Lifetime(SHORTEST), Cause::Instant, Cause::Unknown];
        assert_eq!(causes.map(Cause::name), ["idle", "lifetime", "instant", "none"]);
    }
}
