//! The limit of open file descriptors.

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;
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
    let mut opened = Vec::new();
    while opened.len() < number {
        match eventfd(0, EventfdFlags::CLOEXEC) {
            Ok(descriptor) => opened.push(descriptor),
            Err(Errno::MFILE) => {
                let needed = limit - opened.len() + number;
                return Err(format!(
                    "the limit of {limit} file descriptors is too low, {needed} are needed: raise it (ulimit -n)"
                ));
            }
            Err(error) => return Err(format!("cannot open a file descriptor: {error}")),
        }
    }
    Ok(())
}
