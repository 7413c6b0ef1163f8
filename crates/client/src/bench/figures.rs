//! The counters and histograms of a load.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::{CreationError, Histogram};

/// Significant digits of a time in the histogram.
const DIGITS: u8 = 3;

/// Largest time that the histogram can hold, in nanoseconds: an hour. Longer times are clamped.
const LONGEST: u64 = 3600 * 1_000_000_000;

/// Most distinct causes: error texts of a server must not fill the memory.
const CAUSES: usize = 16;

/// Counts every cause beyond [`CAUSES`].
const OTHER: &str = "other causes";

/// A histogram of times, in nanoseconds.
#[derive(Clone, Debug)]
pub(crate) struct Times {
    histogram: Histogram<u64>,
    total: u128,
    fastest: u64,
    slowest: u64,
}

impl Times {
    /// # Errors
    /// If the histogram cannot be created. Its fixed bounds rule that out.
    pub(crate) fn new() -> Result<Self, CreationError> {
        let histogram = Histogram::new_with_bounds(1, LONGEST, DIGITS)?;
        Ok(Self { histogram, total: 0, fastest: u64::MAX, slowest: 0 })
    }

    pub(crate) fn record(&mut self, time: u64) {
        self.histogram.saturating_record(time);
        self.total += u128::from(time);
        self.fastest = self.fastest.min(time);
        self.slowest = self.slowest.max(time);
    }

    pub(crate) fn count(&self) -> u64 {
        self.histogram.len()
    }

    pub(crate) fn add(&mut self, other: &Self) {
        // Both histograms have the same bounds, so adding them cannot fail.
        let _ = self.histogram.add(&other.histogram);
        self.total += other.total;
        self.fastest = self.fastest.min(other.fastest);
        self.slowest = self.slowest.max(other.slowest);
    }

    /// Each recorded value, in nanoseconds, and its number of times.
    pub(crate) fn recorded(&self) -> impl Iterator<Item = (u64, u64)> {
        let values = self.histogram.iter_recorded();
        values.map(|value| (value.value_iterated_to(), value.count_at_value()))
    }

    /// Minimum, average and maximum, in microseconds; `None` if no time was recorded.
    pub(crate) fn range(&self) -> Option<[f64; 3]> {
        let count = self.count();
        let average = || self.total as f64 / count as f64 / 1000.0;
        (count > 0).then(|| [micros(self.fastest), average(), micros(self.slowest)])
    }

    /// The quantile `quantile` (0 to 1), in microseconds; `None` if no time was recorded.
    pub(crate) fn quantile(&self, quantile: f64) -> Option<f64> {
        // The histogram returns the upper end of a bucket.
        let value = || self.histogram.value_at_quantile(quantile).min(self.slowest);
        (self.count() > 0).then(|| micros(value().max(self.fastest)))
    }
}

fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1000.0
}

/// Number of events by cause.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Causes(BTreeMap<String, u64>);

impl Causes {
    pub(crate) fn count(&mut self, cause: &str) {
        self.add_times(cause, 1);
    }

    fn add_times(&mut self, cause: &str, times: u64) {
        let is_full = self.0.len() >= CAUSES && !self.0.contains_key(cause);
        let cause = if is_full { OTHER } else { cause };
        *self.0.entry(cause.to_owned()).or_default() += times;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (cause, times) in &other.0 {
            self.add_times(cause, *times);
        }
    }

    pub(crate) fn total(&self) -> u64 {
        self.0.values().sum()
    }

    pub(crate) fn by_cause(&self) -> &BTreeMap<String, u64> {
        &self.0
    }
}

