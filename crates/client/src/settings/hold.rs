//! The settings of `client hold`.

use std::time::Duration;

use clap::Args;

use super::many_connections::{SourceArgs, check, connections, duration};
use crate::net::Endpoint;
use crate::probe::hold::Options;
use crate::probe::instances::NameSource;

/// The arguments of `client hold`.
#[derive(Args, Clone, Debug)]
pub(super) struct HoldArgs {
    /// Server [default: that of --server-url]
    #[arg(value_name = "URL")]
    pub(super) url: Option<String>,

    /// Connections to hold
    #[arg(short = 'n', long, value_name = "NUMBER", default_value = "500", value_parser = connections)]
    connections: u64,

    /// How long to hold them [default: until Ctrl-C]
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    limit: Option<Duration>,

    /// Ends when nothing has changed for this long after a change [60s without a TIME]
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "60s", value_parser = quiet)]
    until_quiet: Option<Duration>,

    /// Longest time without a reply for a good verdict [default: no connection may be lost]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    max_gap: Option<Duration>,

    /// Part of the answer that names the server: header:NAME, cookie:NAME, or message:PATTERN for the part
    /// of the first message where PATTERN has a *, as in `message:[*]`
    /// [default: the hello of /probe, the greeting of /ws, or a header that names one]
    #[arg(long, value_name = "WHAT", value_parser = str::parse::<NameSource>)]
    by: Option<NameSource>,

    #[command(flatten)]
    source: SourceArgs,
}

impl HoldArgs {
    /// The probe of `endpoint`. Raises the descriptor limit of the process as far as allowed.
    ///
    /// # Errors
    /// What is allowed, if the limit is too low for the connections.
    pub(super) fn options(
        &self,
        endpoint: Endpoint,
        patience: Duration,
        json: bool,
    ) -> Result<Options, String> {
        // One more: the probe opens a further connection each second.
        check(self.connections, 1)?;
        Ok(Options {
            endpoint,
            patience,
            json,
            connections: self.connections,
            by: self.by.clone(),
            sources: self.source.sources(self.connections),
            limit: self.limit,
            quiet: self.until_quiet,
            max_gap: self.max_gap,
        })
    }
}

/// A time. A URL after `--until-quiet` is read as its value, so the error says how to avoid that.
fn quiet(text: &str) -> Result<Duration, String> {
    duration(text).map_err(|allowed| match text.contains("://") {
        true => format!("{allowed}; the URL stands before --until-quiet"),
        false => allowed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_about_a_url_behind_the_option_says_how_to_avoid_it() {
        assert_eq!(quiet("5s"), Ok(Duration::from_secs(5)));
        assert!(!quiet("soon").unwrap_err().contains("URL"));
        assert!(
            quiet("ws://localhost").unwrap_err().ends_with("the URL stands before --until-quiet")
        );
    }
}
