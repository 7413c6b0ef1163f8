//! How many connections the descriptor limit of the process allows.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that are neither connections nor handshakes: streams, log, event loops.
const OWN: usize = 32;

/// Descriptors of each worker: its event loop.
const PER_WORKER: usize = 4;

/// How descriptors are shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// The most connections that can be upgraded.
    pub connections: usize,
    /// The most handshakes at a time in each worker.
    pub handshakes_per_worker: usize,
}

/// Raises the limit of the process as far as it may, and returns it.
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

impl Budget {
    /// Shares out `limit` descriptors; the least is one connection and one handshake a worker.
    #[must_use]
    pub fn new(limit: usize, workers: usize) -> Self {
        let handshakes_per_worker = (limit / 16 / workers).clamp(1, 256);
        let others = OWN + workers * (PER_WORKER + handshakes_per_worker);
        let most = tokio::sync::Semaphore::MAX_PERMITS;
        Self { connections: limit.saturating_sub(others).clamp(1, most), handshakes_per_worker }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_together_stays_below_the_limit() {
        for limit in [64, 100, 1024, 20_000, 1_048_576] {
            for workers in [1, 2, 4] {
                let budget = Budget::new(limit, workers);
                let handshakes = budget.handshakes_per_worker * workers;
                assert!(
                    budget.connections + handshakes + OWN <= limit,
                    "{limit} {workers} {budget:?}"
                );
            }
        }
        assert!(Budget::new(20_000, 2).connections >= 19_000);
    }
}
