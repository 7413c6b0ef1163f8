//! A file system that freezes for a while, and a kill now and then meanwhile.

use std::thread;
use std::time::{Duration, Instant};

use rand::RngExt;

use crate::run::Run;
use crate::support::{Load, TestServer, TinyDisk};

/// Time limit for `/healthz` to report a call that hangs, with room for a busy machine.
const TOLD: Duration = Duration::from_secs(20);

#[test]
#[ignore = "takes long, and needs root, to freeze a file system"]
fn frozen() {
    let mut run = Run::begin("frozen file system");
    let images = tempfile::tempdir().unwrap();
    while run.goes_on() {
        let sync = run.log_sync();
        let disk = TinyDisk::mount_ext4(&images.path().join("image"));
        let start = || {
            let builder = TestServer::builder().env("WORKERS", "2").env("LOG_SYNC", sync);
            builder.env("LOG_FILE", disk.log()).start()
        };
        let mut server = start();
        let load = Load::start(server.address(), "Load", 4, run.rng.random_range(1..30));
        load.wait_for(100);
        let is_long = run.rng.random_ratio(1, 4);
        let frozen = disk.freeze();
        let begun = Instant::now();
        if is_long {
            server.wait_for_health(503);
            assert!(begun.elapsed() < TOLD, "{:?}", begun.elapsed());
        } else {
            thread::sleep(Duration::from_millis(run.rng.random_range(0..500)));
        }
        let is_killed = run.rng.random();
        if is_killed {
            server.signal(rustix::process::Signal::KILL);
        }
        drop(frozen);
        let tallies = if is_killed {
            load.ended()
        } else {
            load.wait_for(1);
            load.finish()
        };
        server.kill();
        // The next start cuts off a line that the kill tore.
        drop(start());
        run.settle(&tallies, disk.path());
        run.figures.rounds += 1;
    }
    run.end();
}
