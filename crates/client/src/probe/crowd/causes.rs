//! Why connections were refused.

use std::collections::BTreeMap;

use crate::words::counted;

/// Most causes that are kept apart: a server could have one for each connection.
const MOST: usize = 16;

/// What all other causes count as.
const OTHER: &str = "other causes";

/// Number of refused connections by cause.
#[derive(Clone, Debug, Default)]
pub(crate) struct Causes(BTreeMap<String, u64>);

impl Causes {
    pub(crate) fn add(&mut self, cause: String) {
        let is_known = self.0.contains_key(&cause) || self.0.len() < MOST;
        *self.0.entry(if is_known { cause } else { OTHER.into() }).or_default() += 1;
    }

    pub(crate) fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// `3 times "the cause", 2 times "another"`, the most frequent first.
    pub(crate) fn words(&self) -> String {
        const SHOWN: usize = 3;
        let mut causes: Vec<_> = self.0.iter().collect();
        causes.sort_by_key(|&(_, &count)| u64::MAX - count);
        let shown = causes.iter().take(SHOWN);
        let mut words: Vec<_> =
            shown.map(|(cause, count)| format!("{}: {cause}", counted(**count, "time"))).collect();
        if let Some(rest) = causes.get(SHOWN..).filter(|rest| !rest.is_empty()) {
            let count = rest.iter().map(|(_, count)| **count).sum();
            words.push(format!("{}: other causes", counted(count, "time")));
        }
        words.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_cause_comes_first_and_memory_is_bounded() {
        let mut causes = Causes::default();
        causes.add("b".into());
        (0..3).for_each(|_| causes.add("a".into()));
        assert_eq!(causes.words(), "3 times: a; 1 time: b");
        (0..100).for_each(|number| causes.add(number.to_string()));
        assert_eq!(causes.total(), 104);
        assert_eq!(causes.0.len(), MOST + 1);
        let words = causes.words();
        assert!(words.starts_with("86 times: other causes; 3 times: a; "), "{words}");
    }
}
