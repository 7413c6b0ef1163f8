//! A ping on its way, and what may come back.

use std::time::Duration;

use tokio::time::Instant;
use tokio_tungstenite::tungstenite::{Bytes, Message, Utf8Bytes};

use super::way::Asking;

/// After this time without a Pong, a server of which nothing is known is sent a Ping frame as well;
/// after half the time that a reply may take, if that is sooner.
const TRIAL_AFTER: Duration = Duration::from_secs(2);

/// A ping without an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Awaited {
    pub(super) sent: Instant,
    /// What the Ping frame carries, or the one of the trial.
    pub(super) payload: [u8; 8],
    /// When a Ping frame follows the message, to see whether the server lives.
    pub(super) trial_at: Option<Instant>,
    /// The server has answered that Ping frame.
    pub(super) lives: bool,
    /// A text came that is neither `Pong!` nor an error.
    pub(super) has_other: bool,
}

impl Awaited {
    /// A ping that is sent now. A server whose way is not certain gets a Ping frame as well, in time
    /// for its answer.
    pub(super) fn begin(asking: Asking, patience: Duration) -> Self {
        let sent = Instant::now();
        let trial_at = (!asking.is_certain).then(|| sent + TRIAL_AFTER.min(patience / 2));
        Self { sent, payload: rand::random(), trial_at, lives: false, has_other: false }
    }

    /// Its Ping frame.
    pub(super) fn frame(&self) -> Message {
        Message::Ping(Bytes::copy_from_slice(&self.payload))
    }
}

/// What came from the server.
pub(super) enum Received {
    Text(Utf8Bytes),
    /// A binary frame of this length.
    Binary(usize),
    /// A Pong frame with this payload.
    Pong(Bytes),
}
