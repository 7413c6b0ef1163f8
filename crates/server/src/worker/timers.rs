//! When which connection is to be looked after.

use std::collections::BTreeSet;
use std::time::Instant;

/// Times, each with the key that it is for.
#[derive(Debug)]
pub(super) struct Timers<K>(BTreeSet<(Instant, K)>);

impl<K: Copy + Ord> Timers<K> {
    pub(super) fn new() -> Self {
        Self(BTreeSet::new())
    }

    /// Sets the timer of `key`, which was set to `old`.
    pub(super) fn set(&mut self, key: K, old: Option<Instant>, new: Instant) {
        if let Some(old) = old {
            self.remove(key, old);
        }
        self.0.insert((new, key));
    }

    /// Removes the timer of `key`.
    pub(super) fn remove(&mut self, key: K, at: Instant) {
        self.0.remove(&(at, key));
    }

    /// The first time of all.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.first().map(|&(at, _)| at)
    }

    /// Takes the first key out whose time has come.
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
    fn those_that_are_due_come_out_in_their_order() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut timers = Timers::new();
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
