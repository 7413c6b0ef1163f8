//! Connections that could not be opened, by cause.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::format::counted;

/// Most causes that are counted apart: a server could invent one for each connection.
const MOST: usize = 16;

/// Causes that are shown, the most frequent ones.
const SHOWN: usize = 3;

/// The name of all other causes together.
const OTHER: &str = "other causes";

/// Number of connections that could not be opened, by cause.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refusals(BTreeMap<String, u64>);

impl Refusals {
    pub(crate) fn add(&mut self, cause: String) {
        let is_known = self.0.contains_key(&cause) || self.0.len() < MOST;
        *self.0.entry(if is_known { cause } else { OTHER.into() }).or_default() += 1;
    }

    pub(crate) fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// `3 times: the cause; 1 time: another`, the most frequent first.
    pub(crate) fn words(&self) -> String {
        let mut causes: Vec<_> = self.0.iter().collect();
        causes.sort_by_key(|&(_, count)| Reverse(count));
        let shown = causes.iter().take(SHOWN);
        let mut words: Vec<_> =
            shown.map(|(cause, count)| format!("{}: {cause}", counted(**count, "time"))).collect();
        if let Some(rest) = causes.get(SHOWN..).filter(|rest| !rest.is_empty()) {
            let count = rest.iter().map(|(_, count)| **count).sum();
            words.push(format!("{}: {OTHER}", counted(count, "time")));
        }
        words.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_cause_comes_first_and_memory_is_bounded() {
        let mut refusals = Refusals::default();
        refusals.add("b".into());
        (0..3).for_each(|_| refusals.add("a".into()));
        assert_eq!(refusals.words(), "3 times: a; 1 time: b");
        (0..100).for_each(|number| refusals.add(number.to_string()));
        assert_eq!(refusals.total(), 104);
        assert_eq!(refusals.0.len(), MOST + 1);
        let words = refusals.words();
        assert!(words.starts_with("86 times: other causes; 3 times: a; "), "{words}");
    }
}
