//! Floods of several kinds and honest load at the same time, with rotation, until the server is
//! killed or told to stop; and so on with the next.

use std::fs;
use std::thread;
use std::time::Duration;

use rand::RngExt;
use rand::seq::IndexedRandom;

use crate::floods;
use crate::ledger::Lines;
use crate::run::Run;
use crate::support::{Load, Log, TestServer};

/// Floods at the same time.
const FLOODS: usize = 3;

/// The longest that a server may take to stop, with room for a busy machine (`DRAIN_TIMEOUT` is 5).
const STOPS_WITHIN: Duration = Duration::from_secs(7);

#[test]
#[ignore = "takes long: README.md in its folder"]
fn everything() {
    let mut run = Run::begin("everything");
    let mut builder = TestServer::builder();
    while run.goes_on() {
        let sync = ["everysec", "no", "always"][run.rng.random_range(0..3)];
        let rotated = ["20K", "1M"][run.rng.random_range(0..2)];
        builder = builder.env("WORKERS", "2").env("LOG_SYNC", sync).env("LOG_MAX_BYTES", rotated);
        let mut server = builder.secure().start();
        let prefix = format!("R{}", run.figures.rounds);
        let load = Load::start(server.address(), &prefix, 4, run.rng.random_range(1..30));
        let chosen: Vec<_> = floods::ALL.sample(&mut run.rng, FLOODS).copied().collect();
        let floods: Vec<_> =
            chosen.into_iter().map(|flood| flood.begin(&server, &mut run.rng)).collect();
        load.wait_for(1);
        thread::sleep(Duration::from_millis(run.rng.random_range(0..2000)));
        if run.rng.random() {
            server.kill();
        } else {
            let (status, time) = server.stop();
            assert_eq!(status, Some(0));
            assert!(time < STOPS_WITHIN, "{time:?}");
        }
        let tallies = load.ended();
        floods.into_iter().for_each(|flood| _ = flood.end());
        // The next start cuts off a line that the kill tore.
        drop(server.again().start());
        let mut lines = Lines::default();
        lines.add_folder(server.dir());
        run.figures.ledger.settle(&tallies, &lines);
        Log::files(server.dir()).iter().for_each(|path| fs::remove_file(path).unwrap());
        builder = server.again();
        run.figures.rounds += 1;
    }
    run.end();
}
