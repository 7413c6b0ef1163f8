//! The limit of open file descriptors.

use rustix::event::{EventfdFlags, eventfd};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit of the process as far as the system lets it, and returns the limit.
#[must_use]
pub fn raise_limit() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    current.map_or(usize::MAX, |current| usize::try_from(current).unwrap_or(usize::MAX))
}

/// Raises the limit, and makes sure that `number` descriptors can be opened. Some libraries panic
/// without a descriptor.
///
/// # Errors
/// If fewer descriptors are left; the error says what to do.
pub fn require(number: usize) -> Result<(), String> {
    let limit = raise_limit();
    let opened: Result<Vec<_>, _> =
        (0..number).map(|_| eventfd(0, EventfdFlags::CLOEXEC)).collect();
    opened.map(drop).map_err(|error| {
        format!(
            "cannot open the {number} file descriptors that it takes to start: {error}; this process may have {limit}: raise that (ulimit -n)"
        )
    })
}
