//! SIGKILL at random moments: every Pong that a client has seen has its line.

use std::thread;
use std::time::Duration;

use rand::RngExt;

use crate::run::Run;
use crate::support::{Builder, Load, TestServer};

#[test]
#[ignore = "takes long: README.md in its folder"]
fn kill_without_rotation() {
    kill("kill -9", |builder, _| builder);
}

#[test]
#[ignore = "takes long: README.md in its folder"]
fn kill_amid_rotations() {
    kill("kill -9, rotating", |builder, random| {
        builder.env("LOG_MAX_BYTES", ["2K", "20K", "200K"][random])
    });
}

fn kill(name: &'static str, configure: impl Fn(Builder, usize) -> Builder) {
    let mut run = Run::begin(name);
    let mut builder = TestServer::builder();
    while run.goes_on() {
        let sync = run.log_sync();
        let workers = run.rng.random_range(1..4).to_string();
        builder = builder.env("WORKERS", workers).env("LOG_SYNC", sync);
        let mut server = configure(builder, run.rng.random_range(0..3)).start();
        let prefix = format!("R{}", run.figures.rounds);
        let (clients, in_flight) = (run.rng.random_range(1..8), run.rng.random_range(1..100));
        let load = Load::start(server.address(), &prefix, clients, in_flight);
        load.wait_for(1);
        thread::sleep(Duration::from_micros(run.rng.random_range(0..100_000)));
        server.kill();
        let tallies = load.ended();
        builder = run.settle_killed(&tallies, &server);
    }
    run.end();
}
