//! Connections without a request, with half a request, and with a request that never ends.

use std::io::Write;

use rand::RngExt;
use rand::seq::IndexedRandom;

use super::{Attacker, Flood};
use crate::support::{Builder, TestServer, UPGRADE};

/// Silent connections, as many as possible.
pub(super) const SILENT: Flood =
    Flood { name: "silent connections", attackers: 2, growth: 64 << 20, attack: silent };

/// Requests that stop in the middle.
pub(super) const HALF: Flood =
    Flood { name: "half handshakes", attackers: 2, growth: 96 << 20, attack: half };

/// Requests with headers and paths that never end.
pub(super) const HUGE: Flood =
    Flood { name: "endless requests", attackers: 4, growth: 64 << 20, attack: huge };

/// Connections of each attacker at a time: together more than [`FEW_DESCRIPTORS`].
const HELD: usize = 1500;

/// A limit of descriptors that a flood exceeds.
const FEW_DESCRIPTORS: u32 = 2000;

/// The beginning of a request, and the part that is repeated without an end.
const ENDLESS: [(&str, &str); 5] = [
    ("GET /", "x"),
    ("GET / HTTP/1.1\r\nHost: a\r\n", "X: y\r\n"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: ", "y"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n", " folded\r\n"),
    ("GET / HTTP/1.1\r\nHost: a\r\n", "Sec-WebSocket-Protocol: a,b,c,d,e,f\r\n"),
];

fn silent(attacker: &mut Attacker) {
    if let Some(stream) = attacker.connect(attacker.server) {
        attacker.hold(stream, HELD);
        attacker.done += 1;
    }
}

fn half(attacker: &mut Attacker) {
    let length = attacker.rng.random_range(1..UPGRADE.len());
    if let Some(mut stream) = attacker.connect(attacker.server)
        && stream.write_all(&UPGRADE.as_bytes()[..length]).is_ok()
    {
        attacker.hold(stream, HELD);
        attacker.done += 1;
    }
}

fn huge(attacker: &mut Attacker) {
    let (begin, block) = *ENDLESS.choose(&mut attacker.rng).unwrap();
    if let Some(mut stream) = attacker.connect(attacker.server)
        && stream.write_all(begin.as_bytes()).is_ok()
    {
        attacker.done += 1;
        attacker.pour(&stream, block.repeat(1000).as_bytes(), 0);
    }
}

fn with_few_descriptors() -> Builder {
    TestServer::builder().under(["sh", "-c", &format!("ulimit -n {FEW_DESCRIPTORS}; exec \"$0\"")])
}

/// Handshakes make room before the descriptors run out.
fn assert_accepts(server: &TestServer) {
    assert_eq!(server.events("cannot accept connections"), [""; 0]);
}

#[test]
#[ignore = "takes long: README.md in its folder"]
fn silent_connections() {
    SILENT.stand_with(with_few_descriptors(), assert_accepts);
}

#[test]
#[ignore = "takes long: README.md in its folder"]
fn half_handshakes() {
    HALF.stand_with(with_few_descriptors(), assert_accepts);
}

#[test]
#[ignore = "takes long: README.md in its folder"]
fn endless_requests() {
    HUGE.stand(TestServer::builder());
}
