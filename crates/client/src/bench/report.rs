//! The report of a load, as text and as JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::Options;
use super::figures::{Figures, Times};
use super::histogram::Histogram;
use crate::format::counted;
use crate::record;

/// All results of a load.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    url: String,
    duration_s: f64,
    in_flight: u32,
    rate_per_second: Option<f64>,
    connections: Connections,
    connect_time_us: Option<ConnectTime>,
    pings: Pings,
    /// Seconds from the first ping to the last reply.
    elapsed_s: f64,
    received_per_second: f64,
    corrected_for_coordinated_omission: bool,
    round_trip_us: Option<RoundTrip>,
    /// Downtimes of the lost connections that were reopened.
    gap_us: Option<ConnectTime>,
    #[serde(skip)]
    histogram: Histogram,
}

#[derive(Debug, Serialize)]
struct Connections {
    asked: u64,
    made: u64,
    failed: u64,
    failed_by_cause: BTreeMap<String, u64>,
    lost: u64,
    lost_by_cause: BTreeMap<String, u64>,
    made_again: u64,
    retries_failed: u64,
    retries_failed_by_cause: BTreeMap<String, u64>,
}

#[derive(Debug, Serialize)]
struct Pings {
    sent: u64,
    received: u64,
    refused: u64,
    refused_by_cause: BTreeMap<String, u64>,
    timed_out: u64,
    lost: u64,
    abandoned: u64,
    /// Scheduled by the rate, but not sent.
    unsent: u64,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct ConnectTime {
    min: f64,
    avg: f64,
    p50: f64,
    p99: f64,
    max: f64,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct RoundTrip {
    min: f64,
    avg: f64,
    p50: f64,
    p90: f64,
    p99: f64,
    #[serde(rename = "p99.9")]
    p99_9: f64,
    max: f64,
}

impl ConnectTime {
    fn of(times: &Times) -> Option<Self> {
        let [min, avg, max] = times.range()?;
        Some(Self { min, avg, p50: times.quantile(0.5)?, p99: times.quantile(0.99)?, max })
    }
}

impl RoundTrip {
    fn of(times: &Times) -> Option<Self> {
        let [min, avg, max] = times.range()?;
        let [p50, p90, p99, p99_9] = [0.5, 0.9, 0.99, 0.999].map(|q| times.quantile(q));
        Some(Self { min, avg, p50: p50?, p90: p90?, p99: p99?, p99_9: p99_9?, max })
    }
}

impl Report {
    /// A report of these figures and the number of scheduled pings that were not sent.
    pub(crate) fn new(options: &Options, figures: &Figures, unsent: u64) -> Self {
        let received = figures.received();
        let elapsed_s = figures.last_reply.as_secs_f64();
        let connections = Connections {
            asked: options.connections,
            made: figures.connects.count(),
            failed: figures.failed.total(),
            failed_by_cause: figures.failed.by_cause().clone(),
            lost: figures.broken.total(),
            lost_by_cause: figures.broken.by_cause().clone(),
            made_again: figures.gaps.count(),
            retries_failed: figures.retries.total(),
            retries_failed_by_cause: figures.retries.by_cause().clone(),
        };
        let pings = Pings {
            sent: figures.sent,
            received,
            refused: figures.refused.total(),
            refused_by_cause: figures.refused.by_cause().clone(),
            timed_out: figures.timed_out,
            lost: figures.lost,
            abandoned: figures.abandoned,
            unsent,
        };
        Self {
            url: options.endpoint.url.to_string(),
            duration_s: options.duration.as_secs_f64(),
            in_flight: options.in_flight,
            rate_per_second: options.rate,
            connections,
            connect_time_us: ConnectTime::of(&figures.connects),
            pings,
            elapsed_s,
            received_per_second: if received > 0 { received as f64 / elapsed_s } else { 0.0 },
            corrected_for_coordinated_omission: options.rate.is_some(),
            round_trip_us: RoundTrip::of(&figures.round_trips),
            gap_us: ConnectTime::of(&figures.gaps),
            histogram: Histogram::of(&figures.round_trips),
        }
    }

    /// A summary of the failures; `None` if there were none.
    pub(crate) fn fault(&self) -> Option<String> {
        let Self { connections, pings, .. } = self;
        let faults = [
            (connections.failed, "connection", "not made"),
            (connections.lost, "connection", "lost"),
            (pings.refused, "ping", "refused"),
            (pings.timed_out, "ping", "without a reply in time"),
        ];
        let fault_text = |(count, thing, what): (u64, &str, &str)| {
            (count > 0).then(|| format!("{} {what}", counted(count, thing)))
        };
        let faults: Vec<_> = faults.into_iter().filter_map(fault_text).collect();
        match faults.as_slice() {
            [] if pings.received == 0 => Some("no ping was answered".into()),
            [] => None,
            faults => Some(faults.join(", ")),
        }
    }

    /// The report as one line of JSON.
    ///
    /// # Errors
    /// If the report cannot be serialized. Its types rule that out.
    pub(crate) fn json(&self) -> Result<String, serde_json::Error> {
        let Pings { received, sent, .. } = self.pings;
        let (ok, text) = match self.fault() {
            Some(fault) => (Some(false), fault),
            None => (Some(true), format!("{received} of {sent} pings answered")),
        };
        record::verdict(&record::Verdict { probe: "bench", ok, text: &text, fields: self })
    }

    /// The report as text. `is_shown` means that stdout is a terminal, and adds a histogram.
    pub(crate) fn text(&self, patience: Duration, is_shown: bool) -> String {
        let Self { url, connections, pings, .. } = self;
        let Connections { asked, made, failed, lost, .. } = connections;
        let mut lines = vec![
            format!("--- {url} bench ---"),
            format!("connections: {asked} asked, {made} made, {failed} failed, {lost} lost"),
        ];
        lines.extend(causes("not made", &connections.failed_by_cause));
        lines.extend(causes("lost", &connections.lost_by_cause));
        lines.extend(self.reconnect_lines());
        if let Some(ConnectTime { min, avg, p50, p99, max }) = self.connect_time_us {
            let times = millis(&[min, avg, p50, p99, max]);
            lines.push(format!("connect time min/avg/p50/p99/max = {times} ms"));
        }
        lines.push(format!(
            "pings: {} sent, {} received in {:.1} s, {:.1} a second",
            pings.sent, pings.received, self.elapsed_s, self.received_per_second
        ));
        lines.extend(causes("refused", &pings.refused_by_cause));
        lines.extend(self.missing(patience));
        if let Some(RoundTrip { min, avg, p50, p90, p99, p99_9, max }) = self.round_trip_us {
            let times = millis(&[min, avg, p50, p90, p99, p99_9, max]);
            lines.push(format!("round trip min/avg/p50/p90/p99/p99.9/max = {times} ms"));
            lines.extend(is_shown.then(|| self.histogram.lines()).into_iter().flatten());
        }
        if let Some(rate) = self.rate_per_second {
            lines.push(format!(
                "at {rate} pings a second; each round trip counts from when the ping was due (corrected for coordinated omission)"
            ));
        }
        lines.join("\n") + "\n"
    }

    /// The lines about lost connections and reconnects.
    fn reconnect_lines(&self) -> Vec<String> {
        let Connections { made_again, retries_failed_by_cause, .. } = &self.connections;
        let mut lines: Vec<_> = causes("tried again in vain", retries_failed_by_cause).collect();
        if let Some(ConnectTime { min, avg, p50, p99, max }) = self.gap_us {
            let times = millis(&[min, avg, p50, p99, max]);
            lines.push(format!("  {made_again} made again, gone min/avg/p50/p99/max = {times} ms"));
        }
        lines
    }

    fn missing(&self, patience: Duration) -> impl Iterator<Item = String> {
        let Pings { timed_out, lost, abandoned, unsent, .. } = self.pings;
        [
            (timed_out, format!("without a reply within {patience:?} (PONG_TIMEOUT)")),
            (lost, "lost with their connection".into()),
            (abandoned, "on their way at the end".into()),
            (unsent, "due but not sent".into()),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("  {count} {what}"))
    }
}

/// The JSON verdict of a load without any measurement.
///
/// # Errors
/// If the report cannot be serialized. Its types rule that out.
pub(crate) fn nothing_measured(cause: &str) -> Result<String, serde_json::Error> {
    #[derive(Serialize)]
    struct Nothing {}
    record::verdict(&record::Verdict { probe: "bench", ok: None, text: cause, fields: &Nothing {} })
}

fn causes(what: &str, causes: &BTreeMap<String, u64>) -> impl Iterator<Item = String> {
    causes.iter().map(move |(cause, count)| format!("  {count} {what}: {cause}"))
}

/// Microseconds as milliseconds, `0.021/0.045`.
fn millis(micros: &[f64]) -> String {
    let millis: Vec<_> = micros.iter().map(|micros| format!("{:.3}", micros / 1000.0)).collect();
    millis.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Endpoint;
    use crate::net::source::Sources;
    use proptest::prelude::*;
    use serde_json::Value;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn options(rate: Option<f64>) -> Options {
        let url = "ws://server".parse().unwrap();
        Options {
            endpoint: Endpoint::new(url),
            client_name: "Client-300".into(),
            patience: PATIENCE,
            connections: 3,
            in_flight: 2,
            duration: Duration::from_secs(2),
            rate,
            threads: 1,
            sources: Sources::default(),
            reconnects: true,
            json: false,
        }
    }

    fn figures(round_trips: &[u64]) -> Figures {
        let mut figures = Figures::new().unwrap();
        round_trips.iter().for_each(|&time| figures.round_trips.record(time));
        figures.sent = round_trips.len() as u64;
        figures.last_reply = Duration::from_secs(2);
        figures
    }

    #[test]
    fn a_report_of_a_good_run() {
        let mut figures = figures(&[20_000, 30_000, 100_000, 50_000]);
        [1_000_000, 2_000_000, 3_000_000].iter().for_each(|&time| figures.connects.record(time));
        let report = Report::new(&options(None), &figures, 0);
        assert_eq!(report.fault(), None);
        assert_eq!(
            report.text(PATIENCE, false),
            "--- ws://server bench ---\n\
             connections: 3 asked, 3 made, 0 failed, 0 lost\n\
             connect time min/avg/p50/p99/max = 1.000/2.000/2.001/3.000/3.000 ms\n\
             pings: 4 sent, 4 received in 2.0 s, 2.0 a second\n\
             round trip min/avg/p50/p90/p99/p99.9/max = 0.020/0.050/0.030/0.100/0.100/0.100/0.100 ms\n"
        );
    }

    #[test]
    fn a_report_with_everything_that_can_go_wrong() {
        let mut figures = figures(&[]);
        figures.failed.count("connection refused");
        figures.broken.count("the server left without a Close frame");
        figures.retries.count("connection refused");
        figures.gaps.record(5_000_000);
        figures.refused.count("Error: disk full");
        (figures.sent, figures.timed_out, figures.lost, figures.abandoned) = (10, 2, 3, 4);
        let report = Report::new(&options(Some(5.0)), &figures, 6);
        assert_eq!(
            report.fault().unwrap(),
            "1 connection not made, 1 connection lost, 1 ping refused, 2 pings without a reply in time"
        );
        assert_eq!(
            report.text(PATIENCE, false),
            "--- ws://server bench ---\n\
             connections: 3 asked, 0 made, 1 failed, 1 lost\n  \
             1 not made: connection refused\n  \
             1 lost: the server left without a Close frame\n  \
             1 tried again in vain: connection refused\n  \
             1 made again, gone min/avg/p50/p99/max = 5.000/5.000/5.000/5.000/5.000 ms\n\
             pings: 10 sent, 0 received in 2.0 s, 0.0 a second\n  \
             1 refused: Error: disk full\n  \
             2 without a reply within 10s (PONG_TIMEOUT)\n  \
             3 lost with their connection\n  \
             4 on their way at the end\n  \
             6 due but not sent\n\
             at 5 pings a second; each round trip counts from when the ping was due (corrected for coordinated omission)\n"
        );
    }

    #[test]
    fn a_run_without_replies_is_a_fault() {
        let report = Report::new(&options(None), &figures(&[]), 0);
        assert_eq!(report.fault().unwrap(), "no ping was answered");
    }

    proptest! {
        #[test]
        fn the_json_has_the_same_figures(
            nanos in prop::collection::vec(1..1_000_000_000_u64, 0..50),
            cause in any::<String>(),
            unsent in any::<u64>(),
        ) {
            let mut figures = figures(&nanos);
            figures.refused.count(&cause);
            let json = Report::new(&options(Some(9.5)), &figures, unsent).json().unwrap();
            prop_assert_eq!(json.lines().count(), 1);
            let json: Value = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(&json["pings"]["received"], nanos.len());
            prop_assert_eq!(&json["pings"]["unsent"], unsent);
            prop_assert_eq!(&json["pings"]["refused_by_cause"][&cause], 1);
            prop_assert_eq!(&json["rate_per_second"], 9.5);
            let slowest = nanos.iter().max().map(|&nanos| nanos as f64 / 1000.0);
            prop_assert_eq!(json["round_trip_us"]["max"].as_f64(), slowest);
        }
    }
}
