//! The ping in flight, and the frames that may answer it.

use std::time::Duration;

use proto::probe::Request;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::{Bytes, Message, Utf8Bytes};

use super::kind::Choice;

/// After this time without a reply, or half of `PONG_TIMEOUT` if that is sooner, an unknown server
/// gets a Ping frame in addition to the message.
const PING_FRAME_AFTER: Duration = Duration::from_secs(2);

/// A ping that waits for its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Awaited {
    pub(super) sent: Instant,
    /// Payload of the Ping frame, which is the ping itself or is sent in addition to the message.
    pub(super) payload: [u8; 8],
    /// When to send the additional Ping frame.
    pub(super) ping_frame_at: Option<Instant>,
    /// Whether the server has answered the additional Ping frame.
    pub(super) answered_ping_frame: bool,
    /// Whether a text was received that is neither `Pong!` nor an error.
    pub(super) has_other: bool,
}

impl Awaited {
    /// A ping sent now. If the kind of pings is not settled, an additional Ping frame follows in
    /// time to be answered.
    pub(super) fn begin(choice: Choice, pong_timeout: Duration) -> Self {
        let sent = Instant::now();
        let ping_frame_at =
            (!choice.is_settled).then(|| sent + PING_FRAME_AFTER.min(pong_timeout / 2));
        Self {
            sent,
            payload: rand::random(),
            ping_frame_at,
            answered_ping_frame: false,
            has_other: false,
        }
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
