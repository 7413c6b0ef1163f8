//! How long each part of making a connection took.

use std::time::{Duration, Instant};

/// The phases of a connection, in the order in which they happen. `None` is a phase that the
/// connection did not have, such as TLS at `ws://`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases {
    /// The look-up of the name.
    pub dns: Option<Duration>,
    /// The way through a proxy, from its TCP connection to its consent.
    pub proxy: Option<Duration>,
    /// The TCP handshake.
    pub tcp: Option<Duration>,
    /// The TLS handshake.
    pub tls: Option<Duration>,
    /// The opening handshake of RFC 6455, section 4.
    pub upgrade: Option<Duration>,
}

/// Waits for the end of a phase and puts its time down.
pub(crate) async fn timed<T>(
    phase: &mut Option<Duration>,
    happening: impl Future<Output = T>,
) -> T {
    let begun = Instant::now();
    let outcome = happening.await;
    *phase = Some(begun.elapsed());
    outcome
}
