//! The settings of `client why`.

use std::time::Duration;

use clap::Args;
use program::values::bytes;
use proto::limits::MAX_REPLY;

use crate::net::Endpoint;
use crate::probe::why::Options;

/// Upper bound of `--max-size`, in bytes. The echo of a message may be longer than the message.
const MAX: usize = MAX_REPLY / 2;

/// The arguments of `client why`.
#[derive(Args, Clone, Debug)]
pub(super) struct WhyArgs {
    /// Server [default: that of --server-url]
    #[arg(value_name = "URL")]
    pub(super) url: Option<String>,

    /// Largest message to try, which then has to pass: 128K, 1M; 0 sends no message at all
    /// [default: tries up to 1M, and no size has to pass]
    #[arg(long, value_name = "BYTES", value_parser = size)]
    max_size: Option<usize>,
}

impl WhyArgs {
    /// The probe of `endpoint`.
    pub(super) fn options(&self, endpoint: Endpoint, patience: Duration, json: bool) -> Options {
        Options { endpoint, patience, max_size: self.max_size, json }
    }
}

fn size(text: &str) -> Result<usize, String> {
    let size = if text == "0" { Ok(0) } else { bytes(text) };
    let size = size.ok().and_then(|size| usize::try_from(size).ok());
    size.filter(|size| *size <= MAX)
        .ok_or_else(|| "allowed is a number of bytes up to 8M, such as 65536 or 128K, or 0".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_a_unit_or_none() {
        for (text, bytes) in [("0", 0), ("1", 1), ("128K", 128 << 10), ("8M", 8 << 20)] {
            assert_eq!(size(text), Ok(bytes));
        }
        for text in ["", "-1", "9M", "x", "99999999999999999999"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
