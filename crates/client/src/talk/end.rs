//! How it ends, and what that means for whoever started it.

use std::io;
use std::time::Duration;

use crate::net::ending::Ending;
use crate::net::url::ServerUrl;
use crate::stdout;
use crate::words::seconds;

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
    /// There is no connection, and this is why.
    NotConnected(String),
    /// The connection is over.
    Connection(Ending),
}

/// A reader of stdout that is slower than this may be why a connection was lost.
const STALL: Duration = Duration::from_secs(1);

impl End {
    /// The end of the connection that follows.
    pub(crate) fn ending(&self) -> &Ending {
        match self {
            Self::Connection(ending) => ending,
            _ => &STOPPED,
        }
    }

    /// Whether the server closed the connection in good order, as some do after each answer.
    pub(crate) fn is_close_after_answer(&self) -> bool {
        matches!(self, Self::Connection(Ending::Closed(_) | Ending::Lost(None)))
    }

    /// Whether all went well, with so many replies `missing` and stdout unread for this long.
    ///
    /// # Errors
    /// What did not.
    pub(crate) fn verdict(
        self,
        url: &ServerUrl,
        patience: Duration,
        missing: u64,
        stall: Duration,
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
            Self::NotConnected(cause) => format!("cannot connect to {url}: {cause}"),
            Self::Connection(ending) if stall > STALL => format!(
                "lost the connection to {url}: {ending}; nobody read stdout for {}, and so the socket was not read either",
                seconds(stall)
            ),
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

/// What it means that stdout took everything, or not.
///
/// # Errors
/// Why stdout took no more.
pub(crate) fn written(result: io::Result<()>) -> Result<(), String> {
    stdout::unless_closed(result).map_err(|error| format!("cannot write to stdout: {error}"))
}
