//! The statistics of `ping`: pings sent and answered, and round-trip times.

use std::time::Duration;

use hdrhistogram::{CreationError, Histogram};

use super::figures::Times;
use crate::format::{counted, percent};

/// Significant digits of a round trip in the histogram. The histogram's memory does not depend on
/// the number of pings.
const DIGITS: u8 = 3;

/// Largest round trip that the histogram can hold, in microseconds: an hour. Longer ones are
/// clamped.
const LONGEST: u64 = 3600 * 1_000_000;

/// Counters of the completed pings, answered or lost.
#[derive(Debug)]
pub struct Stats {
    received: u64,
    lost: u64,
    errors: u64,
    reconnects: u64,
    fastest: Duration,
    slowest: Duration,
    total: Duration,
    /// Round-trip times, in microseconds.
    round_trips: Histogram<u64>,
}

impl Stats {
    /// # Errors
    /// If the histogram cannot be created. Its fixed bounds rule that out.
    pub fn new() -> Result<Self, CreationError> {
        Ok(Self {
            received: 0,
            lost: 0,
            errors: 0,
            reconnects: 0,
            fastest: Duration::MAX,
            slowest: Duration::ZERO,
            total: Duration::ZERO,
            round_trips: Histogram::new_with_bounds(1, LONGEST, DIGITS)?,
        })
    }

    /// Counts a ping with its Pong.
    pub fn received(&mut self, round_trip: Duration) {
        self.received += 1;
        self.fastest = self.fastest.min(round_trip);
        self.slowest = self.slowest.max(round_trip);
        self.total = self.total.saturating_add(round_trip);
        let micros = u64::try_from(round_trip.as_micros()).unwrap_or(LONGEST);
        self.round_trips.saturating_record(micros);
    }

    /// Counts a ping without a reply.
    pub fn lost(&mut self) {
        self.lost += 1;
    }

    /// Counts a ping answered with an error, as lost.
    pub fn refused(&mut self) {
        self.lost += 1;
        self.errors += 1;
    }

    /// Counts a recovery after an outage.
    pub fn reconnected(&mut self) {
        self.reconnects += 1;
    }

