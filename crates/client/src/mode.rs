//! What the client is started for, and how that went.

use program::stop::Stop;

use crate::probe::{check, hold, idle, spread, why};
use crate::{bench, ping, talk};

/// What to do, and with which server.
#[derive(Clone, Debug)]
pub enum Mode {
    /// Pings a server.
    Ping(ping::Options),
    /// Sends lines and prints what comes back.
    Talk(talk::Options),
    /// Puts a server under load and measures it.
    Bench(bench::Options),
    /// Says why a connection fails, or what the way does to a connection.
    Why(why::Options),
    /// Finds the idle timeout of a way, and what keeps a connection alive.
    Idle(idle::Options),
    /// Says over which servers connections spread.
    Spread(spread::Options),
    /// Holds connections through a rollout, and says which are lost.
    Hold(hold::Options),
    /// Checks whether a server keeps RFC 6455.
    Check(check::Options),
}

/// What a mode found out, for the exit status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All is well.
    Good,
    /// It is not: nothing came back, say. With what is not told yet of the reason.
    Bad(Option<String>),
    /// The mode could not tell, and this is why.
    Unknown(String),
}

impl Mode {
    /// Does it, until that is over or `stop` says so.
    ///
    /// # Errors
    /// Why the client itself cannot do it.
    pub async fn run(self, stop: Stop) -> Result<Verdict, String> {
        let good_or_bad = |result: Result<(), String>| match result {
            Ok(()) => Verdict::Good,
            Err(cause) => Verdict::Bad(Some(cause)),
        };
        match self {
            Self::Ping(options) => ping::run(options, stop).await,
            Self::Talk(options) => Ok(good_or_bad(talk::run(options, stop).await)),
            Self::Bench(options) => Ok(good_or_bad(bench::run(options, stop).await)),
            Self::Why(options) => why::run(options, stop).await,
            Self::Idle(options) => idle::run(options, stop).await,
            Self::Spread(options) => spread::run(options, stop).await,
            Self::Hold(options) => hold::run(options, stop).await,
            Self::Check(options) => check::run(options, stop).await,
        }
    }
}
