//! The settings of `client idle`.

use std::time::Duration;

use clap::Args;

use super::many_connections::duration;
use crate::net::Endpoint;
use crate::probe::idle::Options;

/// Lower bound of `--max`.
const LEAST: Duration = Duration::from_secs(1);

/// Upper bound of `--max`.
const MOST: Duration = Duration::from_secs(2 * 3600);

/// The arguments of `client idle`.
#[derive(Args, Clone, Debug)]
pub(super) struct IdleArgs {
    /// Server [default: that of --server-url]
    #[arg(value_name = "URL")]
    pub(super) url: Option<String>,

    /// Longest timeout to look for; the probe ends sooner if it finds one
    #[arg(long, value_name = "TIME", default_value = "6m", value_parser = longest)]
    max: Duration,
}

impl IdleArgs {
    /// The probe of `endpoint`.
    pub(super) fn options(&self, endpoint: Endpoint, patience: Duration, json: bool) -> Options {
        Options { endpoint, patience, max: self.max, json }
    }
}

fn longest(text: &str) -> Result<Duration, String> {
    let time = duration(text).ok().filter(|time| (LEAST..=MOST).contains(time));
    time.ok_or_else(|| "allowed is a time from 1s to 120m, such as 20s or 6m".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_timeout_has_bounds() {
        for (text, seconds) in [("1s", 1), ("20s", 20), ("6m", 360), ("120m", 7200), ("90", 90)] {
            assert_eq!(longest(text), Ok(Duration::from_secs(seconds)));
        }
        for text in ["", "0", "0.5s", "121m", "-1s", "long"] {
            assert!(longest(text).is_err(), "{text}");
        }
    }
}
