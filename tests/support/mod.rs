//! Support of the black-box tests: a server under test, clients that follow the protocol and clients
//! that break it, load, and a parser of the log.

mod builder;
mod captured;
mod client;
mod disk;
mod faults;
mod load;
mod log;
mod metrics;
pub(crate) mod process;
mod raw;
mod secure;
mod server;

use std::thread;
use std::time::{Duration, Instant};

pub(crate) use builder::{Builder, Finished, not_unicode, own_address, settings};
pub(crate) use client::TestClient;
pub(crate) use disk::{TinyDisk, run};
pub(crate) use faults::Faults;
pub(crate) use load::{Load, Tally};
pub(crate) use log::Log;
pub(crate) use metrics::Metrics;
pub(crate) use process::limit;
pub(crate) use raw::{
    Frame, RawClient, Response, UPGRADE, close, first, frame, is_over, ping_frame, ping_text,
    upgrade_at,
};
pub(crate) use secure::SecureClient;
pub(crate) use server::TestServer;

/// How long a test waits for an event before it fails: far longer than the longest deadline of the
/// server that is tested (10 s), for a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(50);

/// Waits until `is_so` is true.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    eventually(what, || is_so().then_some(()));
}

/// Waits until `look` finds something, and returns that.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The seed of a random test: the environment variable `SEED`, or a random one. The seed is printed:
/// cargo shows the output of a test that fails.
pub(crate) fn seed() -> u64 {
    let seed = std::env::var("SEED")
        .map_or_else(|_| rand::random(), |seed| seed.parse().expect("SEED is a number"));
    println!("SEED={seed}");
    seed
}

/// How often a random test is repeated: the environment variable `ROUNDS`, or `default`.
pub(crate) fn rounds(default: usize) -> usize {
    std::env::var("ROUNDS").map_or(default, |rounds| rounds.parse().expect("ROUNDS is a number"))
}
