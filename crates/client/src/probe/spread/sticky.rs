//! Stickiness: whether connections that present the same key go to the same server.

use std::collections::BTreeMap;

use crate::probe::instances::Instance;
use crate::probe::instances::shares::Shares;

/// From this probability on, chance explains that all connections with a key went to one server.
const CHANCE: f64 = 0.001;

/// Connections that presented keys: cookies, or the local addresses that they came from.
#[derive(Clone, Debug, Default)]
pub(super) struct KeyedConnections {
    /// For each key, the instances of the connections that presented it.
    pub(super) groups: Vec<Vec<Instance>>,
}

impl KeyedConnections {
    /// Number of connections.
    pub(super) fn connections(&self) -> u64 {
        self.groups.iter().map(|group| group.len() as u64).sum()
    }

    /// Number of keys with a connection.
    pub(super) fn keys(&self) -> u64 {
        self.groups.iter().filter(|group| !group.is_empty()).count() as u64
    }

    /// How all these connections spread.
    pub(super) fn shares(&self) -> Shares {
        self.groups.iter().flatten().cloned().collect()
    }

    /// Whether the key decides on the server. `None` if that is unknown: a single server answered,
    /// or chance explains the result. `free` is how connections without a key spread.
    pub(super) fn is_sticky(&self, free: &Shares) -> Option<bool> {
        let is_consistent =
            self.groups.iter().all(|group| group.iter().all(|instance| *instance == group[0]));
        if !is_consistent {
            return Some(false);
        }
        let own = self.shares();
        let shares = if free.instances() > 1 { free } else { &own };
        (shares.instances() > 1 && self.chance(shares) < CHANCE).then_some(true)
    }

    /// The probability that for each key all connections go to one server, if the server of each
    /// connection is drawn at random with the probabilities in `shares`.
    fn chance(&self, shares: &Shares) -> f64 {
        let total = shares.total() as f64;
        let same = |length: usize| -> f64 {
            let shares = shares.sorted();
            shares.iter().map(|&(_, count)| (count as f64 / total).powf(length as f64)).sum()
        };
        let mut lengths: BTreeMap<usize, u32> = BTreeMap::new();
        for group in self.groups.iter().filter(|group| !group.is_empty()) {
            *lengths.entry(group.len()).or_default() += 1;
        }
        lengths.into_iter().map(|(length, times)| same(length).powf(times.into())).product()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instances<T: FromIterator<Instance>>(names: &str) -> T {
        names.chars().map(|name| Instance::from(name.to_string())).collect()
    }

    fn is_sticky(groups: &[&str], free: &str) -> Option<bool> {
        let groups = groups.iter().map(|group| instances(group)).collect();
        KeyedConnections { groups }.is_sticky(&instances(free))
    }

    #[test]
    fn a_key_that_decides_over_the_server_is_sticky() {
        for (what, groups, free, expected) in [
            (
                "each cookie has its server",
                &["aaaa", "bbbb", "aaaa", "bbbb"][..],
                "abab",
                Some(true),
            ),
            ("one cookie, many connections", &["aaaaaaaaaaaaaaaa"], "abab", Some(true)),
            ("a server that nobody went to before", &["aaaa", "bbbb", "cccc"], "aaaa", Some(true)),
            ("without regard to the key", &["abab", "baba"], "abab", Some(false)),
            ("one went elsewhere", &["aaaaaaaa", "bbbbbbba"], "abab", Some(false)),
            ("one server", &["aaaa", "aaaa"], "aaaa", None),
            ("too few for chance to be ruled out", &["aa", "bb"], "abab", None),
            ("one connection each", &["a", "b", "a", "b"], "abab", None),
            ("a rare server does not turn up", &["aaa", "aaa"], "aaaaaaaaab", None),
            ("nothing", &[], "abab", None),
            ("nothing answered", &["", ""], "abab", None),
        ] {
            assert_eq!(is_sticky(groups, free), expected, "{what}");
        }
    }

    #[test]
    fn chance_alone_is_hardly_ever_taken_for_sticky() {
        use rand::rngs::SmallRng;
        use rand::{RngExt, SeedableRng};
        let mut random = SmallRng::seed_from_u64(1);
        let mut group = |length: usize| {
            let name = |is_a: bool| Instance::from(if is_a { "a" } else { "b" });
            (0..length).map(|_| name(random.random_bool(0.9))).collect::<Vec<_>>()
        };
        let free = instances("aaaaaaaaab");
        let sticky = (0..2000).filter(|_| {
            let groups = (0..8).map(|_| group(4)).collect();
            KeyedConnections { groups }.is_sticky(&free) == Some(true)
        });
        assert_eq!(sticky.count(), 0);
    }
}