    /// Completed pings, answered or lost.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.received + self.lost
    }

    /// Pings that were answered with a Pong.
    #[must_use]
    pub fn received_count(&self) -> u64 {
        self.received
    }

    /// Pings that were not answered with a Pong.
    #[must_use]
    pub fn lost_count(&self) -> u64 {
        self.lost
    }

    /// The statistics after `elapsed` time with the server at `url`, ready to print; with the
    /// median if `is_detailed`. As in ping(8), an empty line comes first, because a terminal shows
    /// `^C` there.
    #[must_use]
    pub fn report(&self, url: &str, elapsed: Duration, is_detailed: bool) -> String {
        let Self { received, lost, reconnects, .. } = self;
        let sent = self.sent();
        let percent = match sent {
            0 => String::new(),
            sent => format!(" ({}%)", percent(*lost, sent)),
        };
        let errors = match self.errors {
            0 => String::new(),
            errors => format!("{}, ", counted(errors, "error")),
        };
        let reconnects = counted(*reconnects, "reconnect");
        let elapsed = elapsed.as_secs_f64();
        let mut report = format!(
            "\n--- {url} ping statistics ---\n\
             {sent} sent, {received} received, {lost} lost{percent}, {errors}{reconnects}, {elapsed:.1} s\n"
        );
        if let Some(Times { min, avg, max, p50, p99, .. }) = self.times() {
            let (names, times) = match is_detailed {
                true => ("min/avg/max/p50/p99", vec![min, avg, max, p50, p99]),
                false => ("min/avg/max/p99", vec![min, avg, max, p99]),
            };
            let times: Vec<_> = times.iter().map(|time| format!("{:.2}", time * 1000.0)).collect();
            report.push_str(&format!("round trip {names} = {} ms\n", times.join("/")));
        }
        report
    }

    /// The round-trip times; `None` without a reply.
    #[must_use]
    pub fn times(&self) -> Option<Times> {
        if self.received == 0 {
            return None;
        }
        let quantile = |quantile| {
            let time = Duration::from_micros(self.round_trips.value_at_quantile(quantile));
            // The histogram returns the upper end of a bucket.
            time.clamp(self.fastest, self.slowest).as_secs_f64()
        };
        Some(Times {
            min: self.fastest.as_secs_f64(),
            avg: self.total.as_secs_f64() / self.received as f64,
            p50: quantile(0.5),
            p90: quantile(0.9),
            p99: quantile(0.99),
            max: self.slowest.as_secs_f64(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stats(round_trips: &[Duration]) -> Stats {
        let mut stats = Stats::new().unwrap();
        round_trips.iter().for_each(|&round_trip| stats.received(round_trip));
        stats
    }

    #[test]
    fn a_report_with_everything() {
        let mut stats = stats(&[210, 300, 1020].map(Duration::from_micros));
        stats.reconnected();
        stats.lost();
        stats.refused();
        assert_eq!(
            stats.report("ws://server:8765", Duration::from_millis(24_340), false),
            "\n--- ws://server:8765 ping statistics ---\n\
             5 sent, 3 received, 2 lost (40%), 1 error, 1 reconnect, 24.3 s\n\
             round trip min/avg/max/p99 = 0.21/0.51/1.02/1.02 ms\n"
        );
        let detailed = stats.report("ws://server:8765", Duration::ZERO, true);
        let times = "\nround trip min/avg/max/p50/p99 = 0.21/0.51/1.02/0.30/1.02 ms\n";
        assert!(detailed.ends_with(times), "{detailed}");
    }

    #[test]
    fn a_report_with_nothing() {
        assert_eq!(
            stats(&[]).report("ws://server", Duration::from_millis(40), true),
            "\n--- ws://server ping statistics ---\n\
             0 sent, 0 received, 0 lost, 0 reconnects, 0.0 s\n"
        );
    }

    #[test]
    fn memory_does_not_grow_with_the_longest_round_trip() {
        let mut stats = stats(&[]);
        let before = stats.round_trips.len();
        let buckets = stats.round_trips.distinct_values();
        stats.received(Duration::MAX);
        stats.received(Duration::MAX);
        assert_eq!(stats.round_trips.distinct_values(), buckets);
        assert_eq!(stats.round_trips.len(), before + 2);
        assert_eq!(stats.times().unwrap().max, Duration::MAX.as_secs_f64());
    }

    proptest! {
        #[test]
        fn the_figures_are_those_of_the_sorted_list(
            micros in prop::collection::vec(0_u64..20_000_000, 1..300),
        ) {
            let mut sorted: Vec<_> = micros.iter().map(|&us| us as f64 / 1e6).collect();
            sorted.sort_by(f64::total_cmp);
            let round_trips: Vec<_> = micros.into_iter().map(Duration::from_micros).collect();
            let Times { min, avg, p50, p90, p99, max } = stats(&round_trips).times().unwrap();
            let close = |a: f64, b: f64| (a - b).abs() < 1e-9;
            prop_assert!(close(min, sorted[0]));
            prop_assert!(close(max, sorted[sorted.len() - 1]));
            prop_assert!(close(avg, sorted.iter().sum::<f64>() / sorted.len() as f64));
            for (quantile, percent) in [(p50, 50), (p90, 90), (p99, 99)] {
                let exact = sorted[(sorted.len() * percent).div_ceil(100) - 1];
                prop_assert!((quantile - exact).abs() <= exact * 0.001 + 1e-6, "{} {}", quantile, exact);
                prop_assert!((min..=max).contains(&quantile));
            }
        }

        #[test]
        fn every_ping_was_received_or_lost(received in 0_u64..50, lost in 0_u64..50, refused in 0_u64..50) {
            let mut stats = Stats::new().unwrap();
            (0..received).for_each(|_| stats.received(Duration::from_millis(1)));
            (0..lost).for_each(|_| stats.lost());
            (0..refused).for_each(|_| stats.refused());
            let report = stats.report("ws://server", Duration::ZERO, false);
            let lost = lost + refused;
            let counts = format!("\n{} sent, {received} received, {lost} lost", received + lost);
            prop_assert!(report.contains(&counts), "{}", report);
            prop_assert_eq!(report.contains("round trip"), received > 0);
        }
    }
}
