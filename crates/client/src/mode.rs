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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All is well.
    Good,
    /// It is not: nothing came back, say.
    Bad,
}

impl Mode {
    /// Does it, until that is over or `stop` says so.
    ///
    /// # Errors
    /// Why it cannot be done.
    pub async fn run(self, stop: Stop) -> Result<Verdict, String> {
        let done = Ok(Verdict::Good);
        match self {
            Self::Ping(options) => ping::run(options, stop).await,
            Self::Talk(options) => talk::run(options, stop).await.and(done),
            Self::Bench(options) => bench::run(options, stop).await.and(done),
        }
    }
}
