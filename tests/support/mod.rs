//! Shared by the black-box tests of the server: a server under test, clients that follow the
//! protocol and clients that break it, load, and a parser of the log.

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
    Frame, RawClient, Response, UPGRADE, close, first, frame, is_over, ping_text,
};
pub(crate) use secure::SecureClient;
pub(crate) use server::TestServer;

/// How long a test waits for an event before it fails: longer than the longest deadline of the
/// server that a test waits for (10 s), with room for a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `look` finds something.
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

/// The seed of a random test: the environment variable `SEED`, or a new one. The seed is printed,
/// which cargo shows if the test fails.
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
