//! Clients that connect, ping once and leave, thousands a second: nothing is left behind.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::bystander::Bystander;
use crate::floods::connect_from;
use crate::peak::Before;
use crate::run::Run;
use crate::support::{PATIENCE, RawClient, Tally, TestServer, close, ping_frame};

/// Clients at the same time.
const VISITORS: usize = 4;

#[test]
#[ignore = "takes long: README.md in its folder"]
fn churn() {
    let mut run = Run::begin("churn");
    let mut server = TestServer::builder().env("WORKERS", "2").env("LOG_MAX_BYTES", "1M").start();
    let before = Before::of(&server);
    let innocent = Bystander::innocent(server.address());
    let is_over = Arc::<AtomicBool>::default();
    let visitors: Vec<_> = (0..VISITORS)
        .map(|number| {
            let (address, is_over) = (server.address(), Arc::clone(&is_over));
            let rng = StdRng::seed_from_u64(run.rng.random());
            thread::spawn(move || visit(address, format!("Visitor-{number}"), rng, &is_over))
        })
        .collect();
    while run.goes_on() {
        before.assert_peak(&server, 64 << 20);
        thread::sleep(std::time::Duration::from_millis(50));
    }
    is_over.store(true, Ordering::Relaxed);
    let mut tallies: Vec<_> =
        visitors.into_iter().map(|visitor| visitor.join().expect("each is served")).collect();
    run.figures.rounds = tallies.iter().map(|tally| tally.sent).sum();
    let (times, pings) = innocent.finish();
    tallies.push(pings);
    run.figures.innocent = Some(times);
    run.figures.memory = Some(before.comes_back(&server));
    assert_eq!(server.stop().0, Some(0));
    run.settle(&tallies, server.dir());
    run.end();
}

/// Connects, pings and leaves, again and again, in each of the ways that clients leave.
fn visit(address: SocketAddr, name: String, mut rng: StdRng, is_over: &AtomicBool) -> Tally {
    let mut tally = Tally { name, ..Tally::default() };
    while !is_over.load(Ordering::Relaxed) {
        // A port of an address stays in TIME_WAIT after a connection.
        let from = Ipv4Addr::new(127, 1, rng.random(), rng.random_range(1..255));
        let mut client =
            RawClient::over(connect_from(from, address, PATIENCE).expect("it listens"));
        client.upgrade();
        let number = tally.sent;
        tally.sent += 1;
        client.send(&ping_frame(&tally.name, &number.to_string()));
        assert_eq!(client.frame().text(), "Pong!");
        tally.acknowledged.push(number);
        match rng.random_range(0..3) {
            0 => {
                client.send(&close(1000));
                assert_eq!(client.close_code(), Some(1000));
            }
            1 => client.end(),
            _ => {}
        }
    }
    tally
}
