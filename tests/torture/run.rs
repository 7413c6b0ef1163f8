//! A part while it runs: its length, its random numbers, its results.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::figures::Figures;
use crate::ledger::Lines;
use crate::support::{Builder, Log, Tally, TestServer, seed};

/// Length of a part unless `DURATION` is set, in seconds.
const SHORT: u64 = 6;

/// Held by the part that runs: one at a time, so that figures can be compared.
static TURN: Mutex<()> = Mutex::new(());

/// A part while it runs.
pub(crate) struct Run {
    pub(crate) rng: StdRng,
    pub(crate) figures: Figures,
    name: &'static str,
    seed: u64,
    end: Instant,
    _turn: MutexGuard<'static, ()>,
}

impl Run {
    /// Begins a part, and prints its seed, which `SEED` sets.
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

    /// A random value of `LOG_SYNC`.
    pub(crate) fn log_sync(&mut self) -> &'static str {
        ["everysec", "no", "always"][self.rng.random_range(0..3)]
    }

    /// Compares the results of clients with the logs in a folder.
    pub(crate) fn settle(&mut self, tallies: &[Tally], folder: &Path) {
        self.figures.ledger.settle(tallies, &Lines::of_folder(folder));
    }

    /// Ends a round whose server may have been killed: a further start cuts off a torn line, then the
    /// results are compared with the logs. Returns the next server, in the same folder without logs.
    #[track_caller]
    pub(crate) fn settle_killed(&mut self, tallies: &[Tally], server: &TestServer) -> Builder {
        drop(server.again().start());
        self.settle(tallies, server.dir());
        Log::files(server.dir()).iter().for_each(|path| fs::remove_file(path).unwrap());
        self.figures.rounds += 1;
        server.again()
    }

    /// Prints why the part is left out.
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
