//! Checks that a stall of the machine may spoil: if a process does not run for a second, a client
//! rightly measures something else, or gives up.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Most tries of a check.
const TRIES: usize = 5;

/// A pause that counts as a stall.
const STALL: Duration = Duration::from_millis(100);

/// Pause between two readings of the clock.
const LOOK: Duration = Duration::from_millis(10);

/// Makes a check. If the check fails while the machine stalled, it is repeated.
#[track_caller]
pub(crate) fn patiently(check: impl Fn()) {
    for _ in 1..TRIES {
        let watch = Watch::begin();
        let outcome = catch_unwind(AssertUnwindSafe(&check));
        let longest = watch.end();
        match outcome {
            Ok(()) => return,
            Err(failure) if longest < STALL => resume_unwind(failure),
            Err(_) => eprintln!("the machine stalled for {longest:?}: the check is made anew"),
        }
    }
    check();
}

/// A thread that reads the clock, and notices the times when it did not run.
struct Watch {
    is_over: Arc<AtomicBool>,
    longest: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Watch {
    fn begin() -> Self {
        let (is_over, longest) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (over, most) = (Arc::clone(&is_over), Arc::clone(&longest));
        let thread = thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                let begun = Instant::now();
                thread::sleep(LOOK);
                let late = begun.elapsed().saturating_sub(LOOK).as_millis();
                most.fetch_max(late.try_into().unwrap_or(u64::MAX), Ordering::Relaxed);
            }
        });
        Self { is_over, longest, thread }
    }

    /// The longest time for which the thread should have run, and did not.
    fn end(self) -> Duration {
        self.is_over.store(true, Ordering::Relaxed);
        let _ = self.thread.join();
        Duration::from_millis(self.longest.load(Ordering::Relaxed))
    }
}
