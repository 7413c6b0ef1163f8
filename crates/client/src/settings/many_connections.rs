//! The settings that the modes with many connections share.

use std::io;
use std::net::{IpAddr, UdpSocket};
use std::time::Duration;

use clap::Args;
use program::descriptors;
use program::values::seconds;

use crate::net::source::Sources;

/// Descriptors reserved for other uses than connections: streams, event loops, signals.
const OWN: u64 = 64;

/// The local addresses of connections.
#[derive(Args, Clone, Debug)]
pub(super) struct SourceArgs {
    /// Addresses of this machine to connect from, in turn, separated by commas
    /// [default: the system's choice, and 127.0.0.1, .2, ... for many connections to 127.0.0.1]
    #[arg(long, value_name = "ADDRESSES", value_delimiter = ',', value_parser = address)]
    source: Vec<IpAddr>,
}

impl SourceArgs {
    /// The addresses for this many connections.
    pub(super) fn sources(&self, connections: u64) -> Sources {
        Sources::new(self.source.clone(), connections)
    }
}

/// Checks that this many connections can be open at once, beside `others` that the mode itself
/// needs. Raises the descriptor limit of the process as far as allowed.
///
/// # Errors
/// What is allowed, if the limit is too low for the connections.
pub(super) fn check(connections: u64, others: u64) -> Result<(), String> {
    let limit = descriptors::raise_limit() as u64;
    let most = limit.saturating_sub(OWN + others);
    if most == 0 {
        return Err(format!(
            "the descriptor limit of this process, {limit}, is too low for any connection: raise that (ulimit -n) to {} for --connections {connections}",
            connections + OWN + others
        ));
    }
    if connections > most {
        return Err(format!(
            "--connections is \"{connections}\", but allowed is a number up to {most} under the descriptor limit of this process: raise that (ulimit -n)"
        ));
    }
    Ok(())
}

/// A number of connections.
pub(super) fn connections(text: &str) -> Result<u64, String> {
    let number = text.parse().ok().filter(|&number| (1..=u64::from(u32::MAX)).contains(&number));
    number.ok_or_else(|| "allowed is a whole number from 1, such as 1000".into())
}

/// An address of this machine.
pub(super) fn address(text: &str) -> Result<IpAddr, String> {
    let address = text.parse().ok().filter(|&address| is_own(address));
    address.ok_or_else(|| {
        "allowed are addresses of this machine, separated by commas, such as 127.0.0.2,127.0.0.3"
            .into()
    })
}

/// Whether this machine has the address: a socket can be bound to it.
fn is_own(address: IpAddr) -> bool {
    let taken = UdpSocket::bind((address, 0));
    !matches!(taken, Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable)
}

/// `10s`, `500ms`, `2m`, or a number of seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = [("ms", 0.001), ("s", 1.0), ("m", 60.0)]
        .into_iter()
        .find_map(|(suffix, unit)| Some((text.strip_suffix(suffix)?, unit)))
        .unwrap_or((text, 1.0));
    let number = number.parse::<f64>().ok();
    number
        .and_then(|number| seconds(&(number * unit).to_string()).ok())
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
            ("86400000ms", 86_400_000),
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
        }
        assert_eq!(connections("19000"), Ok(19_000));
    }

    #[test]
    fn sources_are_addresses_of_this_machine() {
        for text in ["127.0.0.1", "127.0.0.2"] {
            assert_eq!(address(text), text.parse().map_err(|_| String::new()), "{text}");
        }
        // Addresses of networks for documentation (RFC 5737).
        for text in ["192.0.2.1", "203.0.113.9", "localhost", ""] {
            assert!(address(text).unwrap_err().starts_with("allowed are addresses"), "{text}");
        }
    }

    #[test]
    fn an_error_about_connections_shows_the_number_that_was_given() {
        let error = check(u32::MAX.into(), 1).unwrap_err();
        assert!(error.starts_with("--connections is \"4294967295\", but allowed"), "{error}");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = (connections(&text), duration(&text), address(&text));
        }
    }
}
