//! System calls on the log that fail, fall short or hang now and then.

use std::thread;
use std::time::Duration;

use rand::RngExt;
use rustix::io::Errno;

use crate::run::Run;
use crate::support::{Faults, Load, TestServer};

/// Faults that one server gets.
const FAULTS: usize = 20;

#[test]
#[ignore = "takes long: README.md in its folder"]
fn faults() {
    let mut run = Run::begin("failing system calls");
    while run.goes_on() {
        let sync = run.log_sync();
        let builder = TestServer::builder().env("WORKERS", "2").env("LOG_SYNC", sync);
        let builder = builder.env("LOG_MAX_BYTES", ["8K", "1M"][run.rng.random_range(0..2)]);
        let (faults, builder) = Faults::inject(builder);
        let mut server = builder.start();
        let load = Load::start(server.address(), "Load", 4, run.rng.random_range(1..50));
        for _ in 0..FAULTS {
            begin_fault(&faults, &mut run);
            thread::sleep(Duration::from_micros(run.rng.random_range(0..50_000)));
            faults.end();
            thread::sleep(Duration::from_micros(run.rng.random_range(0..20_000)));
        }
        load.wait_for(1);
        let tallies = load.finish();
        server.wait_for_health(200);
        assert_eq!(server.stop().0, Some(0));
        run.settle(&tallies, server.dir());
        run.figures.rounds += 1;
    }
    run.end();
}

/// Begins a random fault. No sync fails, as that would end the server.
fn begin_fault(faults: &Faults, run: &mut Run) {
    match run.rng.random_range(0..6) {
        0 => faults.fail("write", Errno::NOSPC),
        1 => faults.fail("write", Errno::IO),
        2 => faults.shorten_writes(run.rng.random_range(1..5000)),
        3 => faults.hang("write"),
        4 => faults.hang("fdatasync"),
        _ => {
            faults.fail("write", Errno::NOSPC);
            faults.fail("ftruncate", Errno::IO);
        }
    }
}
