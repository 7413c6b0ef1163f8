//! The settings of pinging, with the names of the options of ping(8).

use std::time::Duration;

use clap::Args;
use program::values::seconds;

use super::some_seconds;
use crate::net::Endpoint;
use crate::ping::Options;
use crate::ping::condition::Conditions;
use crate::ping::limits::Limits;
use crate::ping::lines::Style;

/// The arguments of pinging.
#[derive(Args, Clone, Debug)]
pub(super) struct PingArgs {
    /// Time between a reply and the next ping
    #[arg(long, env, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    lag_time: Duration,

    /// The same as --lag-time
    #[arg(short = 'i', value_name = "SECONDS", value_parser = seconds, help_heading = PING)]
    interval: Option<Duration>,

    /// Pings to send; a try to connect that fails counts as well
    #[arg(short, long, value_name = "NUMBER", value_parser = count, help_heading = PING)]
    count: Option<u64>,

    /// The same as --pong-timeout
    #[arg(short = 'W', value_name = "SECONDS", value_parser = some_seconds, help_heading = PING)]
    wait: Option<Duration>,

    /// Time limit of the run, however many pings were answered
    #[arg(short = 'w', long, value_name = "SECONDS", value_parser = some_seconds, help_heading = PING)]
    deadline: Option<Duration>,

    /// Prints the statistics alone
    #[arg(short, long, help_heading = PING)]
    quiet: bool,

    /// Measures with Ping frames (RFC 6455, section 5.5.2), which every server answers
    #[arg(short, long, help_heading = PING)]
    protocol_ping: bool,

    /// Exits with 1 if one of these is so, such as loss>1%,p99>200ms,outage>5s,cuts>0
    #[arg(long, value_name = "CONDITIONS", value_parser = str::parse::<Conditions>, help_heading = PING)]
    fail_if: Option<Conditions>,

    /// Address at which Prometheus gets the metrics of the pings
    #[arg(long, env, value_name = "HOST:PORT", value_parser = address, help_heading = PING)]
    metrics_listen: Option<String>,
}

/// Heading of these options in the help.
const PING: &str = "Options of pinging";

impl PingArgs {
    /// The pings to send to `endpoint`.
    pub(super) fn options(
        &self,
        endpoint: Endpoint,
        client_name: String,
        pong_timeout: Duration,
        is_json: bool,
    ) -> Options {
        let style = if is_json {
            Some(Style::Json)
        } else if self.quiet {
            Some(Style::Quiet)
        } else {
            self.ping8_option().map(|_| Style::Numbered)
        };
        Options {
            endpoint,
            client_name,
            lag: self.interval.unwrap_or(self.lag_time),
            pong_timeout: self.wait.unwrap_or(pong_timeout),
            style,
            limits: Limits { count: self.count, deadline: self.deadline },
            with_frames: self.protocol_ping,
            conditions: self.fail_if.clone().unwrap_or_default(),
            metrics: self.metrics_listen.clone(),
        }
    }

    /// The first given option that ping(8) has as well. Any of these numbers the replies.
    fn ping8_option(&self) -> Option<&'static str> {
        let given = [
            (self.count.is_some(), "--count"),
            (self.interval.is_some(), "-i"),
            (self.wait.is_some(), "-W"),
            (self.deadline.is_some(), "--deadline"),
            (self.quiet, "--quiet"),
            (self.protocol_ping, "--protocol-ping"),
        ];
        given.into_iter().find_map(|(is_given, name)| is_given.then_some(name))
    }

    /// The first given option that has no meaning in another mode.
    pub(super) fn only_for_pinging(&self) -> Option<&'static str> {
        self.ping8_option().or_else(|| self.fail_if.as_ref().map(|_| "--fail-if"))
    }
}

fn count(text: &str) -> Result<u64, String> {
    let number = text.parse().ok().filter(|&number| number > 0);
    number.ok_or_else(|| "allowed is a whole number from 1, such as 5".into())
}

fn address(text: &str) -> Result<String, String> {
    let is_usable = |(host, port): (&str, &str)| !host.is_empty() && port.parse::<u16>().is_ok();
    match text.rsplit_once(':').is_some_and(is_usable) {
        true => Ok(text.to_owned()),
        false => Err("allowed is an address with its port, such as 127.0.0.1:9101".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_a_number_above_0() {
        assert_eq!(count("5"), Ok(5));
        for text in ["", "0", "-1", "1.5", "many", "99999999999999999999"] {
            assert!(count(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_has_a_port() {
        for text in ["127.0.0.1:9101", "[::1]:0", "localhost:9101"] {
            assert_eq!(address(text).as_deref(), Ok(text));
        }
        for text in ["", "9101", ":9101", "localhost", "localhost:", "localhost:99999"] {
            assert!(address(text).is_err(), "{text}");
        }
    }
}
