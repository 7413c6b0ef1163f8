//! How a conversation ends, and the exit status that follows.

use std::io;
use std::time::Duration;

use crate::format::seconds;
use crate::net::ending::Ending;
use crate::net::error::cannot_connect;
use crate::net::url::ServerUrl;
use crate::stdout;

static STOPPED: Ending = Ending::Stopped;

/// Why the conversation ended.
#[derive(Debug)]
pub(crate) enum End {
    /// The client received a stop signal.
    Stopped,
    /// Stdout cannot be written any more.
    Unwritable(io::Error),
    /// The input ended, or became unusable for this reason.
    Input(Option<String>),
    /// The server accepts no more bytes.
    Stuck,
    /// No connection could be opened, for this reason.
    NotConnected(String),
    /// The connection ended.
    Connection(Ending),
}

/// A reader of stdout blocked for longer than this may have caused the loss of a connection.
const STALL: Duration = Duration::from_secs(1);

impl End {
    /// The connection end that follows from this end.
    pub(crate) fn ending(&self) -> &Ending {
        match self {
            Self::Connection(ending) => ending,
            _ => &STOPPED,
        }
    }

    /// Whether the server closed the connection normally, as some servers do after each reply.
    pub(crate) fn is_close_after_answer(&self) -> bool {
        matches!(self, Self::Connection(Ending::Closed(_) | Ending::Lost(None)))
    }

    /// The result of the run, with `missing` replies outstanding and stdout blocked for at most
    /// `stall`.
    ///
    /// # Errors
    /// If the run failed; the error is the text for the user.
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
            Self::NotConnected(cause) => cannot_connect(url, &cause),
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

/// The result of writing to stdout, as an error text for the user.
///
/// # Errors
/// Why stdout could not be written.
pub(crate) fn written(result: io::Result<()>) -> Result<(), String> {
    stdout::unless_closed(result).map_err(stdout::unwritable)
}
