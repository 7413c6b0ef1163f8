//! Groups of nearly equal times.

use std::time::Duration;

/// Largest difference between times that count as equal, unless [`SLACK_SHARE`] is more.
const SLACK: Duration = Duration::from_millis(500);

/// Largest difference between times that count as equal, as a fraction of the time.
const SLACK_SHARE: f64 = 0.04;

/// Largest difference between times near this one that count as equal.
pub(super) fn slack(time: Duration) -> Duration {
    SLACK.max(time.mul_f64(SLACK_SHARE))
}

/// The latest time that counts as equal to this one.
pub(in crate::probe::idle) fn latest(time: Duration) -> Duration {
    time + slack(time)
}

/// The earliest time that counts as equal to this one.
pub(super) fn earliest(time: Duration) -> Duration {
    time.saturating_sub(slack(time))
}

/// Nearly equal times in rising order, and the connections that they belong to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) times: Vec<Duration>,
    pub(super) connections: Vec<usize>,
}

impl Group {
    pub(super) fn len(&self) -> usize {
        self.times.len()
    }

    pub(super) fn low(&self) -> Duration {
        self.times.first().copied().unwrap_or_default()
    }

    pub(super) fn high(&self) -> Duration {
        self.times.last().copied().unwrap_or_default()
    }

    pub(super) fn median(&self) -> Duration {
        median(&self.times)
    }
}

/// The groups, in rising order. In a group, each time is nearly equal to its neighbours, so that a
/// timeout with some spread is one group.
pub(super) fn groups(times: impl Iterator<Item = (Duration, usize)>) -> Vec<Group> {
    let mut times: Vec<_> = times.collect();
    times.sort_unstable();
    let mut groups: Vec<Group> = Vec::new();
    for (time, index) in times {
        let is_near = |group: &&mut Group| earliest(time) <= group.high();
        match groups.last_mut().filter(is_near) {
            Some(group) => {
                group.times.push(time);
                group.connections.push(index);
            }
            None => groups.push(Group { times: vec![time], connections: vec![index] }),
        }
    }
    groups
}

/// The median absolute deviation of times.
pub(super) fn spread(times: impl Iterator<Item = Duration>) -> Duration {
    let mut times: Vec<_> = times.collect();
    times.sort_unstable();
    let middle = median(&times);
    let mut deviations: Vec<_> = times.iter().map(|time| time.abs_diff(middle)).collect();
    deviations.sort_unstable();
    median(&deviations)
}

/// The median of sorted times.
pub(super) fn median(sorted: &[Duration]) -> Duration {
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grouped(times: &[f64]) -> Vec<Vec<f64>> {
        let times = times.iter().map(|&time| (Duration::from_secs_f64(time), 0));
        let seconds = |group: Group| group.times.iter().map(Duration::as_secs_f64).collect();
        groups(times).into_iter().map(seconds).collect()
    }

    #[test]
    fn neighbours_are_one_group() {
        assert_eq!(grouped(&[]), [[0.0; 0]; 0]);
        assert_eq!(grouped(&[5.2, 2.0, 5.0, 5.6]), [vec![2.0], vec![5.0, 5.2, 5.6]]);
        assert_eq!(grouped(&[60.0, 62.0, 65.0]), [vec![60.0, 62.0], vec![65.0]]);
    }

    #[test]
    fn the_spread_ignores_an_outlier() {
        let times = [1.0, 1.1, 1.2, 9.0].map(Duration::from_secs_f64);
        assert!(spread(times.into_iter()) < Duration::from_millis(250));
        assert_eq!(spread([].into_iter()), Duration::ZERO);
    }
}
