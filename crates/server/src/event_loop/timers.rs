//! When to look after whom.

use std::collections::BTreeSet;
use std::time::Instant;

/// Times, each with the one whom it is for.
#[derive(Debug)]
pub(super) struct Timers<K>(BTreeSet<(Instant, K)>);

impl<K: Copy + Ord> Timers<K> {
    pub(super) fn new() -> Self {
        Self(BTreeSet::new())
    }

    /// Has `key`, whose time was `old`, looked after at `new`.
    pub(super) fn change(&mut self, key: K, old: Option<Instant>, new: Option<Instant>) {
        if let Some(old) = old {
            self.0.remove(&(old, key));
        }
        if let Some(new) = new {
            self.0.insert((new, key));
        }
    }

    /// The first time of all.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.first().map(|&(at, _)| at)
    }

    /// Takes the first one out, if its time has come.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<K> {
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
        let at = |seconds| Some(start + Duration::from_secs(seconds));
        let mut timers = Timers::new();
        for (seconds, key) in [(3, 'c'), (1, 'a'), (9, 'z'), (2, 'b'), (7, 'x'), (1, 'y')] {
            timers.change(key, None, at(seconds));
        }
        timers.change('x', at(7), at(2));
        timers.change('y', at(1), None);
        assert_eq!(timers.next(), at(1));
        let due: Vec<_> =
            std::iter::from_fn(|| timers.take_due(start + Duration::from_secs(3))).collect();
        assert_eq!(due, ['a', 'b', 'x', 'c']);
        assert_eq!(timers.next(), at(9));
    }
}
