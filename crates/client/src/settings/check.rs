//! The settings of `client check`.

use std::time::Duration;

use clap::Args;

use crate::net::Endpoint;
use crate::probe::check::Options;

/// The arguments of `client check` alone.
#[derive(Args, Clone, Debug)]
pub(super) struct CheckArgs {
    /// Server [default: that of --server-url]
    #[arg(value_name = "URL")]
    pub(super) url: Option<String>,
}

impl CheckArgs {
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
