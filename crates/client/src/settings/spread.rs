//! The settings of `client spread`.

use std::time::Duration;

use clap::Args;

use crate::net::Endpoint;
use crate::probe::spread::Options;

/// The arguments of `client spread` alone.
#[derive(Args, Clone, Debug)]
pub(super) struct SpreadArgs {
    /// Server [default: that of --server-url]
    #[arg(value_name = "URL")]
    pub(super) url: Option<String>,
}

impl SpreadArgs {
    /// The probe that was asked for.
    ///
    /// # Errors
    /// Which argument is wrong, with its value and what is allowed.
    pub(super) fn options(
        &self,
        endpoint: Endpoint,
        patience: Duration,
        json: bool,
    ) -> Result<Options, String> {
        Ok(Options { endpoint, patience, json })
    }
}
