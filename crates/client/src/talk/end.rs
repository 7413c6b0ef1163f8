//! How it ends, and what that means for whoever started it.

use std::io;
use std::time::Duration;

use crate::net::ending::Ending;
use crate::net::url::ServerUrl;

static STOPPED: Ending = Ending::Stopped;

/// Why there is no more to do.
#[derive(Debug)]
pub(crate) enum End {
    /// The client was told to stop.
    Stopped,
    /// Stdout takes no more lines.
    Unwritable(io::Error),
    /// The input came to its end, or this made it unusable.
    Input(Option<String>),
    /// The server takes no more lines.
    Stuck,
    /// The connection is over.
    Connection(Ending),
}

impl End {
    /// The end of the connection that follows.
    pub(crate) fn ending(&self) -> &Ending {
        match self {
            Self::Connection(ending) => ending,
            _ => &STOPPED,
        }
    }

    /// Whether all went well. That so many replies are `missing` matters unless somebody saw it
    /// at a terminal, and left.
    ///
    /// # Errors
    /// What did not.
    pub(crate) fn verdict(
        self,
        url: &ServerUrl,
        patience: Duration,
        missing: u64,
    ) -> Result<(), String> {
        let cause = match self {
            Self::Stopped => return Ok(()),
            Self::Unwritable(error) => return written(Err(error)),
            Self::Input(None) if missing == 0 => return Ok(()),
            Self::Input(None) => return Err(format!("{} within {patience:?}", count(missing))),
            Self::Input(Some(cause)) => cause,
            Self::Stuck => {
                format!("{url} takes no more lines, and sent nothing for {patience:?}")
            }
            Self::Connection(ending) => format!("lost the connection to {url}: {ending}"),
        };
        Err(if missing == 0 { cause } else { format!("{cause}; {}", count(missing)) })
    }
}

fn count(missing: u64) -> String {
    match missing {
        1 => "1 reply did not come".into(),
        _ => format!("{missing} replies did not come"),
    }
}

/// What it means that stdout took everything, or not. Nobody reads on: nothing to tell, and
/// nothing went wrong.
///
/// # Errors
/// Why stdout took no more.
pub(crate) fn written(result: io::Result<()>) -> Result<(), String> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("cannot write to stdout: {error}"))
        }
        _ => Ok(()),
    }
}
