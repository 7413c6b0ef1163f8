//! Yields of the core to the workers, between the steps of TLS handshakes.

use std::future::poll_fn;
use std::pin::pin;
use std::thread;
use std::time::Instant;

use parking_lot::Mutex;

/// After a yield, the front keeps the core for at least this many times as long as the yield took. A
/// worker with few pings gives the core back at once. A thread that computes without a pause uses its
/// whole time slice, some milliseconds: with a yield after each step, handshakes would take far too
/// long beside such threads.
const KEPT: u32 = 4;

/// Yields the core for a bounded share of the time.
#[derive(Debug)]
pub(super) struct CoreYield {
    /// No yield before this time.
    not_before: Mutex<Instant>,
}

impl CoreYield {
    pub(super) fn new() -> Self {
        Self { not_before: Mutex::new(Instant::now()) }
    }

    /// Runs a handshake, and yields the core after each step. A step computes for some 200 µs, and a
    /// burst of handshakes keeps the front running for as long as the scheduler lets it. With the
    /// yields a worker on the same core waits for one step, not for a time slice.
    pub(super) async fn between_steps<F: Future>(&self, handshake: F) -> F::Output {
        let mut handshake = pin!(handshake);
        poll_fn(|cx| {
            let step = handshake.as_mut().poll(cx);
            self.yield_core();
            step
        })
        .await
    }

    fn yield_core(&self) {
        let begun = Instant::now();
        if begun < *self.not_before.lock() {
            return;
        }
        thread::yield_now();
        let now = Instant::now();
        *self.not_before.lock() = now + KEPT * (now - begun);
    }
}
