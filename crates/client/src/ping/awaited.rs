//! The ping in flight, and the frames that may answer it.

use std::time::Duration;

use proto::probe::Request;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::{Bytes, Message, Utf8Bytes};

use super::kind::Choice;

/// After this time without a Pong, an unknown server is probed with a Ping frame as well; after
/// half of `PONG_TIMEOUT`, if that is sooner.
const PROBE_AFTER: Duration = Duration::from_secs(2);

/// A ping that waits for its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Awaited {
    pub(super) sent: Instant,
    /// Payload of the Ping frame, or of the probing Ping frame.
    pub(super) payload: [u8; 8],
    /// When to send a probing Ping frame after the message.
    pub(super) probe_at: Option<Instant>,
    /// Whether the server has answered the probing Ping frame.
    pub(super) lives: bool,
    /// Whether a text was received that is neither `Pong!` nor an error.
    pub(super) has_other: bool,
}

impl Awaited {
    /// A ping sent now. If the kind of pings is not settled, a probing Ping frame follows in time
    /// to be answered.
    pub(super) fn begin(choice: Choice, patience: Duration) -> Self {
        let sent = Instant::now();
        let probe_at = (!choice.is_settled).then(|| sent + PROBE_AFTER.min(patience / 2));
        Self { sent, payload: rand::random(), probe_at, lives: false, has_other: false }
    }

    /// The number of this ping at `/probe`, which a number of JavaScript can hold.
    pub(super) fn number(&self) -> u64 {
        let [a, b, c, d, ..] = self.payload;
        u32::from_be_bytes([a, b, c, d]).into()
    }

    /// The request of this ping at `/probe`.
    pub(super) fn request(&self) -> String {
        serde_json::to_string(&Request::Ping(self.number())).unwrap_or_default()
    }

    /// The Ping frame of this ping.
    pub(super) fn frame(&self) -> Message {
        Message::Ping(Bytes::copy_from_slice(&self.payload))
    }
}

/// A frame received from the server.
pub(super) enum Received {
    Text(Utf8Bytes),
    /// A binary frame of this length.
    Binary(usize),
    /// A Pong frame with this payload.
    Pong(Bytes),
}
