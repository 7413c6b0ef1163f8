//! A server under load for a long time, beside a client that measures round trips: memory and
//! descriptors do not grow.

use std::fs;
use std::thread;
use std::time::Duration;

use rand::RngExt;
use rustix::process::Signal;

use crate::bystander::Bystander;
use crate::peak::peak_memory;
use crate::run::Run;
use crate::support::{Load, Log, TestServer, wait_until};

/// Growth of the memory that is not yet a leak, in bytes.
const GROWTH: u64 = 16 << 20;

#[test]
#[ignore = "takes long: README.md in its folder"]
fn soak() {
    let mut run = Run::begin("soak");
    let mut server = TestServer::builder()
        .env("WORKERS", "2")
        .env("LOG_MAX_BYTES", "1M")
        .env("LOG_SYNC", ["everysec", "always"][run.rng.random_range(0..2)])
        .start();
    server.assert_serves();
    let (memory, descriptors) = (server.memory(), server.descriptors());
    let innocent = Bystander::innocent(server.address());
    while run.goes_on() {
        // Clients come and go, each for a part of a second.
        let (clients, in_flight) = (run.rng.random_range(1..50), run.rng.random_range(1..16));
        let prefix = format!("R{}", run.figures.rounds);
        let load = Load::start(server.address(), &prefix, clients, in_flight);
        load.wait_for(1);
        thread::sleep(Duration::from_millis(run.rng.random_range(0..500)));
        let moved = server.dir().join(format!("server_logs.moved.{}", run.figures.rounds));
        // In the middle of a rotation there is no file for a moment.
        if fs::rename(server.log_path(), &moved).is_ok() {
            server.signal(Signal::HUP);
            wait_until("the file is made again", || server.log_path().exists());
        }
        let tallies = load.finish();
        run.settle(&tallies, server.dir());
        // Lines of the innocent client may still come into the present file.
        let is_left = |path: &std::path::PathBuf| *path != server.log_path();
        for path in Log::files(server.dir()).into_iter().filter(is_left) {
            fs::remove_file(path).unwrap();
        }
        run.figures.rounds += 1;
    }
    run.figures.innocent = Some(innocent.finish().0);
    wait_until("all descriptors are closed", || server.descriptors() <= descriptors);
    let after = server.memory();
    run.figures.memory = Some([memory, peak_memory(&server), after]);
    assert!(after < memory + GROWTH, "{memory} bytes of memory have become {after}");
    assert_eq!(server.stop().0, Some(0));
    run.end();
}
