//! Malicious servers, each with a client of its own. After a while they become good servers, and the
//! clients have to be back.

mod acts;
mod stream;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rand::RngExt;

use crate::client::{Client, Statistics};
use crate::peak::peak_memory;
use crate::run::Run;
use acts::ACTS;

/// Time between two pings of a client, in seconds.
const LAG: &str = "0.1";

/// Most memory that a client may grow by, in bytes: a message may have 16 MiB, and its buffer
/// doubles.
const GROWTH: u64 = 64 << 20;

/// How long a client may take to come back: the longest pause between two tries, a handshake that
/// has begun before, and room for a busy machine.
const BACK_WITHIN: Duration = Duration::from_secs(60);

/// The handling of a connection by a malicious server.
type Act = fn(&TcpStream, &Seen) -> std::io::Result<()>;

/// A malicious server.
#[derive(Clone, Copy, Debug)]
struct Evil {
    name: &'static str,
    act: Act,
    /// Whether connections last, so that pings go on at their pace.
    keeps_pace: bool,
}

/// The observations of a server about its client.
#[derive(Debug, Default)]
struct Seen {
    seed: u64,
    /// The server has become a good one.
    is_good: AtomicBool,
    is_over: AtomicBool,
    connections: AtomicUsize,
    /// Pongs that were sent.
    pongs: AtomicUsize,
    /// Pongs that were sent since the server became good.
    good_pongs: AtomicUsize,
}

#[test]
#[ignore = "takes long: README.md in its folder"]
fn evil_servers() {
    let mut run = Run::begin("evil servers");
    let seen: Vec<_> =
        ACTS.iter().map(|_| Seen { seed: run.rng.random(), ..Seen::default() }).collect();
    thread::scope(|scope| {
        let (mut clients, mut ends) = (Vec::new(), Vec::new());
        for (evil, seen) in ACTS.iter().zip(&seen) {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let url = format!("ws://{address}");
            scope.spawn(move || serve(&listener, evil.act, seen));
            let client = Client::start(
                &[],
                &[("SERVER_URL", &url), ("LAG_TIME", LAG), ("PONG_TIMEOUT", evil.pong_timeout())],
            );
            let memory = client.memory();
            clients.push((evil, seen, client, memory));
            ends.push(End { seen, address });
        }
        let begun = Instant::now();
        while run.goes_on() {
            for (evil, _, client, memory) in &clients {
                let grown = peak_memory(client).saturating_sub(*memory);
                assert!(grown < GROWTH, "{}: a client grew by {grown} bytes", evil.name);
            }
            thread::sleep(Duration::from_millis(50));
        }
        for (evil, seen, ..) in &clients {
            seen.assert_manners(evil, begun.elapsed());
        }
        seen.iter().for_each(|seen| seen.is_good.store(true, Ordering::Relaxed));
        let mut memory = [0; 3];
        for (evil, seen, client, before) in clients {
            let deadline = Instant::now() + BACK_WITHIN;
            while seen.good_pongs.load(Ordering::Relaxed) < 3 {
                assert!(Instant::now() < deadline, "{}: the client is not back", evil.name);
                thread::sleep(Duration::from_millis(5));
            }
            let held = [before, peak_memory(&client), client.memory()];
            memory = std::array::from_fn(|at| memory[at].max(held[at]));
            let Statistics { sent, received, lost } = client.stop();
            let pongs = seen.pongs.load(Ordering::Relaxed);
            assert!(received <= pongs, "{}: {received} of {pongs}", evil.name);
            assert_eq!(sent, received + lost, "{}", evil.name);
            run.figures.ledger.acknowledged += received;
            run.figures.ledger.refused += lost;
            run.figures.rounds += seen.connections.load(Ordering::Relaxed);
        }
        run.figures.memory = Some(memory);
    });
    run.end();
}

/// Serves one connection after another.
fn serve(listener: &TcpListener, act: Act, seen: &Seen) {
    while let Ok((stream, _)) = listener.accept() {
        if seen.is_over.load(Ordering::Relaxed) {
            return;
        }
        let is_good = seen.is_good.load(Ordering::Relaxed);
        seen.connections.fetch_add(1, Ordering::Relaxed);
        stream::prepare(&stream);
        // The client may hang up at any moment.
        let _ = if is_good { acts::good(&stream, seen) } else { act(&stream, seen) };
    }
}

impl Evil {
    /// How long a client waits for a Pong, in seconds. A Pong amid a flood comes after all bytes of
    /// the flood that the system buffers.
    fn pong_timeout(&self) -> &'static str {
        if self.keeps_pace { "10" } else { "1" }
    }
}

impl Seen {
    /// Whether the server goes on with what it does: until it becomes good.
    fn goes_on(&self) -> bool {
        !self.is_good.load(Ordering::Relaxed) && !self.is_over.load(Ordering::Relaxed)
    }

    /// Fails unless the client backs off from a useless server, and keeps pace with a useful one.
    #[track_caller]
    fn assert_manners(&self, evil: &Evil, time: Duration) {
        let connections = self.connections.load(Ordering::Relaxed);
        // The pauses between tries double up to 10 s, of which a random part is waited: about 8 tries
        // in the first seconds, and one in 5 s later.
        let most = 20 + time.as_secs() as usize / 2;
        assert!(connections <= most, "{}: {connections} connections in {time:?}", evil.name);
        let pongs = self.pongs.load(Ordering::Relaxed) as u64;
        let least = if evil.keeps_pace { time.as_secs() / 4 } else { 0 };
        assert!(pongs >= least, "{}: {pongs} pings in {time:?}", evil.name);
    }
}

/// Ends a server, even if the test fails.
struct End<'a> {
    seen: &'a Seen,
    address: SocketAddr,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.seen.is_over.store(true, Ordering::Relaxed);
        // The server may wait for a connection.
        drop(TcpStream::connect(self.address));
    }
}
