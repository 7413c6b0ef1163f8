//! Yields of the core to the workers, between the steps of TLS handshakes.

use std::future::poll_fn;
use std::pin::pin;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Longest yield after which the core is shared with workers only, whose turns are short. A longer
/// one has gone to a thread that uses up its time slice, some milliseconds.
const SHORT: Duration = Duration::from_millis(1);

/// Time without yields after a long one: on a busy machine the front would lose a time slice with
/// each yield, and handshakes would take too long.
const BACKOFF: Duration = Duration::from_millis(100);

/// Yields the core, unless other threads take it for long.
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
        if now - begun > SHORT {
            *self.not_before.lock() = now + BACKOFF;
        }
    }
}
