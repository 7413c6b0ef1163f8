//! The client's own metrics, for Prometheus (`METRICS_LISTEN`).

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    Result, TextEncoder,
};

use crate::outage::observed_end::ObservedEnd;

/// Upper bounds of the histogram buckets of round trips, in seconds.
const BUCKETS: [f64; 15] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    10.0,
];

/// Close codes with a label value of their own: those of RFC 6455 and the IANA registry. A server
/// may send thousands of others, each of which would be a time series.
const KNOWN_CODES: std::ops::RangeInclusive<u16> = 1000..=1015;

/// The label value of an outage that began with a Close frame of any other code.
const OTHER_CODE: &str = "close-other";

/// The metrics; `None` inside if they are not served.
#[derive(Clone, Debug, Default)]
pub(super) struct Metrics(Option<Counts>);

#[derive(Clone, Debug)]
struct Counts {
    registry: Registry,
    round_trips: Histogram,
    pings: IntCounterVec,
    outages: IntCounterVec,
    up: IntGauge,
    phases: GaugeVec,
}

impl Metrics {
    /// Creates and registers the metrics.
    ///
    /// # Errors
    /// If a metric name is invalid. None of these names is.
    pub(super) fn start() -> Result<Self> {
        let round_trips = HistogramOpts::new(
            "websockets_client_round_trip_seconds",
            "Time from a ping to its reply.",
        )
        .buckets(BUCKETS.to_vec());
        let pings = Opts::new("websockets_client_pings_total", "Pings, by what became of them.");
        let outages = Opts::new(
            "websockets_client_outages_total",
            "Times that the server was not there, by how that began.",
        );
        let up = Opts::new("websockets_client_up", "1 if the server answered last, 0 if not.");
        let phases = Opts::new(
            "websockets_client_connect_seconds",
            "How long each phase of the last connection took.",
        );
        let registry = Registry::new();
        let counts = Counts {
            round_trips: registered(&registry, Histogram::with_opts(round_trips))?,
            pings: registered(&registry, IntCounterVec::new(pings, &["result"]))?,
            outages: registered(&registry, IntCounterVec::new(outages, &["seen"]))?,
            up: registered(&registry, IntGauge::with_opts(up))?,
            phases: registered(&registry, GaugeVec::new(phases, &["phase"]))?,
            registry,
        };
        // `rate()` needs the sample of 0 before the first event.
        for result in ["received", "lost"] {
            let _ = counts.pings.with_label_values(&[result]);
        }
        for code in KNOWN_CODES {
            let _ = counts.outage(ObservedEnd::Close(code));
        }
        for seen in ObservedEnd::WITHOUT_CODE {
            let _ = counts.outage(seen);
        }
        let _ = counts.outages.with_label_values(&[OTHER_CODE]);
        Ok(Self(Some(counts)))
    }

    /// Counts a ping, answered after this time or lost.
    pub(super) fn ping(&self, round_trip: Option<Duration>) {
        let Some(counts) = &self.0 else { return };
        match round_trip {
            Some(time) => {
                counts.pings.with_label_values(&["received"]).inc();
                counts.round_trips.observe(time.as_secs_f64());
            }
            None => counts.pings.with_label_values(&["lost"]).inc(),
        }
    }

    /// Counts the beginning of an outage.
    pub(super) fn outage(&self, seen: ObservedEnd) {
        if let Some(counts) = &self.0 {
            counts.outage(seen).inc();
        }
    }

    /// Sets whether the server is up.
    pub(super) fn up(&self, is_up: bool) {
        if let Some(counts) = &self.0 {
            counts.up.set(i64::from(is_up));
        }
    }

    /// Observes the phases of a connection after its first reply.
    pub(super) fn connection(&self, phases: [(&'static str, Option<Duration>); 6]) {
        let Some(counts) = &self.0 else { return };
        counts.phases.reset();
        for (name, time) in phases {
            if let Some(time) = time {
                counts.phases.with_label_values(&[name]).set(time.as_secs_f64());
            }
        }
    }

    /// All metrics in the text format of Prometheus.
    ///
    /// # Errors
    /// If the encoder fails, which happens only for an unknown metric type.
    pub(super) fn text(&self) -> Result<String> {
        let families = self.0.as_ref().map(|counts| counts.registry.gather()).unwrap_or_default();
        TextEncoder::new().encode_to_string(&families)
    }
}

impl Counts {
    /// The counter of the outages that begin so.
    fn outage(&self, seen: ObservedEnd) -> IntCounter {
        match seen {
            ObservedEnd::Close(code) if !KNOWN_CODES.contains(&code) => {
                self.outages.with_label_values(&[OTHER_CODE])
            }
            seen => self.outages.with_label_values(&[seen.to_string()]),
        }
    }
}

/// Registers a new metric.
fn registered<C: Collector + Clone + 'static>(registry: &Registry, new: Result<C>) -> Result<C> {
    let metric = new?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_is_0_from_the_start() {
        let text = Metrics::start().unwrap().text().unwrap();
        let outages = |seen: &str| format!("websockets_client_outages_total{{seen=\"{seen}\"}} 0");
        let codes = (1000..=1015).map(|code| format!("close-{code}"));
        let others = ["close-other", "fin", "rst", "tls", "silence", "refused"].map(String::from);
        let mut lines: Vec<_> = codes.chain(others).map(|seen| outages(&seen)).collect();
        lines.extend(
            ["received", "lost"]
                .map(|result| format!("websockets_client_pings_total{{result=\"{result}\"}} 0")),
        );
        for line in &lines {
            assert!(text.lines().any(|other| other == line), "{line} in {text}");
        }
        let counters = text.lines().filter(|line| line.contains("_total{"));
        assert_eq!(counters.count(), lines.len(), "{text}");
    }

    #[test]
    fn all_metrics_are_in_the_text() {
        let metrics = Metrics::start().unwrap();
        metrics.ping(Some(Duration::from_micros(200)));
        metrics.ping(None);
        metrics.outage(ObservedEnd::Close(1001));
        metrics.outage(ObservedEnd::Close(4321));
        metrics.up(true);
        metrics.connection([("tcp", Some(Duration::from_millis(5))); 6]);
        let text = metrics.text().unwrap();
        for line in [
            "websockets_client_pings_total{result=\"received\"} 1",
            "websockets_client_pings_total{result=\"lost\"} 1",
            "websockets_client_round_trip_seconds_bucket{le=\"0.0001\"} 0",
            "websockets_client_round_trip_seconds_bucket{le=\"0.00025\"} 1",
            "websockets_client_outages_total{seen=\"close-1001\"} 1",
            "websockets_client_outages_total{seen=\"close-other\"} 1",
            "websockets_client_up 1",
            "websockets_client_connect_seconds{phase=\"tcp\"} 0.005",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} in {text}");
        }
    }
}
