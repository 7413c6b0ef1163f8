//! Several floods and honest load at the same time, with rotation, until the server is killed or
//! stopped. Then the next server starts.

use std::thread;
use std::time::Duration;

use rand::RngExt;
use rand::seq::IndexedRandom;

use crate::floods;
use crate::run::Run;
use crate::support::{Load, TestServer};

/// Floods at the same time.
const FLOODS: usize = 3;

/// The longest that a server may take to stop: `DRAIN_TIMEOUT`, with room for a busy machine.
const STOPS_WITHIN: Duration = Duration::from_secs(20);

#[test]
#[ignore = "takes long: README.md in its folder"]
fn everything() {
    let mut run = Run::begin("everything");
    let mut builder = TestServer::builder();
    while run.goes_on() {
        let sync = run.log_sync();
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
            server.assert_stops_within(STOPS_WITHIN);
        }
        let tallies = load.ended();
        floods.into_iter().for_each(|flood| _ = flood.end());
        builder = run.settle_killed(&tallies, &server);
    }
    run.end();
}
