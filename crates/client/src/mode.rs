//! What the client is started for, and how that went.

use program::stop::Stop;

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
        }
    }
}
