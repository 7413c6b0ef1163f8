//! What `ping` tells at its end: how many pings were sent and answered, and how fast.

use std::time::Duration;

use hdrhistogram::{CreationError, Histogram};

use crate::words::counted;

/// Digits of a round trip that the histogram keeps; this bounds its memory, whatever the number
/// of pings.
const DIGITS: u8 = 3;

/// Longest round trip that the histogram tells from longer ones, in microseconds: an hour.
const LONGEST: u64 = 3600 * 1_000_000;

/// Counts the pings whose fate is known.
#[derive(Debug)]
pub struct Stats {
    received: u64,
    lost: u64,
    errors: u64,
    reconnects: u64,
    fastest: Duration,
    slowest: Duration,
    total: Duration,
    /// In microseconds.
    round_trips: Histogram<u64>,
}

impl Stats {
    /// # Errors
    /// When there can be no histogram, which its fixed bounds rule out.
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

    /// Whether any ping was answered with a Pong.
    #[must_use]
    pub fn has_received(&self) -> bool {
        self.received > 0
    }

    /// Counts a ping without a reply.
    pub fn lost(&mut self) {
        self.lost += 1;
    }

    /// Counts a ping that an error answered: lost as well.
    pub fn refused(&mut self) {
        self.lost += 1;
        self.errors += 1;
    }

    /// Counts a server that was lost and came back.
    pub fn reconnected(&mut self) {
        self.reconnects += 1;
    }

    /// Everything after `elapsed` time with the server at `url`, ready to print. The empty line
    /// before it is that of `ping`: a terminal shows `^C` there.
    #[must_use]
    pub fn report(&self, url: &str, elapsed: Duration) -> String {
        let Self { received, lost, reconnects, .. } = self;
        let sent = received + lost;
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
        if let Some([fastest, average, slowest, p99]) = self.round_trips() {
            report.push_str(&format!(
                "round trip min/avg/max/p99 = {fastest:.2}/{average:.2}/{slowest:.2}/{p99:.2} ms\n"
            ));
        }
        report
    }

    /// Least, average, greatest and 99th percentile in milliseconds; `None` without any.
    fn round_trips(&self) -> Option<[f64; 4]> {
        if self.received == 0 {
            return None;
        }
        let millis = |time: Duration| time.as_secs_f64() * 1000.0;
        let p99 = Duration::from_micros(self.round_trips.value_at_quantile(0.99));
        // The histogram rounds up.
        let p99 = p99.clamp(self.fastest, self.slowest);
        let average = millis(self.total) / self.received as f64;
        Some([millis(self.fastest), average, millis(self.slowest), millis(p99)])
    }
}

/// `part` of `whole` in percent, with one decimal where it needs one.
fn percent(part: u64, whole: u64) -> String {
    let percent = 100.0 * part as f64 / whole.max(1) as f64;
    let text = format!("{percent:.1}");
    text.strip_suffix(".0").unwrap_or(&text).to_owned()
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
            stats.report("ws://server:8765", Duration::from_millis(24_340)),
            "\n--- ws://server:8765 ping statistics ---\n\
             5 sent, 3 received, 2 lost (40%), 1 error, 1 reconnect, 24.3 s\n\
             round trip min/avg/max/p99 = 0.21/0.51/1.02/1.02 ms\n"
        );
    }

    #[test]
    fn a_report_with_nothing() {
        assert_eq!(
            stats(&[]).report("ws://server", Duration::from_millis(40)),
            "\n--- ws://server ping statistics ---\n\
             0 sent, 0 received, 0 lost, 0 reconnects, 0.0 s\n"
        );
    }

    #[test]
    fn percentages_are_short() {
        for (part, whole, text) in [
            (0, 0, "0"),
            (0, 9, "0"),
            (9, 9, "100"),
            (1, 3, "33.3"),
            (1, 2, "50"),
            (1, 1000, "0.1"),
        ] {
            assert_eq!(percent(part, whole), text);
        }
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
        assert_eq!(stats.round_trips().unwrap()[2], Duration::MAX.as_secs_f64() * 1000.0);
    }

    proptest! {
        #[test]
        fn the_figures_are_those_of_the_sorted_list(
            micros in prop::collection::vec(0_u64..20_000_000, 1..300),
        ) {
            let mut sorted: Vec<_> = micros.iter().map(|&us| us as f64 / 1000.0).collect();
            sorted.sort_by(f64::total_cmp);
            let round_trips: Vec<_> = micros.into_iter().map(Duration::from_micros).collect();
            let [fastest, average, slowest, p99] = stats(&round_trips).round_trips().unwrap();
            let close = |a: f64, b: f64| (a - b).abs() < 1e-6;
            prop_assert!(close(fastest, sorted[0]));
            prop_assert!(close(slowest, sorted[sorted.len() - 1]));
            prop_assert!(close(average, sorted.iter().sum::<f64>() / sorted.len() as f64));
            let exact = sorted[(sorted.len() * 99).div_ceil(100) - 1];
            prop_assert!((p99 - exact).abs() <= exact * 0.001 + 0.001, "{} {}", p99, exact);
            prop_assert!((fastest..=slowest).contains(&p99));
        }

        #[test]
        fn every_ping_was_received_or_lost(received in 0_u64..50, lost in 0_u64..50, refused in 0_u64..50) {
            let mut stats = Stats::new().unwrap();
            (0..received).for_each(|_| stats.received(Duration::from_millis(1)));
            (0..lost).for_each(|_| stats.lost());
            (0..refused).for_each(|_| stats.refused());
            let report = stats.report("ws://server", Duration::ZERO);
            let lost = lost + refused;
            let counts = format!("\n{} sent, {received} received, {lost} lost", received + lost);
            prop_assert!(report.contains(&counts), "{}", report);
            prop_assert_eq!(report.contains("round trip"), received > 0);
        }
    }
}
