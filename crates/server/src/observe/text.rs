//! The metrics in the text format of Prometheus.

use std::io;

use procfs::process::{LimitValue, Process};
use procfs::{ProcResult, WithCurrentSystemInfo};
use prometheus::proto::{Bucket, Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Encoder, TextEncoder};

use super::metrics::Deflated;
use super::{Cause, Metrics, ServiceMetrics};
use crate::tally::{Histogram, Tally};

/// The `Content-Type` of the text.
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// Nanoseconds in a second.
const NANOS: f64 = 1e9;

impl Metrics {
    /// All metrics as text.
    ///
    /// # Errors
    /// When the encoder refuses a metric; it does so for invalid names.
    pub fn text(&self) -> io::Result<String> {
        let mut families = self.families();
        // Without /proc only the metrics of the process are missing.
        families.extend(process().unwrap_or_default());
        let mut text = Vec::new();
        TextEncoder::new().encode(&families, &mut text).map_err(io::Error::other)?;
        String::from_utf8(text).map_err(io::Error::other)
    }

    fn families(&self) -> Vec<MetricFamily> {
        let log = self.journal.metrics();
        let version = labelled("version", env!("CARGO_PKG_VERSION"), gauge(1.0));
        let by_service = |metric: fn(f64) -> Metric, tally: fn(&ServiceMetrics) -> &Tally| {
            self.services.iter().enumerate().map(move |(number, path)| {
                let sum = self.sum(|worker| tally(worker.service(number)));
                labelled("service", path, metric(sum as f64))
            })
        };
        let by_direction = |tally: fn(&Deflated) -> &Tally| {
            [
                ("received", self.sum(|worker| tally(&worker.received_deflated))),
                ("sent", self.sum(|worker| tally(&worker.sent_deflated))),
            ]
            .map(|(direction, bytes)| labelled("direction", direction, counter(bytes as f64)))
        };
        let by_cause = Cause::ALL
            .map(|(cause, label)| labelled("cause", label, counter(self.errors.get(cause) as f64)));
        vec![
            family(GAUGE, "websockets_build_info", "The version of the server.", [version]),
            family(
                GAUGE,
                "websockets_max_connections",
                "Most connections at a time.",
                [gauge(self.occupancy.max() as f64)],
            ),
            family(
                GAUGE,
                "websockets_connections",
                "Connections at present.",
                by_service(gauge, |service| &service.open),
            ),
            family(
                COUNTER,
                "websockets_connections_total",
                "Connections so far, without those of server healthcheck.",
                by_service(counter, |service| &service.opened),
            ),
            family(
                COUNTER,
                "websockets_messages_total",
                "Messages from clients.",
                by_service(counter, |service| &service.messages),
            ),
            family(
                COUNTER,
                "websockets_received_bytes_total",
                "Bytes from clients, without the handshakes.",
                [counter(self.sum(|worker| &worker.received_bytes) as f64)],
            ),
            family(
                COUNTER,
                "websockets_sent_bytes_total",
                "Bytes to clients, without the handshakes.",
                [counter(self.sum(|worker| &worker.sent_bytes) as f64)],
            ),
            family(
                COUNTER,
                "websockets_compressed_connections_total",
                "Connections so far that agreed on permessage-deflate.",
                [counter(self.sum(|worker| &worker.deflated_connections) as f64)],
            ),
            family(
                COUNTER,
                "websockets_compressed_bytes_total",
                "Compressed messages, as they were on the way.",
                by_direction(|deflated| &deflated.compressed),
            ),
            family(
                COUNTER,
                "websockets_uncompressed_bytes_total",
                "The same messages before they were compressed, or after they were decompressed.",
                by_direction(|deflated| &deflated.plain),
            ),
            family(COUNTER, "websockets_errors_total", "What went wrong, by its cause.", by_cause),
            family(
                COUNTER,
                "websockets_pings_total",
                "Pings that were written to the log.",
                [counter(log.pings.get() as f64)],
            ),
            family(
                COUNTER,
                "websockets_pings_not_recorded_total",
                "Pings that could not be written to the log, and got an error.",
                [counter(log.refused.get() as f64)],
            ),
            family(
                GAUGE,
                "websockets_log_writable",
                "1 if the log can be written, 0 if not.",
                [gauge(f64::from(u8::from(self.journal.check().is_ok())))],
            ),
            family(
                HISTOGRAM,
                "websockets_log_write_seconds",
                "Time that a write to the log took.",
                [histogram(&log.write_nanos, NANOS)],
            ),
            family(
                HISTOGRAM,
                "websockets_log_commit_pings",
                "Pings in a write to the log.",
                [histogram(&log.commit_pings, 1.0)],
            ),
            family(
                COUNTER,
                "websockets_stdout_lines_left_out_total",
                "Lines of the log that were left out on stdout.",
                [counter(self.journal.left_out() as f64)],
            ),
        ]
    }
}

