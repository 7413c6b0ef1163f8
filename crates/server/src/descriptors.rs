//! How many connections the descriptor limit of the process allows.

use tokio::sync::Semaphore;

/// Descriptors that are neither connections nor handshakes: streams, log, event loops.
const OWN: usize = 32;

/// Descriptors of each worker: its runtime and its event loop.
const PER_WORKER: usize = 5;

/// How descriptors are shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// The most connections that can be upgraded.
    pub connections: usize,
    /// The most connections with their handshakes, before these have to make room.
    pub sockets: usize,
}

impl Budget {
    /// Shares out `limit` descriptors; `None` if there are too few. A part of the sockets stays
    /// free for handshakes, so that a server that is full can say so.
    #[must_use]
    pub fn new(limit: usize, workers: usize) -> Option<Self> {
        let sockets =
            limit.checked_sub(OWN + workers * PER_WORKER).filter(|&sockets| sockets >= 2)?;
        let handshakes = (sockets / 16).clamp(1, 512);
        Some(Self { connections: (sockets - handshakes).min(Semaphore::MAX_PERMITS), sockets })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_together_stays_below_the_limit() {
        for limit in [64, 100, 1024, 20_000, 1_048_576] {
            for workers in [1, 2, 4] {
                let budget = Budget::new(limit, workers).unwrap();
                assert!(budget.sockets + OWN <= limit, "{limit} {workers} {budget:?}");
                assert!(budget.connections < budget.sockets, "{limit} {workers} {budget:?}");
            }
        }
        assert!(Budget::new(20_000, 2).unwrap().connections >= 19_000);
        assert_eq!(Budget::new(64, 30), None);
    }
}
