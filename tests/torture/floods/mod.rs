//! Floods of all kinds. Meanwhile clients that do nothing wrong get in and are served, and memory is
//! bounded and given back.

mod attacker;
mod frames;
mod handshakes;
mod tls;
mod unfinished;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::bystander::{Bystander, Latencies};
use crate::peak::Before;
use crate::run::Run;
use crate::support::{Builder, TestServer};
use attacker::Attacker;
pub(crate) use attacker::connect_from;

/// Time between two checks of a server.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// Bound on the median round trip of a client that does nothing wrong, and on the median time of
/// newcomers, on a busy machine.
const MEDIAN: Duration = Duration::from_secs(2);

/// The longest round trip of a client that does nothing wrong, on a machine that stalls.
const SLOWEST: Duration = Duration::from_secs(15);

/// The longest time from a connection to its Pong. If the queue of the listening socket is full,
/// the system retries the connection after 1, 3, 7 and 15 seconds.
const SLOWEST_NEWCOMER: Duration = Duration::from_secs(25);

/// A flood.
#[derive(Debug)]
pub(crate) struct Flood {
    name: &'static str,
    /// Number of attackers at the same time.
    attackers: usize,
    /// Most memory that the server may grow by, in bytes.
    growth: u64,
    /// Called again and again until the flood is over.
    attack: fn(&mut Attacker),
}

/// All floods.
pub(crate) const ALL: [&Flood; 9] = [
    &handshakes::SILENT,
    &handshakes::HALF,
    &handshakes::HUGE,
    &tls::HELLOS,
    &frames::UNREAD,
    &frames::EMPTY,
    &frames::BROKEN,
    &unfinished::UNFINISHED,
    &unfinished::ANNOUNCED,
];

/// A flood under way.
#[derive(Debug)]
pub(crate) struct Flooding {
    attackers: Vec<JoinHandle<usize>>,
    is_over: Arc<AtomicBool>,
}

impl Flood {
    /// Begins the flood. The server has to speak TLS as well.
    pub(crate) fn begin(&self, server: &TestServer, rng: &mut StdRng) -> Flooding {
        let is_over = Arc::<AtomicBool>::default();
        let attack = self.attack;
        let attackers = (0..self.attackers).map(|_| {
            let rng = StdRng::seed_from_u64(rng.random());
            let (address, secure) = (server.address(), server.secure_address());
            let mut attacker = Attacker::new(address, secure, rng, Arc::clone(&is_over));
            thread::spawn(move || {
                while !attacker.is_over() {
                    attack(&mut attacker);
                }
                attacker.done
            })
        });
        Flooding { attackers: attackers.collect(), is_over: Arc::clone(&is_over) }
    }

    /// Floods a server for the length of a part.
    fn stand(&self, builder: Builder) {
        self.stand_with(builder, |_| {});
    }

    /// [`Self::stand`] with a further check of the server now and then.
    fn stand_with(&self, builder: Builder, check: impl Fn(&TestServer)) {
        let mut run = Run::begin(self.name);
        let mut server = builder.env("WORKERS", "2").secure().start();
        let before = Before::of(&server);
        let innocent = Bystander::innocent(server.address());
        let newcomer = Bystander::newcomer(server.address(), run.rng.random());
        let flooding = self.begin(&server, &mut run.rng);
        while run.goes_on() {
            check(&server);
            before.assert_peak(&server, self.growth);
            thread::sleep(CHECK_INTERVAL);
        }
        let (times, pings) = innocent.finish();
        let (ways_in, others) = newcomer.finish();
        run.figures.rounds = flooding.end();
        assert!(run.figures.rounds > 0, "there was no flood");
        run.figures.memory = Some(before.comes_back(&server));
        assert_eq!(server.stop().0, Some(0));
        run.settle(&[pings, others], server.dir());
        let (medians, slowest) =
            ([&times, &ways_in].map(Latencies::median), [&times, &ways_in].map(Latencies::longest));
        run.figures.innocent = Some(times);
        run.figures.newcomer = Some(ways_in);
        run.end();
        assert!(medians.iter().all(|median| *median < MEDIAN), "{medians:?}");
        assert!(slowest[0] < SLOWEST && slowest[1] < SLOWEST_NEWCOMER, "{slowest:?}");
    }
}

impl Flooding {
    /// Ends the flood, and returns how much was done.
    pub(crate) fn end(mut self) -> usize {
        self.is_over.store(true, Ordering::Relaxed);
        self.attackers.drain(..).map(|attacker| attacker.join().expect("an attacker")).sum()
    }
}

/// Ends the flood of a test that fails.
impl Drop for Flooding {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.attackers.drain(..).for_each(|attacker| _ = attacker.join());
    }
}
