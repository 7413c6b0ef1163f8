//! A client that does nothing wrong, and should not feel what others do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::support::TestClient;

/// Time between two pings.
const PAUSE: Duration = Duration::from_millis(10);

/// The client at work.
#[derive(Debug)]
pub(crate) struct Innocent {
    client: JoinHandle<Vec<Duration>>,
    finish: Arc<AtomicBool>,
}

/// Its round trips, shortest first.
#[derive(Debug)]
pub(crate) struct Latencies(Vec<Duration>);

impl Innocent {
    #[track_caller]
    pub(crate) fn start(address: SocketAddr) -> Self {
        let mut client = TestClient::connect(address);
        let finish = Arc::<AtomicBool>::default();
        let finished = Arc::clone(&finish);
        let client = thread::spawn(move || {
            let mut times = Vec::new();
            while !finished.load(Ordering::Relaxed) {
                let begun = Instant::now();
                assert_eq!(client.ping("Innocent", &times.len().to_string()), "Pong!");
                times.push(begun.elapsed());
                thread::sleep(PAUSE);
            }
            client.close();
            times
        });
        Self { client, finish }
    }

    pub(crate) fn finish(self) -> Latencies {
        self.finish.store(true, Ordering::Relaxed);
        let mut times = self.client.join().expect("each ping of the innocent client got its Pong");
        times.sort_unstable();
        Latencies(times)
    }
}

impl Latencies {
    pub(crate) fn median(&self) -> Duration {
        self.quantile(50)
    }

    pub(crate) fn p99(&self) -> Duration {
        self.quantile(99)
    }

    fn quantile(&self, percent: usize) -> Duration {
        let last = self.0.len().saturating_sub(1);
        self.0.get(last * percent / 100).copied().unwrap_or_default()
    }
}
