//! Connections that fail where others like them are made: whether that passes, lasts or alternates.

use std::time::Duration;

use tokio::time::sleep;

use super::diagnose::{Case, Diagnosis, diagnose};
use crate::net::ending::Ending;
use crate::net::fault::Fault;
use crate::net::{ConnectError, Endpoint};
use crate::probe::link::Link;

/// The row about a server at a limit.
const FULL: u8 = 25;

/// Connections in a row that are made where a failure has passed.
const MOST_MADE: usize = 6;

/// Connections in a row that fail where a failure lasts.
const MOST_FAILED: usize = 3;

/// Pause before each connection: a server may still count the one before.
const PAUSE: Duration = Duration::from_millis(200);

/// A failed connection, and how others like the first one, which was made, fared after it.
#[derive(Debug)]
pub(super) struct Failures {
    error: ConnectError,
    pub(super) pattern: Pattern,
    /// Number of failed connections.
    failed: usize,
    /// Number of all connections.
    all: usize,
}

/// The order of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    /// Connections are made again.
    Passing,
    /// None is made after the first one.
    Lasting,
    /// Some fail between others that are made.
    Alternating,
}

impl Failures {
    /// Connects again and again after a connection failed with `error`, until the pattern is known.
    pub(super) async fn observe(endpoint: &Endpoint, error: ConnectError) -> Self {
        let (mut made, mut failed) = (0, 0);
        let pattern = loop {
            sleep(PAUSE).await;
            match Link::open(endpoint, Duration::ZERO).await {
                Ok(link) => {
                    link.close(&Ending::Stopped).await;
                    made += 1;
                    if made == MOST_MADE {
                        break Pattern::Passing;
                    }
                }
                Err(_) => {
                    failed += 1;
                    if made > 0 {
                        break Pattern::Alternating;
                    }
                    if failed == MOST_FAILED {
                        break Pattern::Lasting;
                    }
                }
            }
        };
        Self { error, pattern, failed: failed + 1, all: made + failed + 2 }
    }

    /// Whether something is broken for certain: a failure may have passed, and a server that has no
    /// room for any further connection may be alive.
    pub(super) fn is_certain(&self) -> bool {
        match self.pattern {
            Pattern::Passing => false,
            Pattern::Lasting => !self.error.fault().is_lack_of_room(),
            Pattern::Alternating => true,
        }
    }

    pub(super) fn diagnosis(&self) -> Diagnosis {
        diagnosis(&self.error)
    }

    /// The failures in a sentence.
    pub(super) fn words(&self) -> String {
        let Self { error, pattern, failed, all } = self;
        let is_silent = *error.fault() == Fault::Silent;
        let some = if is_silent { "only some connections are answered: " } else { "" };
        let meaning = match pattern {
            Pattern::Passing => "it may have passed, as those after it were made",
            Pattern::Lasting => "the first one alone was made",
            Pattern::Alternating if is_silent => {
                "one of several servers behind the address seems to hang"
            }
            Pattern::Alternating => "one of several servers behind the address seems dead or full",
        };
        format!("{some}{failed} of {all} connections failed: {error}: {meaning}")
    }
}

/// Whether a server says that it is at a limit: it may have room again soon.
pub(super) fn is_full(error: &ConnectError) -> bool {
    diagnosis(error).rows == [FULL]
}

fn diagnosis(error: &ConnectError) -> Diagnosis {
    let (fault, step) = (error.fault(), error.progress().failed());
    diagnose(Case { fault, step, plain: None, origin_helps: false })
}
