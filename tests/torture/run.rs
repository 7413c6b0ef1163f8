//! A part at work: how long, with which random numbers, and what came of it.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::figures::Figures;
use crate::support::seed;

/// Length of a part unless `DURATION` says another, in seconds.
const SHORT: u64 = 6;

/// One part has the machine at a time, so that figures can be compared.
static TURN: Mutex<()> = Mutex::new(());

/// A part at work.
pub(crate) struct Run {
    pub(crate) rng: StdRng,
    pub(crate) figures: Figures,
    name: &'static str,
    seed: u64,
    end: Instant,
    _turn: MutexGuard<'static, ()>,
}

impl Run {
    /// Begins a part. Its seed is printed: `SEED` repeats it.
    pub(crate) fn begin(name: &'static str) -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let seconds = std::env::var("DURATION")
            .map_or(SHORT, |seconds| seconds.parse().expect("DURATION is a number of seconds"));
        let seed = seed();
        say(&format!("{name}: {seconds} s with SEED={seed}"));
        Self {
            rng: StdRng::seed_from_u64(seed),
            figures: Figures::default(),
            name,
            seed,
            end: Instant::now() + Duration::from_secs(seconds),
            _turn: turn,
        }
    }

    /// Whether there is time for one more round.
    pub(crate) fn goes_on(&self) -> bool {
        Instant::now() < self.end
    }

    /// Prints why the part cannot be done here.
    pub(crate) fn skip(self, why: &str) {
        say(&format!("{} is left out: {why}", self.name));
    }

    /// Prints the figures, and fails if an acknowledged ping is lost, or a line is not what it
    /// should be.
    #[track_caller]
    pub(crate) fn end(self) {
        say(&self.figures.row(self.name, self.seed));
        self.figures.assert_clean();
    }
}

/// Prints a line even where the output of a test that passes is not shown.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
