//! A tiny disk that fills up, with room made in different ways.

use std::fs;
use std::path::Path;

use rand::RngExt;
use rustix::process::Signal;

use crate::ledger::Lines;
use crate::run::Run;
use crate::support::{Load, Log, TestServer, TinyDisk, wait_until};

#[test]
#[ignore = "takes long, and needs root, to mount a tmpfs"]
fn tiny_disk() {
    let mut run = Run::begin("tiny disk");
    while run.goes_on() {
        let sync = run.log_sync();
        let disk = TinyDisk::mount("256k");
        let mut server = TestServer::builder()
            .env("WORKERS", "2")
            .env("LOG_SYNC", sync)
            .env("LOG_MAX_BYTES", ["10K", "10M"][run.rng.random_range(0..2)])
            .env("LOG_FILE", disk.log())
            .start();
        let before = server.descriptors();
        let load = Load::start(server.address(), "Load", 4, run.rng.random_range(1..30));
        let mut lines = Lines::default();
        for _ in 0..5 {
            load.wait_for_refused(100);
            make_room(&server, &disk, &mut lines, run.rng.random());
            load.wait_for(1);
        }
        let tallies = load.finish();
        wait_until("descriptors are closed", || server.descriptors() <= before);
        assert_eq!(server.stop().0, Some(0));
        lines.add_folder(disk.path());
        run.figures.ledger.settle(&tallies, &lines);
        run.figures.rounds += 1;
    }
    run.end();
}

/// Removes all files but the one that is written to, after their lines were counted.
fn make_room(server: &TestServer, disk: &TinyDisk, lines: &mut Lines, with_signal: bool) {
    let log = disk.log();
    let moved = log.with_extension("moved");
    if fs::rename(&log, &moved).is_ok() {
        if with_signal {
            server.signal(Signal::HUP);
        }
        wait_until("the file is made again", || log.exists());
    }
    let is_left = |path: &Path| path != log;
    for path in Log::files(disk.path()).into_iter().filter(|path| is_left(path)) {
        lines.add_file(&path);
        fs::remove_file(path).unwrap();
    }
}
