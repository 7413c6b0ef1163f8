//! The settings of `client spread`.

use std::net::IpAddr;
use std::time::Duration;

use clap::Args;

use super::many_connections::{address, check, connections};
use crate::net::Endpoint;
use crate::probe::instances::NameSource;
use crate::probe::spread::Options;

/// The arguments of `client spread`.
#[derive(Args, Clone, Debug)]
pub(super) struct SpreadArgs {
    /// Server [default: that of --server-url]
    #[arg(value_name = "URL")]
    pub(super) url: Option<String>,

    /// Connections to make
    #[arg(short = 'n', long, value_name = "NUMBER", default_value = "200", value_parser = connections)]
    connections: u64,

    /// Part of the answer that names the server: header:NAME, cookie:NAME, or message:PATTERN for the part
    /// of the first message where PATTERN has a *, as in `message:[*]`
    /// [default: the hello of /probe, the greeting of /ws, or any part that differs]
    #[arg(long, value_name = "WHAT", value_parser = str::parse::<NameSource>)]
    by: Option<NameSource>,

    /// Fewest servers that have to answer for a good verdict
    #[arg(long, value_name = "NUMBER", default_value = "2", value_parser = connections)]
    expect: u64,

    /// Addresses of this machine, separated by commas, that show whether the balancer goes by the
    /// address of the client [default: some of 127.0.0.0/8 for a server at a loopback address]
    #[arg(long, value_name = "ADDRESSES", value_delimiter = ',', value_parser = address)]
    source: Vec<IpAddr>,
}

impl SpreadArgs {
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
        check(self.connections, 0)?;
        let Self { connections, by, expect, source, .. } = self.clone();
        Ok(Options { endpoint, patience, json, connections, by, expect, sources: source })
    }
}
