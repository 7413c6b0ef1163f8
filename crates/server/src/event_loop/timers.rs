//! When to look after whom.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

/// Times that are no longer of use may be this many, and as many as those that are.
const SLACK: usize = 1024;

/// Times, each with the one whom it is for.
#[derive(Debug)]
pub(super) struct Timers<K>(BinaryHeap<Reverse<(Instant, K)>>);

impl<K: Ord> Timers<K> {
    pub(super) fn new() -> Self {
        Self(BinaryHeap::new())
    }

    /// Adds a time.
    pub(super) fn add(&mut self, at: Instant, key: K) {
        self.0.push(Reverse((at, key)));
    }

    /// The first time of all.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.peek().map(|Reverse((at, _))| *at)
    }

    /// Drops the times of those who are not `kept`, once there are more of them than a few; `kept`
    /// says of how many that is true.
    pub(super) fn drop_others(&mut self, kept: usize, is_kept: impl Fn(K) -> bool)
    where
        K: Copy,
    {
        if self.0.len() > SLACK + 2 * kept {
            self.0.retain(|&Reverse((_, key))| is_kept(key));
        }
    }

    /// Takes the first one out, if its time has come.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<(Instant, K)> {
        self.next().filter(|&at| at <= now)?;
        self.0.pop().map(|Reverse(due)| due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn those_that_are_due_come_out_in_their_order() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut timers = Timers::new();
        for (seconds, key) in [(3, 'c'), (1, 'a'), (9, 'z'), (2, 'b'), (2, 'a')] {
            timers.add(at(seconds), key);
        }
        assert_eq!(timers.next(), Some(at(1)));
        let mut due = Vec::new();
        while let Some((_, key)) = timers.take_due(at(3)) {
            due.push(key);
        }
        assert_eq!(due, ['a', 'a', 'b', 'c']);
        assert_eq!(timers.next(), Some(at(9)));
    }

    #[test]
    fn the_times_of_those_who_left_do_not_pile_up() {
        let now = Instant::now();
        let mut timers = Timers::new();
        for key in 0..100_000 {
            timers.add(now, key);
            timers.drop_others(1, |kept| kept == 0);
            assert!(timers.0.len() <= SLACK + 2);
        }
        assert_eq!(timers.take_due(now), Some((now, 0)));
    }
}
