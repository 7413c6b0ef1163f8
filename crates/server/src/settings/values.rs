//! Value parsers of the server's settings. Their errors say what is allowed.

use std::ops::RangeInclusive;
use std::str::FromStr;

use program::values::bytes;

use crate::service::Service;

/// Largest value of `MAX_MESSAGE`, in bytes.
const MESSAGE_CEILING: u64 = 1 << 30;

/// Most workers that may be asked for.
const WORKER_CEILING: usize = 1024;

/// A number of rotated logs.
pub(super) fn keep(text: &str) -> Result<u32, String> {
    number(text, 1..=u32::MAX)
        .ok_or_else(|| format!("allowed is a whole number from 1 to {}", u32::MAX))
}

/// A number of workers.
pub(super) fn workers(text: &str) -> Result<usize, String> {
    number(text, 1..=WORKER_CEILING)
        .ok_or_else(|| format!("allowed is a whole number from 1 to {WORKER_CEILING}"))
}

/// A number of connections.
pub(super) fn connections(text: &str) -> Result<usize, String> {
    number(text, 1..=usize::MAX)
        .ok_or_else(|| format!("allowed is a whole number from 1 to {}", usize::MAX))
}

/// The size of a message, in bytes.
pub(super) fn message_size(text: &str) -> Result<usize, String> {
    bytes(text)
        .ok()
        .filter(|&bytes| bytes <= MESSAGE_CEILING)
        .and_then(|bytes| usize::try_from(bytes).ok())
        .ok_or_else(|| "allowed is a number of bytes from 1 to 1G, such as 65536 or 64K".into())
}

/// A size in memory, in bytes.
pub(super) fn memory_size(text: &str) -> Result<usize, String> {
    bytes(text).and_then(|bytes| usize::try_from(bytes).map_err(|error| error.to_string()))
}

/// A service, by its path.
pub(super) fn service(path: &str) -> Result<Service, String> {
    Service::at(path).ok_or_else(|| {
        let paths: Vec<_> = Service::all().map(Service::path).collect();
        format!("allowed is the path of a service: {}", paths.join(", "))
    })
}

fn number<N: FromStr + PartialOrd>(text: &str, allowed: RangeInclusive<N>) -> Option<N> {
    text.parse().ok().filter(|number| allowed.contains(number))
}
