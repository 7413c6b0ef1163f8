//! The settings of `client bench`.

use std::time::Duration;

use clap::Args;

use super::many_connections::{self, SourceArgs, connections, duration};
use crate::bench::Options;
use crate::net::Endpoint;

/// Upper bound of `--in-flight`.
const IN_FLIGHT_CEILING: u32 = 65_536;

/// Upper bound of `--threads`.
const THREAD_CEILING: u32 = 1024;

/// The arguments of `client bench`.
#[derive(Args, Clone, Debug)]
pub(super) struct BenchArgs {
    /// Server to measure [default: that of --server-url]
    #[arg(value_name = "URL")]
    pub(super) url: Option<String>,

    /// Connections to hold
    #[arg(long, value_name = "NUMBER", default_value = "64", value_parser = connections)]
    connections: u64,

    /// Pings in flight over each connection
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
    threads: u32,

    #[command(flatten)]
    source: SourceArgs,

    /// Does not reconnect [default: opens a lost connection again, and measures the gap]
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
        many_connections::check(self.connections, 0)?;
        Ok(Options {
            endpoint,
            client_name,
            patience,
            connections: self.connections,
            in_flight: self.in_flight,
            duration: self.duration,
            rate: self.rate,
            threads: self.threads,
            sources: self.source.sources(self.connections),
            reconnects: !self.no_reconnect,
            json,
        })
    }
}

fn in_flight(text: &str) -> Result<u32, String> {
    up_to(IN_FLIGHT_CEILING, text)
}

fn threads(text: &str) -> Result<u32, String> {
    up_to(THREAD_CEILING, text)
}

fn up_to(ceiling: u32, text: &str) -> Result<u32, String> {
    let number = text.parse().ok().filter(|number| (1..=ceiling).contains(number));
    number.ok_or_else(|| format!("allowed is a whole number from 1 to {ceiling}"))
}

fn rate(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|rate| (0.001..=1e8).contains(rate));
    number.ok_or_else(|| {
        "allowed is a number of pings a second from 0.001 to 100000000, such as 5000".into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_have_bounds() {
        for text in ["", "0", "-1", "1.5", "many", "99999999999"] {
            assert!(in_flight(text).is_err(), "{text}");
            assert!(threads(text).is_err(), "{text}");
        }
        for text in ["", "0", "-1", "nan", "inf", "fast", "1e9"] {
            assert!(rate(text).is_err(), "{text}");
        }
        assert_eq!(in_flight("16"), Ok(16));
        assert_eq!(rate("0.5"), Ok(0.5));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = (in_flight(&text), rate(&text));
        }
    }
}
