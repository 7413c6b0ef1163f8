//! Two networks between client and server: one is cut and heals again and again, one stays cut.

use std::thread;
use std::time::{Duration, Instant};

use rand::RngExt;

use crate::bystander::Bystander;
use crate::client::{Client, Statistics};
use crate::ledger::Lines;
use crate::network::{Cut, Network};
use crate::peak::{Before, peak_memory};
use crate::run::Run;
use crate::support::TestServer;

/// Time limit for a server to give up a silent peer: 60 s, with room for a busy machine.
const GIVEN_UP: Duration = Duration::from_secs(90);

/// How long a client may take to be back: the longest pause between two tries, and a try that
/// began while the network was cut.
const BACK_WITHIN: Duration = Duration::from_secs(60);

#[test]
#[ignore = "takes a minute at least, and needs root, for network namespaces"]
fn partition() {
    let mut run = Run::begin("partition");
    if let Some(obstacle) = Network::obstacle() {
        run.skip(&obstacle);
        return;
    }
    let (network, dead) = (Network::lay(), Network::lay());
    let mut server = TestServer::builder().env("WORKERS", "2").env("LISTEN", "0.0.0.0:0").start();
    let port = server.address().port();
    let before = Before::of(&server);
    let url = |network: &Network| format!("ws://{}:{port}", network.here());
    let (url, dead_url) = (url(&network), url(&dead));
    let innocent = Bystander::innocent(server.address());

    let settings =
        [("SERVER_URL", dead_url.as_str()), ("CLIENT_NAME", "Dead"), ("LAG_TIME", "3600")];
    let dead_client = Client::start(&dead.wrapper(), &settings);
    dead_client.event("connected to");
    let cut_at = Instant::now();
    dead.cut(Cut::Pulled);

    let settings = [
        ("SERVER_URL", url.as_str()),
        ("CLIENT_NAME", "Cut"),
        ("LAG_TIME", "0.01"),
        ("PONG_TIMEOUT", "0.5"),
    ];
    let client = Client::start(&network.wrapper(), &settings);
    client.event("connected to");
    let given_up = || !server.events("no sign of life").is_empty();
    while run.goes_on() || !given_up() {
        assert!(cut_at.elapsed() < GIVEN_UP || given_up(), "a dead peer is still connected");
        thread::sleep(Duration::from_millis(run.rng.random_range(0..300)));
        let cut = [Cut::Pulled, Cut::FromThere, Cut::ToThere][run.rng.random_range(0..3)];
        network.cut(cut);
        run.figures.rounds += 1;
        let rounds = run.figures.rounds;
        wait_for_events(&client, "lost the connection", rounds);
        thread::sleep(Duration::from_millis(run.rng.random_range(0..1000)));
        network.heal(cut);
        wait_for_events(&client, "connected again", rounds);
    }
    let least = Duration::from_secs(50);
    assert!(cut_at.elapsed() > least, "given up after {:?}", cut_at.elapsed());

    let Statistics { sent, received, lost } = client.stop();
    assert!(lost >= run.figures.rounds.min(1) && sent == received + lost);
    drop(dead_client);
    let (times, pings) = innocent.finish();
    run.figures.innocent = Some(times);
    run.figures.memory = Some([before.memory(), peak_memory(&server), server.memory()]);
    assert_eq!(server.stop().0, Some(0));
    let lines = Lines::of_folder(server.dir());
    run.figures.ledger.settle(&[pings], &lines);
    run.figures.ledger.settle_counts("Cut", received, &lines);
    run.end();
}

/// Waits until a client has printed so many lines that contain `what`.
#[track_caller]
fn wait_for_events(client: &Client, what: &str, times: usize) {
    let begun = Instant::now();
    while client.events(what).len() < times {
        assert!(begun.elapsed() < BACK_WITHIN, "less than {times} times: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
