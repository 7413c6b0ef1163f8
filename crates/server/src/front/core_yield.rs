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
        if self.is_due(begun) {
            thread::yield_now();
            self.record(begun, Instant::now());
        }
    }

    fn is_due(&self, now: Instant) -> bool {
        now >= *self.not_before.lock()
    }

    fn record(&self, begun: Instant, ended: Instant) {
        *self.not_before.lock() = ended + KEPT * (ended - begun);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn yields_take_at_most_a_fifth_of_the_time() {
        let core_yield = CoreYield::new();
        let mut now = Instant::now();
        let (mut kept, mut yielded) = (Duration::ZERO, Duration::ZERO);
        let step = Duration::from_micros(200);
        // A worker that sleeps at once, one that has something to do, one that uses its time slice.
        for taken in [1, 50, 3_000].map(Duration::from_micros).into_iter().cycle().take(3_000) {
            (now, kept) = (now + step, kept + step);
            if core_yield.is_due(now) {
                core_yield.record(now, now + taken);
                (now, yielded) = (now + taken, yielded + taken);
            }
        }
        assert!(yielded <= (kept + yielded) / 5 + Duration::from_micros(3_000), "{yielded:?}");
        assert!(yielded >= (kept + yielded) / 10, "{yielded:?} of {:?}", kept + yielded);
    }
}
