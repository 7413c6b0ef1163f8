//! The modes of the client.

use program::stop::Stop;

use crate::probe::{check, hold, idle, spread, why};
use crate::verdict::Verdict;
use crate::{bench, ping, talk};

/// A mode with its options.
#[derive(Clone, Debug)]
pub enum Mode {
    /// Pings a server.
    Ping(ping::Options),
    /// Sends lines and prints what comes back.
    Talk(talk::Options),
    /// Puts a server under load and measures it.
    Bench(bench::Options),
    /// Finds why a connection fails, or what is changed on the way to the server.
    Why(why::Options),
    /// Finds the idle timeout on the way to the server, and what keeps a connection alive.
    Idle(idle::Options),
    /// Finds over which servers connections spread.
    Spread(spread::Options),
    /// Holds connections through a rollout, and finds which are lost.
    Hold(hold::Options),
    /// Checks whether a server conforms to RFC 6455.
    Check(check::Options),
}

impl Mode {
    /// Runs the mode until its end, or until `stop`.
    ///
    /// # Errors
    /// If the client itself cannot run the mode, for example because stdout cannot be written; the
    /// error says why.
    pub async fn run(self, stop: Stop) -> Result<Verdict, String> {
        match self {
            Self::Ping(options) => ping::run(options, stop).await,
            Self::Talk(options) => Ok(match talk::run(options, stop).await {
                Ok(()) => Verdict::Good,
                Err(cause) => Verdict::Bad(Some(cause)),
            }),
            Self::Bench(options) => bench::run(options, stop).await,
            Self::Why(options) => why::run(options, stop).await,
            Self::Idle(options) => idle::run(options, stop).await,
            Self::Spread(options) => spread::run(options, stop).await,
            Self::Hold(options) => hold::run(options, stop).await,
            Self::Check(options) => check::run(options, stop).await,
        }
    }
}
