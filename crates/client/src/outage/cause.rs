//! What cut the connections, as far as their ends tell.
//!
//! Three things tell causes apart: the same *silence* before each end is an idle timeout, the same
//! *age* a limit of the lifetime, and the same *instant* for several connections a reload, a
//! rollout or a failover.

use std::time::Duration;

/// Ends that are needed for a pattern.
const FEWEST: usize = 2;

/// Shortest time that is taken for a timeout: what a server does at once is no timeout.
const SHORTEST: Duration = Duration::from_millis(500);

/// How far apart equal times may be, beside [`SPREAD`].
const SLACK: Duration = Duration::from_millis(250);

/// How far apart equal times may be, as a part of them.
const SPREAD: f64 = 0.05;

/// How far apart the ends of one instant may be.
const INSTANT: Duration = Duration::from_secs(1);

/// The end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// When, since any one time for all of them.
    pub at: Duration,
    /// How long the connection had lived.
    pub age: Duration,
    /// How long nothing had passed over it.
    pub silent: Duration,
}

/// Everything that was seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Observed<'a> {
    /// The ends of connections.
    pub ends: &'a [Ended],
    /// The longest silence that a connection outlived.
    pub survived: Duration,
    /// The age of the oldest connection that is still there.
    pub oldest: Duration,
}

/// What fits the ends of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A connection without traffic is cut after this time.
    Idle(Duration),
    /// A connection is cut at this age, however busy it is.
    Lifetime(Duration),
    /// Several connections were cut at once.
    Instant,
    /// None of these fits.
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

/// The cause of the ends; `None` without any. An end that fits silence and age alike, since the
/// connection was silent all its life, counts as idle.
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

/// The time that at least two thirds of these have in common, if they do: their median.
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
fn are_at_once(ends: &[Ended]) -> bool {
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

    /// What is said of ends with these times, ages and silences, after a silence that was survived,
    /// with the oldest connection that is left.
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
    fn what_fits() {
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
