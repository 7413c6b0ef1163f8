//! How connections spread over instances.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use proto::escape;
use serde::{Serialize, Serializer};

use super::Instance;
use super::chi_square;
use crate::format::{counted, percent};

/// Most instances that are shown to a person.
const SHOWN: usize = 20;

/// Number of connections by instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shares(BTreeMap<Instance, u64>);

/// An instance in JSON.
#[derive(Serialize)]
struct Share<'a> {
    instance: &'a str,
    connections: u64,
}

/// One connection to each of the instances.
impl FromIterator<Instance> for Shares {
    fn from_iter<T: IntoIterator<Item = Instance>>(instances: T) -> Self {
        let mut shares = Self::default();
        instances.into_iter().for_each(|instance| shares.add(&instance));
        shares
    }
}

impl Serialize for Shares {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let shares = self.sorted().into_iter();
        serializer
            .collect_seq(shares.map(|(instance, connections)| Share { instance, connections }))
    }
}

impl Shares {
    /// Counts a connection to an instance.
    pub(crate) fn add(&mut self, instance: &Instance) {
        *self.0.entry(instance.clone()).or_default() += 1;
    }

    /// Removes a connection to an instance.
    pub(crate) fn remove(&mut self, instance: &Instance) {
        if let Some(count) = self.0.get_mut(instance) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(instance);
            }
        }
    }

    /// Adds an instance, without a connection if it is new.
    pub(crate) fn add_instance(&mut self, instance: &Instance) {
        self.0.entry(instance.clone()).or_default();
    }

    /// Number of instances.
    pub(crate) fn instances(&self) -> usize {
        self.0.len()
    }

    /// Number of connections.
    pub(crate) fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// Whether the instance is known.
    pub(crate) fn has(&self, instance: &Instance) -> bool {
        self.0.contains_key(instance)
    }

    /// The instances with their connections, the largest number first.
    pub(crate) fn sorted(&self) -> Vec<(&Instance, u64)> {
        let mut shares: Vec<_> = self.0.iter().map(|(name, &count)| (name, count)).collect();
        shares.sort_by_key(|&(_, count)| Reverse(count));
        shares
    }

    /// The probability that chance alone spreads connections at least as unevenly.
    pub(crate) fn p_value(&self) -> Option<f64> {
        chi_square::p_value(&self.0.values().copied().collect::<Vec<_>>())
    }

    /// A line for each instance.
    pub(crate) fn lines(&self) -> Vec<String> {
        let (shares, others) = self.first();
        let width = shares.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
        let total = self.total();
        let line = |(name, count): &(String, u64)| {
            format!("  {name:width$}  {count:>6}  {}%", percent(*count, total))
        };
        let more = (others > 0).then(|| format!("  and {}", counted(others, "other")));
        shares.iter().map(line).chain(more).collect()
    }

    /// The shares as part of a sentence: `web-1 250, web-2 250`.
    pub(crate) fn words(&self) -> String {
        let (shares, others) = self.first();
        let more = (others > 0).then(|| format!("and {} more", counted(others, "server")));
        let words = shares.iter().map(|(name, count)| format!("{name} {count}"));
        words.chain(more).collect::<Vec<_>>().join(", ")
    }

    /// The instances that are shown to a person, and the number of the others.
    fn first(&self) -> (Vec<(String, u64)>, u64) {
        let first = self.sorted().into_iter().take(SHOWN);
        let others = self.instances().saturating_sub(SHOWN) as u64;
        (first.map(|(name, count)| (shown(name), count)).collect(), others)
    }
}

/// The name of an instance, chosen by the server, safe to print.
pub(crate) fn shown(name: &str) -> String {
    escape::plain(name)
}

/// A probability in words, `74%` or `less than 0.1%`.
pub(crate) fn probability(p: f64) -> String {
    match p * 100.0 {
        percent if percent < 0.1 => "less than 0.1%".into(),
        percent if percent < 10.0 => format!("{percent:.1}%"),
        percent => format!("{percent:.0}%"),
    }
}

#[cfg(test)]
pub(in crate::probe) mod tests {
    use super::*;

    /// Connections to instances, by name and number.
    pub(in crate::probe) fn shares(counts: &[(&str, usize)]) -> Shares {
        let instances = counts.iter().map(|&(name, count)| vec![Instance::from(name); count]);
        let mut shares: Shares = instances.flatten().collect();
        counts.iter().for_each(|&(name, _)| shares.add_instance(&name.into()));
        shares
    }

    #[test]
    fn an_instance_without_connections_is_forgotten_unless_it_is_known() {
        let mut shares = shares(&[("a", 2), ("b", 1), ("c", 0)]);
        shares.remove(&"b".into());
        shares.remove(&"b".into());
        assert_eq!((shares.instances(), shares.total()), (2, 2));
        assert!(shares.has(&"c".into()) && !shares.has(&"b".into()));
    }

    #[test]
    fn the_largest_share_comes_first() {
        let shares = shares(&[("a", 1), ("\u{1b}[2J", 3)]);
        assert_eq!(shares.lines(), [r"  \u001b[2J       3  75%", "  a               1  25%"]);
        assert_eq!(shares.words(), r"\u001b[2J 3, a 1");
    }

    #[test]
    fn many_instances_are_not_all_shown() {
        let names: Vec<_> = (0..30).map(|number| number.to_string()).collect();
        let shares = shares(&names.iter().map(|name| (name.as_str(), 1)).collect::<Vec<_>>());
        assert_eq!(shares.lines().len(), SHOWN + 1);
        assert!(shares.words().ends_with(", and 10 servers more"));
        assert_eq!(serde_json::to_value(&shares).unwrap().as_array().unwrap().len(), 30);
    }

    #[test]
    fn probabilities_are_short() {
        for (p, text) in [(1.0, "100%"), (0.741, "74%"), (0.0123, "1.2%"), (1e-9, "less than 0.1%")]
        {
            assert_eq!(probability(p), text);
        }
    }
}
