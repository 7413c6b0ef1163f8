//! Another program renames the log under load, with and without SIGHUP, amid rotations: no line is
//! lost.

use std::fs;
use std::thread;
use std::time::Duration;

use rand::RngExt;
use rustix::process::Signal;

use crate::run::Run;
use crate::support::{Load, Log, TestServer, wait_until};

#[test]
#[ignore = "takes long: README.md in its folder"]
fn moves() {
    let mut run = Run::begin("moves and SIGHUP");
    while run.goes_on() {
        let sync = run.log_sync();
        let mut server = TestServer::builder()
            .env("WORKERS", "2")
            .env("LOG_SYNC", sync)
            .env("LOG_MAX_BYTES", ["20K", "1M"][run.rng.random_range(0..2)])
            .start();
        let before = server.descriptors();
        let load = Load::start(server.address(), "Load", 4, run.rng.random_range(1..50));
        for number in 0..20 {
            thread::sleep(Duration::from_micros(run.rng.random_range(0..50_000)));
            let moved = server.dir().join(format!("server_logs.moved.{number}"));
            // In the middle of a rotation there is no file for a moment.
            let _ = fs::rename(server.log_path(), moved);
            if run.rng.random() {
                server.signal(Signal::HUP);
            }
        }
        load.wait_for(1);
        let tallies = load.finish();
        wait_until("descriptors are closed", || server.descriptors() <= before);
        assert_eq!(server.stop().0, Some(0));
        run.settle(&tallies, server.dir());
        assert!(Log::files(server.dir()).len() > 1);
        run.figures.rounds += 1;
    }
    run.end();
}