/// Metrics of the process from /proc, under the names that Prometheus's client libraries use.
fn process() -> ProcResult<Vec<MetricFamily>> {
    let process = Process::myself()?;
    let stat = process.stat()?;
    let ticks = procfs::ticks_per_second() as f64;
    let max_fds = match process.limits()?.max_open_files.soft_limit {
        LimitValue::Value(limit) => limit as f64,
        LimitValue::Unlimited => f64::INFINITY,
    };
    let cpu = (stat.utime + stat.stime) as f64 / ticks;
    let resident = stat.rss_bytes().get() as f64;
    let started = procfs::boot_time_secs()? as f64 + stat.starttime as f64 / ticks;
    let figures = [
        (COUNTER, "process_cpu_seconds_total", "Processor time in seconds.", cpu),
        (GAUGE, "process_open_fds", "Open file descriptors.", process.fd_count()? as f64),
        (GAUGE, "process_max_fds", "Most open file descriptors.", max_fds),
        (GAUGE, "process_resident_memory_bytes", "Resident memory in bytes.", resident),
        (GAUGE, "process_virtual_memory_bytes", "Virtual memory in bytes.", stat.vsize as f64),
        (GAUGE, "process_threads", "Threads.", stat.num_threads as f64),
        (
            GAUGE,
            "process_start_time_seconds",
            "Start of the process since the Unix epoch in seconds.",
            started,
        ),
    ];
    Ok(figures
        .map(|(kind, name, help, value)| {
            let metric = if kind == COUNTER { counter(value) } else { gauge(value) };
            family(kind, name, help, [metric])
        })
        .into())
}

const COUNTER: MetricType = MetricType::COUNTER;
const GAUGE: MetricType = MetricType::GAUGE;
const HISTOGRAM: MetricType = MetricType::HISTOGRAM;

fn family(
    kind: MetricType,
    name: &str,
    help: &str,
    metrics: impl IntoIterator<Item = Metric>,
) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_field_type(kind);
    family.set_name(name.into());
    family.set_help(help.into());
    family.set_metric(metrics.into_iter().collect());
    family
}

fn labelled(name: &str, value: &str, mut metric: Metric) -> Metric {
    let mut label = LabelPair::default();
    label.set_name(name.into());
    label.set_value(value.into());
    metric.set_label(vec![label]);
    metric
}

fn gauge(value: f64) -> Metric {
    let mut gauge = Gauge::default();
    gauge.set_value(value);
    Metric::from_gauge(gauge)
}

fn counter(value: f64) -> Metric {
    let mut counter = Counter::default();
    counter.set_value(value);
    let mut metric = Metric::default();
    metric.set_counter(counter);
    metric
}

/// The metric of a histogram, with bounds and sum divided by `unit`.
fn histogram<const BOUNDS: usize>(values: &Histogram<BOUNDS>, unit: f64) -> Metric {
    let bucket = |(bound, count): (u64, u64)| {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(bound as f64 / unit);
        bucket.set_cumulative_count(count);
        bucket
    };
    let mut histogram = prometheus::proto::Histogram::default();
    histogram.set_bucket(values.cumulative().map(bucket).collect());
    histogram.set_sample_count(values.count());
    histogram.set_sample_sum(values.sum() as f64 / unit);
    let mut metric = Metric::default();
    metric.set_histogram(histogram);
    metric
}
