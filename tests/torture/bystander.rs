//! Clients that do nothing wrong, and have to be served whatever others do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::support::{RawClient, Tally, TestClient, close, ping_frame};

/// Time between two pings.
const PAUSE: Duration = Duration::from_millis(10);

/// Bound on the delay between a connection and its request, in milliseconds.
const MAX_DELAY: u64 = 200;

/// A client in a thread of its own.
#[derive(Debug)]
pub(crate) struct Bystander {
    client: JoinHandle<(Vec<Duration>, Tally)>,
    finish: Arc<AtomicBool>,
}

/// Durations, shortest first.
#[derive(Debug)]
pub(crate) struct Latencies(Vec<Duration>);

impl Bystander {
    /// A client that stays, and measures its round trips.
    #[track_caller]
    pub(crate) fn innocent(address: SocketAddr) -> Self {
        let mut client = TestClient::connect(address);
        Self::start("Innocent", move |number| {
            let begun = Instant::now();
            assert_eq!(client.ping("Innocent", number), "Pong!");
            begun.elapsed()
        })
    }

    /// A client that connects anew for each ping, and measures the time from the connection to the
    /// Pong, less a random delay before its request, as over a slow network.
    pub(crate) fn newcomer(address: SocketAddr, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        Self::start("Newcomer", move |number| {
            let delay = Duration::from_millis(rng.random_range(0..MAX_DELAY));
            let begun = Instant::now();
            let mut client = RawClient::connect(address);
            thread::sleep(delay);
            client.upgrade();
            client.send(&ping_frame("Newcomer", number));
            assert_eq!(client.frame().text(), "Pong!");
            let time = begun.elapsed() - delay;
            client.send(&close(1000));
            assert_eq!(client.close_code(), Some(1000));
            time
        })
    }

    /// Pings until told to finish; `ping` gets the number of the ping, and returns its time.
    fn start(name: &str, mut ping: impl FnMut(&str) -> Duration + Send + 'static) -> Self {
        let finish = Arc::<AtomicBool>::default();
        let finished = Arc::clone(&finish);
        let mut tally = Tally { name: name.into(), ..Tally::default() };
        let client = thread::spawn(move || {
            let mut times = Vec::new();
            while !finished.load(Ordering::Relaxed) {
                times.push(ping(&tally.sent.to_string()));
                tally.acknowledged.push(tally.sent);
                tally.sent += 1;
                thread::sleep(PAUSE);
            }
            (times, tally)
        });
        Self { client, finish }
    }

    /// The times of the client, and its pings.
    pub(crate) fn finish(self) -> (Latencies, Tally) {
        self.finish.store(true, Ordering::Relaxed);
        let (mut times, tally) = self.client.join().expect("each ping got its Pong");
        times.sort_unstable();
        (Latencies(times), tally)
    }
}

impl Latencies {
    pub(crate) fn median(&self) -> Duration {
        self.quantile(50)
    }

    pub(crate) fn p99(&self) -> Duration {
        self.quantile(99)
    }

    pub(crate) fn longest(&self) -> Duration {
        self.quantile(100)
    }

    fn quantile(&self, percent: usize) -> Duration {
        let last = self.0.len().saturating_sub(1);
        self.0.get(last * percent / 100).copied().unwrap_or_default()
    }
}
