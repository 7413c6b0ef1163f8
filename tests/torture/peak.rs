//! Memory, descriptors and connections of a server before and after a part.

use crate::support::process::Process;
use crate::support::{TestServer, wait_until};

/// Growth that is not a leak, in bytes: memory of a peak that the allocator keeps for later.
const KEPT: u64 = 64 << 20;

/// The resources of a server before a part.
#[derive(Debug)]
pub(crate) struct Before {
    memory: u64,
    descriptors: usize,
}

impl Before {
    /// The resources of `server` after its first ping.
    #[track_caller]
    pub(crate) fn of(server: &TestServer) -> Self {
        server.assert_serves();
        server.get("/metrics");
        Self { memory: server.memory(), descriptors: server.descriptors() }
    }

    /// Memory before, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        self.memory
    }

    /// Fails if the server has ever grown by more than `growth` bytes.
    #[track_caller]
    pub(crate) fn assert_peak(&self, server: &TestServer, growth: u64) {
        let grown = peak_memory(server).saturating_sub(self.memory);
        assert!(grown < growth, "the server grew by {grown} bytes, allowed are {growth}");
    }

    /// Waits until all connections are closed and everything is given back. Returns the memory before,
    /// at the peak and after, in bytes.
    #[track_caller]
    pub(crate) fn comes_back(&self, server: &TestServer) -> [u64; 3] {
        wait_until("no connection is open", || open_connections(server) == 0.0);
        wait_until("all descriptors are closed", || server.descriptors() <= self.descriptors);
        let held = [self.memory, peak_memory(server), server.memory()];
        assert!(held[2] < self.memory + KEPT, "before, at the peak and after: {held:?}");
        held
    }
}

/// The connections of all services, according to `/metrics`.
#[track_caller]
fn open_connections(server: &TestServer) -> f64 {
    let text = server.get("/metrics").body;
    let samples = text.lines().filter(|line| line.starts_with("websockets_connections{"));
    samples.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
}

/// The most memory that a process has held, in bytes.
pub(crate) fn peak_memory(process: &Process) -> u64 {
    process.status_bytes("VmHWM:")
}
