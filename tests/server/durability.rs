//! An acknowledged ping is in the log, even if the server is killed.

use std::fs;
use std::thread;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::support::{Load, Log, TestServer, rounds, seed};

#[test]
fn kill_9_at_random_moments_loses_no_acknowledged_ping() {
    let mut rng = StdRng::seed_from_u64(seed());
    let first = TestServer::start();
    let path = first.log_path();
    let mut builder = first.again();
    drop(first);
    let mut everything = Vec::new();
    for round in 0..rounds(40) {
        let sync = ["everysec", "no", "always"][round % 3];
        let mut server = builder.env("WORKERS", "2").env("LOG_SYNC", sync).start();
        let begin = fs::metadata(&path).unwrap().len();
        let load = Load::start(server.address(), &format!("R{round}"), 4, rng.random_range(1..100));
        load.wait_for(rng.random_range(1..200));
        thread::sleep(Duration::from_micros(rng.random_range(0..20_000)));
        server.kill();

        let tallies = load.ended();
        let bytes = fs::read(&path).unwrap();
        let (log, torn) = Log::parse_leniently(&bytes[begin as usize..]);
        assert!(torn <= 1, "more than the last line is torn");
        log.assert_holds_all_of(&tallies);
        everything.extend(tallies);
        builder = server.again();
    }
    let server = builder.start();
    server.assert_serves();
    let log = server.log();
    log.assert_holds_all_of(&everything);
    log.assert_time_never_runs_backwards();
}

#[test]
fn kill_9_amid_rotations_loses_no_acknowledged_ping() {
    let mut rng = StdRng::seed_from_u64(seed());
    let mut builder = TestServer::builder();
    let dir = builder.dir().to_owned();
    let mut everything = Vec::new();
    for round in 0..rounds(10) {
        let mut server = builder.env("WORKERS", "2").env("LOG_MAX_BYTES", "8K").start();
        let load = Load::start(server.address(), &format!("R{round}"), 4, 20);
        load.wait_for(rng.random_range(1..500));
        server.kill();
        everything.extend(load.ended());
        builder = server.again();
    }
    let _server = builder.start();
    Log::read_all(&dir).assert_holds_all_of(&everything);
}
