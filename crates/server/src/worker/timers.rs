//! The timers of a worker, one for each connection.

use std::collections::BTreeSet;
use std::time::Instant;

/// The times at which timers expire, each with the key of its timer.
#[derive(Debug, Default)]
pub(super) struct Timers<K>(BTreeSet<(Instant, K)>);

impl<K: Copy + Ord> Timers<K> {
    /// Sets the timer of `key` to `new`, in place of `old`.
    pub(super) fn set(&mut self, key: K, old: Option<Instant>, new: Instant) {
        if let Some(old) = old {
            self.remove(key, old);
        }
        self.0.insert((new, key));
    }

    /// Removes the timer of `key`, which is set to `at`.
    pub(super) fn remove(&mut self, key: K, at: Instant) {
        self.0.remove(&(at, key));
    }

    /// When the first timer expires.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.first().map(|&(at, _)| at)
    }

    /// Removes the first timer that has expired by `now`, and returns its key.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<K> {
        self.next().filter(|&at| at <= now)?;
        self.0.pop_first().map(|(_, key)| key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn expired_timers_come_out_in_the_order_of_their_times() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut timers = Timers::default();
        for (seconds, key) in [(3, 'c'), (1, 'a'), (9, 'z'), (2, 'b'), (7, 'x'), (1, 'y')] {
            timers.set(key, None, at(seconds));
        }
        timers.set('x', Some(at(7)), at(2));
        timers.remove('y', at(1));
        assert_eq!(timers.next(), Some(at(1)));
        let due: Vec<_> = std::iter::from_fn(|| timers.pop_due(at(3))).collect();
        assert_eq!(due, ['a', 'b', 'x', 'c']);
        assert_eq!(timers.next(), Some(at(9)));
    }
}
