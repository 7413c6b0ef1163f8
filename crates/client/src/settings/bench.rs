//! The settings of `client bench`.

use std::net::IpAddr;
use std::time::Duration;

use clap::Args;
use program::descriptors;
use program::values::seconds;

use crate::bench::Options;
use crate::net::Endpoint;

/// Descriptors that are not connections: streams, event loops, signals.
const OWN: u64 = 64;

/// Most pings that may be on their way over one connection.
const IN_FLIGHT_CEILING: u32 = 65_536;

/// Most threads that may be asked for.
const THREAD_CEILING: usize = 1024;

/// The arguments of `client bench`.
#[derive(Args, Clone, Debug)]
pub(super) struct BenchArgs {
    /// Server to measure [default: that of --server-url]
    #[arg(value_name = "URL")]
    pub(super) url: Option<String>,

    /// Connections to hold
    #[arg(long, value_name = "NUMBER", default_value = "64", value_parser = connections)]
    connections: u64,

    /// Pings to keep on their way over each connection
    #[arg(long, value_name = "NUMBER", default_value = "1", value_parser = in_flight)]
    in_flight: u32,

    /// How long to ping, after all connections are made
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    duration: Duration,

    /// Pings a second over all connections; round trips then count from when a ping was due
    /// [default: each reply sends the next ping]
    #[arg(long, value_name = "NUMBER", value_parser = rate)]
    rate: Option<f64>,

    /// Threads that ping
    #[arg(long, value_name = "NUMBER", default_value = "1", value_parser = threads)]
    threads: usize,

    /// Addresses of this machine to connect from, in turn, separated by commas
    /// [default: the system's choice, and 127.0.0.1, .2, ... for many connections to 127.0.0.1]
    #[arg(long, value_name = "ADDRESSES", value_delimiter = ',', value_parser = address)]
    source: Vec<IpAddr>,

    /// Leaves a connection alone that is lost [default: makes it again, and counts the gap]
    #[arg(long)]
    no_reconnect: bool,
}

impl BenchArgs {
    /// The load to put on `endpoint`. Raises the descriptor limit of the process as far as allowed.
    ///
    /// # Errors
    /// What is allowed, if the limit is too low for the connections.
    pub(super) fn options(
        &self,
        endpoint: Endpoint,
        client_name: String,
        patience: Duration,
        json: bool,
    ) -> Result<Options, String> {
        let most = (descriptors::raise_limit() as u64).saturating_sub(OWN);
        if self.connections > most {
            return Err(format!(
                "--connections is \"{}\", but allowed is a number up to {most} under the descriptor limit of this process: raise that (ulimit -n)",
                self.connections
            ));
        }
        Ok(Options {
            endpoint,
            client_name,
            patience,
            connections: self.connections,
            in_flight: self.in_flight,
            duration: self.duration,
            rate: self.rate,
            threads: self.threads,
            sources: self.source.clone(),
            reconnects: !self.no_reconnect,
            json,
        })
    }
}

fn connections(text: &str) -> Result<u64, String> {
    let number = text.parse().ok().filter(|&number| (1..=u64::from(u32::MAX)).contains(&number));
    number.ok_or_else(|| "allowed is a whole number from 1, such as 1000".into())
}

fn in_flight(text: &str) -> Result<u32, String> {
    let number = text.parse().ok().filter(|number| (1..=IN_FLIGHT_CEILING).contains(number));
    number.ok_or_else(|| format!("allowed is a whole number from 1 to {IN_FLIGHT_CEILING}"))
}

fn threads(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=THREAD_CEILING).contains(number));
    number.ok_or_else(|| format!("allowed is a whole number from 1 to {THREAD_CEILING}"))
}

fn rate(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|rate| (0.001..=1e8).contains(rate));
    number.ok_or_else(|| {
        "allowed is a number of pings a second from 0.001 to 100000000, such as 5000".into()
    })
}

fn address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| {
        "allowed are addresses of this machine, separated by commas, such as 127.0.0.2,127.0.0.3"
            .into()
    })
}

/// `10s`, `500ms`, `2m`, or a number of seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = [("ms", 0.001), ("s", 1.0), ("m", 60.0)]
        .into_iter()
        .find_map(|(suffix, unit)| Some((text.strip_suffix(suffix)?, unit)))
        .unwrap_or((text, 1.0));
    seconds(number)
        .ok()
        .map(|time| time.as_secs_f64() * unit)
        .and_then(|time| seconds(&time.to_string()).ok())
        .filter(|time| !time.is_zero())
        .ok_or_else(|| "allowed is a time above 0, up to a year, such as 10s, 500ms or 2m".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_have_units() {
        for (text, millis) in [
            ("10s", 10_000),
            ("500ms", 500),
            ("2m", 120_000),
            ("3", 3000),
            ("0.5", 500),
            ("1.5s", 1500),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in
            ["", "s", "ms", "0", "0s", "-1s", "10x", "10 s", "nan", "inf", "1h", "999999999m"]
        {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_have_bounds() {
        for text in ["", "0", "-1", "1.5", "many", "99999999999"] {
            assert!(connections(text).is_err(), "{text}");
            assert!(in_flight(text).is_err(), "{text}");
            assert!(threads(text).is_err(), "{text}");
        }
        for text in ["", "0", "-1", "nan", "inf", "fast", "1e9"] {
            assert!(rate(text).is_err(), "{text}");
        }
        assert_eq!(connections("19000"), Ok(19_000));
        assert_eq!(in_flight("16"), Ok(16));
        assert_eq!(rate("0.5"), Ok(0.5));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = (connections(&text), in_flight(&text), duration(&text), rate(&text), address(&text));
        }
    }
}
