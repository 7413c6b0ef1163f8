//! Frames whose replies nobody reads, fragments without an end, and broken frames.

use std::io::Write;
use std::sync::LazyLock;

use rand::RngExt;
use rand::seq::IndexedRandom;

use super::{Attacker, Flood};
use crate::support::{RawClient, TestServer, first, frame};

/// Protocol pings and messages whose replies nobody reads.
pub(super) const UNREAD: Flood =
    Flood { name: "replies that nobody reads", attackers: 8, growth: 64 << 20, attack: unread };

/// Messages of empty fragments that never end.
pub(super) const EMPTY: Flood =
    Flood { name: "empty fragments", attackers: 4, growth: 32 << 20, attack: empty };

/// Frames that break a rule, and bytes at random.
pub(super) const BROKEN: Flood =
    Flood { name: "broken frames", attackers: 2, growth: 32 << 20, attack: broken };

/// Number of frames in one write.
const BLOCK: usize = 1000;

/// Frames that break a rule of RFC 6455, section 5, and the code that says so (section 7.4.1).
static RULES: LazyLock<Vec<(Vec<u8>, u16)>> = LazyLock::new(|| {
    vec![
        // A reserved bit, a missing mask, a reserved opcode, a Ping in fragments, a long Ping.
        (vec![0xc1, 0x85], 1002),
        (vec![0x81, 0x05], 1002),
        (vec![0x83, 0x80], 1002),
        (vec![0x09, 0x80], 1002),
        (vec![0x89, 0xfe], 1002),
        // A continuation of nothing, and a message inside a message.
        (frame(first::ENDS, b"x"), 1002),
        ([frame(first::TEXT_BEGINS, b"x"), frame(first::TEXT, b"x")].concat(), 1002),
        // Close frames with half a code, and with one that is not allowed.
        (frame(first::CLOSE, b"x"), 1002),
        (frame(first::CLOSE, &1005_u16.to_be_bytes()), 1002),
        (frame(first::BINARY, b"x"), 1003),
        (frame(first::TEXT, b"\xff"), 1007),
        (frame(first::CLOSE, b"\x03\xe8\xff"), 1007),
        (frame(first::TEXT, &[b'x'; 70_000])[..14].to_vec(), 1009),
        (vec![0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], 1002),
    ]
});

fn unread(attacker: &mut Attacker) {
    let frames = if attacker.rng.random() {
        frame(first::PING, &[b'x'; 125]).repeat(BLOCK)
    } else {
        frame(first::TEXT, b"no ping").repeat(BLOCK)
    };
    if let Some(stream) = attacker.upgraded("/") {
        attacker.pour(&stream, &frames, BLOCK);
    }
}

fn empty(attacker: &mut Attacker) {
    if let Some(mut stream) = attacker.upgraded("/")
        && stream.write_all(&frame(first::TEXT_BEGINS, b"{")).is_ok()
    {
        attacker.pour(&stream, &frame(first::GOES_ON, b"").repeat(BLOCK), BLOCK);
    }
}

fn broken(attacker: &mut Attacker) {
    let Some(stream) = attacker.upgraded("/") else { return };
    let mut client = RawClient::over(stream);
    attacker.done += 1;
    if attacker.rng.random_ratio(1, 4) {
        let length = attacker.rng.random_range(1..300);
        let bytes: Vec<u8> = (0..length).map(|_| attacker.rng.random()).collect();
        let _ = client.try_send(&bytes);
        client.end();
        client.skip_to_the_end();
    } else {
        let (bytes, code) = RULES.choose(&mut attacker.rng).unwrap();
        let _ = client.try_send(bytes);
        let answered = client.close_code();
        assert!(answered == Some(*code) || attacker.server_is_gone(), "{answered:?}: {bytes:x?}");
    }
}

#[test]
#[ignore = "takes long: README.md in its folder"]
fn replies_that_nobody_reads() {
    UNREAD.stand(TestServer::builder());
}

#[test]
#[ignore = "takes long: README.md in its folder"]
fn empty_fragments() {
    EMPTY.stand(TestServer::builder());
}

#[test]
#[ignore = "takes long: README.md in its folder"]
fn broken_frames() {
    BROKEN.stand(TestServer::builder());
}
