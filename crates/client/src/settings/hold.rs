//! The settings of `client hold`.

use std::time::Duration;

use clap::Args;

use crate::net::Endpoint;
use crate::probe::hold::Options;

/// The arguments of `client hold` alone.
#[derive(Args, Clone, Debug)]
pub(super) struct HoldArgs {
    /// Server [default: that of --server-url]
    #[arg(value_name = "URL")]
    pub(super) url: Option<String>,
}

impl HoldArgs {
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