/// All measurements of a load. Each ping sent is received, refused, timed out, lost or abandoned.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    /// Times to open a connection, including the upgrade.
    pub(crate) connects: Times,
    /// Connections that could not be opened.
    pub(crate) failed: Causes,
    /// Connections that ended before the load did.
    pub(crate) broken: Causes,
    /// Downtimes of the lost connections that were reopened.
    pub(crate) gaps: Times,
    /// Failed attempts to reconnect.
    pub(crate) retries: Causes,
    /// Round-trip times of the answered pings.
    pub(crate) round_trips: Times,
    pub(crate) sent: u64,
    /// Pings answered with a text that begins with `Error: `.
    pub(crate) refused: Causes,
    /// Pings without a reply within `PONG_TIMEOUT`.
    pub(crate) timed_out: u64,
    /// Pings in flight when their connection was lost.
    pub(crate) lost: u64,
    /// Pings in flight at the end of the load.
    pub(crate) abandoned: u64,
    /// Arrival of the last reply, since the start.
    pub(crate) last_reply: Duration,
}

impl Figures {
    /// # Errors
    /// If the histogram cannot be created. Its fixed bounds rule that out.
    pub(crate) fn new() -> Result<Self, CreationError> {
        Ok(Self {
            connects: Times::new()?,
            failed: Causes::default(),
            broken: Causes::default(),
            gaps: Times::new()?,
            retries: Causes::default(),
            round_trips: Times::new()?,
            sent: 0,
            refused: Causes::default(),
            timed_out: 0,
            lost: 0,
            abandoned: 0,
            last_reply: Duration::ZERO,
        })
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.connects.add(&other.connects);
        self.failed.add(&other.failed);
        self.broken.add(&other.broken);
        self.gaps.add(&other.gaps);
        self.retries.add(&other.retries);
        self.round_trips.add(&other.round_trips);
        self.sent += other.sent;
        self.refused.add(&other.refused);
        self.timed_out += other.timed_out;
        self.lost += other.lost;
        self.abandoned += other.abandoned;
        self.last_reply = self.last_reply.max(other.last_reply);
    }

    pub(crate) fn received(&self) -> u64 {
        self.round_trips.count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn times(nanos: &[u64]) -> Times {
        let mut times = Times::new().unwrap();
        nanos.iter().for_each(|&time| times.record(time));
        times
    }

    #[test]
    fn without_times_there_are_no_figures() {
        assert_eq!(times(&[]).range(), None);
        assert_eq!(times(&[]).quantile(0.5), None);
    }

    #[test]
    fn the_number_of_causes_is_bounded() {
        let mut causes = Causes::default();
        (0..1000).for_each(|n| causes.count(&format!("cause {n}")));
        causes.count("cause 1");
        assert_eq!(causes.total(), 1001);
        assert_eq!(causes.by_cause().len(), CAUSES + 1);
        assert_eq!(causes.by_cause()["cause 1"], 2);
        let mut twice = causes.clone();
        twice.add(&causes);
        assert_eq!((twice.total(), twice.by_cause().len()), (2002, CAUSES + 1));
    }

    proptest! {
        #[test]
        fn the_figures_are_those_of_the_sorted_list(
            nanos in prop::collection::vec(1..20_000_000_000_u64, 1..300),
            cut in any::<prop::sample::Index>(),
            quantile in 0.0..1.0_f64,
        ) {
            let (some, others) = nanos.split_at(cut.index(nanos.len()));
            let mut all = times(some);
            all.add(&times(others));
            let mut sorted: Vec<_> = nanos.iter().map(|&nanos| nanos as f64 / 1000.0).collect();
            sorted.sort_by(f64::total_cmp);
            let [fastest, average, slowest] = all.range().unwrap();
            prop_assert_eq!((fastest, slowest), (sorted[0], sorted[sorted.len() - 1]));
            let exact = sorted.iter().sum::<f64>() / sorted.len() as f64;
            prop_assert!((average - exact).abs() <= exact * 1e-9);
            let rank = ((sorted.len() as f64 * quantile).ceil() as usize).max(1);
            let computed = all.quantile(quantile).unwrap();
            prop_assert!((computed - sorted[rank - 1]).abs() <= computed * 0.001, "{} {:?}", computed, sorted);
        }
    }
}
