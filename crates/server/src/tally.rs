//! Counters and histograms that one thread changes and any thread may read.

use std::sync::atomic::{AtomicU64, Ordering};

/// A counter that one thread at a time changes: an atomic load and store, which cost no more than
/// those of plain memory, in place of an atomic addition.
#[derive(Debug, Default)]
pub struct Tally(AtomicU64);

impl Tally {
    /// Adds `more` to the counter.
    pub fn add(&self, more: u64) {
        self.set(self.get().wrapping_add(more));
    }

    /// Adds to a counter that several threads change; all of them have to use this method.
    pub fn add_among_threads(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// Subtracts `less` from the counter.
    pub fn sub(&self, less: u64) {
        self.set(self.get().wrapping_sub(less));
    }

    /// Sets the counter.
    pub fn set(&self, number: u64) {
        self.0.store(number, Ordering::Relaxed);
    }

    /// The present count.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A histogram with fixed buckets; one thread at a time adds values.
#[derive(Debug)]
pub struct Histogram<const BOUNDS: usize> {
    /// Upper bounds, inclusive, rising.
    bounds: [u64; BOUNDS],
    counts: [Tally; BOUNDS],
    /// Values above every bound.
    above: Tally,
    sum: Tally,
}

impl<const BOUNDS: usize> Histogram<BOUNDS> {
    /// An empty histogram with these upper bounds, inclusive and rising.
    #[must_use]
    pub fn new(bounds: [u64; BOUNDS]) -> Self {
        let counts = bounds.map(|_| Tally::default());
        Self { bounds, counts, above: Tally::default(), sum: Tally::default() }
    }

    /// Adds a value.
    pub fn add(&self, value: u64) {
        let bucket = self.bounds.iter().position(|&bound| value <= bound);
        bucket.map_or(&self.above, |bucket| &self.counts[bucket]).add(1);
        self.sum.add(value);
    }

    /// The bounds, each with the number of values up to it.
    pub fn cumulative(&self) -> impl Iterator<Item = (u64, u64)> {
        let counts = self.bounds.iter().zip(&self.counts);
        counts.scan(0, |sum, (&bound, count)| {
            *sum += count.get();
            Some((bound, *sum))
        })
    }

    /// The number of values.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().map(Tally::get).sum::<u64>() + self.above.get()
    }

    /// The sum of all values.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.sum.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_histogram_counts_every_value_once(values in prop::collection::vec(0_u64..200, 0..100)) {
            let bounds = [1, 10, 100];
            let histogram = Histogram::new(bounds);
            values.iter().for_each(|&value| histogram.add(value));
            let up_to = |bound| values.iter().filter(|&&value| value <= bound).count() as u64;
            let expected: Vec<_> = bounds.iter().map(|&bound| (bound, up_to(bound))).collect();
            prop_assert_eq!(histogram.cumulative().collect::<Vec<_>>(), expected);
            prop_assert_eq!(histogram.count(), values.len() as u64);
            prop_assert_eq!(histogram.sum(), values.iter().sum::<u64>());
        }
    }
}
