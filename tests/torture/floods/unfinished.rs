//! Messages that begin and never end, and long messages that are announced and never come.

use std::io::Write;
use std::sync::LazyLock;

use super::{Attacker, Flood};
use crate::support::{TestServer, first, frame};

/// Thousands of messages of 60 kB of which the end is missing.
pub(super) const UNFINISHED: Flood =
    Flood { name: "unfinished messages", attackers: 2, growth: 96 << 20, attack: unfinished };

/// Messages of which nothing comes but their length.
pub(super) const ANNOUNCED: Flood =
    Flood { name: "announced lengths", attackers: 2, growth: 48 << 20, attack: announced };

/// Connections of each attacker at a time: 240 MB of unfinished messages together, far more than
/// the server allows.
const HELD: usize = 2000;

/// The most that a message may have in the part with announced lengths, in bytes.
const MAX_MESSAGE: usize = 16 << 20;

static MOST_OF_A_MESSAGE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut bytes = frame(first::BINARY, &[0; 65_000]);
    bytes.truncate(60_000);
    bytes
});

fn unfinished(attacker: &mut Attacker) {
    begin_message(attacker, &MOST_OF_A_MESSAGE);
}

fn announced(attacker: &mut Attacker) {
    let mut bytes = vec![first::BINARY, 0xff];
    bytes.extend_from_slice(&(MAX_MESSAGE as u64).to_be_bytes());
    bytes.extend_from_slice(b"maskand 5");
    begin_message(attacker, &bytes);
}

fn begin_message(attacker: &mut Attacker, bytes: &[u8]) {
    if let Some(mut stream) = attacker.upgraded("/mirror")
        && stream.write_all(bytes).is_ok()
    {
        attacker.hold(stream, HELD);
        attacker.done += 1;
    }
}

#[test]
#[ignore = "takes long: README.md in its folder"]
fn unfinished_messages() {
    UNFINISHED.stand(TestServer::builder());
}

#[test]
#[ignore = "takes long: README.md in its folder"]
fn announced_lengths() {
    let builder = TestServer::builder().env("MAX_MESSAGE", MAX_MESSAGE.to_string());
    ANNOUNCED.stand(builder);
}
