//! Memory, descriptors and connections of a server before a part, and that they come back after.

use std::fs;

use crate::support::process::Process;
use crate::support::{TestServer, eventually};

/// Growth that is no leak, in bytes: what the allocator keeps of a peak, to use it again.
const KEPT: u64 = 64 << 20;

/// What a server held before.
#[derive(Debug)]
pub(crate) struct Before {
    memory: u64,
    descriptors: usize,
}

impl Before {
    /// What a server holds that has served.
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

    /// Waits until all connections are over and everything is given back; memory before, at the
    /// peak and after.
    #[track_caller]
    pub(crate) fn comes_back(&self, server: &TestServer) -> [u64; 3] {
        eventually("no connection is open", || (open_connections(server) == 0.0).then_some(()));
        eventually("all descriptors are closed", || {
            (server.descriptors() <= self.descriptors).then_some(())
        });
        let held = [self.memory, peak_memory(server), server.memory()];
        assert!(held[2] < self.memory + KEPT, "before, at the peak and after: {held:?}");
        held
    }
}

/// The connections of all services, as `/metrics` tells.
#[track_caller]
fn open_connections(server: &TestServer) -> f64 {
    let text = server.get("/metrics").body;
    let samples = text.lines().filter(|line| line.starts_with("websockets_connections{"));
    samples.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
}

/// The most memory that a process has held, in bytes.
pub(crate) fn peak_memory(process: &Process) -> u64 {
    let status = format!("/proc/{}/status", process.pid().as_raw_nonzero());
    let status = fs::read_to_string(status).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    1024 * line.trim_end_matches("kB").trim().parse::<u64>().expect("a number")
}
